"""A proxy before the S3 server: a test acts between a read and its commit, or kills the process at a write."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = re.compile(r"PUT .*/_delta_log/\d{20}\.json$")
HOP = {"connection", "keep-alive", "expect"}
READS = ("GET", "HEAD")


class Proxy(ThreadingHTTPServer):
    """
    Forwards everything as it is (signatures stay valid: the Host header too).

    Args:
        at: the requests that are met: commits, if nothing else is said.
        act: called before each of them is forwarded, with its number from 0.
        after: called when it was forwarded, before its answer is, with its number from 0.
        last: the write after which nothing gets through any more, counted from 0; None for no end.
        delivered: whether that write itself gets through, though its answer does not.
    """

    daemon_threads = True

    def __init__(self, endpoint, act=lambda _: None, after=lambda _: None, at=COMMIT, last=None, delivered=True):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(endpoint).netloc
        self.answers = []  # status of each request that was met
        self.at = at
        self.died = False
        self._act, self._after, self._met = act, after, 0
        self._last, self._delivered, self._writes, self._lock = last, delivered, 0, threading.Lock()

    def meet(self):
        """Act, as a request comes by; return its number."""
        with self._lock:
            number, self._met = self._met, self._met + 1
        self._act(number)
        return number

    def met(self, number, status):
        """Act, as the answer to it comes by."""
        self.answers.append(status)
        self._after(number)

    def lives(self, command):
        """Return whether a request gets through, and whether its answer does."""
        with self._lock:
            if self._last is None or (command in READS and not self.died):
                return True, True
            if self.died:
                return False, False
            self.died = self._writes == self._last
            self._writes += 1
            return self._delivered or not self.died, not self.died


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Say nothing."""

    def handle(self):
        """Serve a connection; clients may go away."""
        with suppress(ConnectionError):
            super().handle()

    def _forward(self):
        body = b"".join(self._body())
        asked, answered = self.server.lives(self.command)
        if asked:
            self._ask(body, answered)
        if not answered:  # clients do not ask again what they may not
            self.send_response_only(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _body(self):
        """Yield what comes after the headers, in chunks as they are."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            yield self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return
        size = None
        while size != 0:
            yield (line := self.rfile.readline())
            size = int(line.split(b";")[0], 16)
            yield self.rfile.read(size)
            yield self.rfile.readline()

    def _ask(self, body, answered):
        met = self.server.at.match(f"{self.command} {urlsplit(self.path).path}")
        number = self.server.meet() if met else None
        connection = HTTPConnection(self.server.target)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in HOP:
                connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if met:
            self.server.met(number, answer.status)
        if answered:
            self._answer(answer, data)

    def _answer(self, answer, data):
        self.send_response_only(answer.status, answer.reason)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        for name, value in answer.getheaders():
            if name.lower() not in HOP | {"content-length", "transfer-encoding"}:
                self.send_header(name, value)
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _forward  # noqa: N815 (names that the server calls)


@contextmanager
def before(endpoint, **how):
    """Run a proxy until the block ends."""
    proxy = Proxy(endpoint, **how)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()


def meeting(endpoint, act, at=COMMIT):
    """Run a proxy that acts once, before the first commit or other request."""
    return before(endpoint, act=lambda number: act() if number == 0 else None, at=at)
