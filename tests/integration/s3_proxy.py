"""A proxy before the S3 server, so that a test can act at the very moment between a read and its commit."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = re.compile(r"/_delta_log/\d{20}\.json$")
HOP = {"connection", "keep-alive", "transfer-encoding"}


class Proxy(ThreadingHTTPServer):
    """Forwards everything as it is (signatures stay valid: the Host header too); before the first commit, acts."""

    daemon_threads = True

    def __init__(self, endpoint, act):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(endpoint).netloc
        self.commits = []  # status of each attempt to commit
        self._act, self._once = act, threading.Lock()

    def meet(self):
        """Act, the first time."""
        if self._once.acquire(blocking=False):
            self._act()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Say nothing."""

    def _forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        commits = self.command == "PUT" and COMMIT.search(urlsplit(self.path).path)
        if commits:
            self.server.meet()
        connection = HTTPConnection(self.server.target)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        data = answer.read()
        if commits:
            self.server.commits.append(answer.status)
        self.send_response_only(answer.status, answer.reason)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        for name, value in answer.getheaders():
            if name.lower() not in HOP | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(data)
        connection.close()

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _forward  # noqa: N815 (names that the server calls)


@contextmanager
def meeting(endpoint, act):
    """Run the proxy until the block ends."""
    proxy = Proxy(endpoint, act)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
