"""
A receiver for what sentry-sdk sends: keeps each event as JSON, in memory and in a folder.

`python -m include.sandbox.sentry --port 9000 --folder events` prints the DSN to
use. `GET /_events` returns the events so far. It knows neither keys nor limits.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_DECODERS = {"gzip": gzip.decompress, "deflate": zlib.decompress, "": bytes}
_ENVELOPE = re.compile(r"/api/\w+/envelope/?(\?.*)?")
_EVENT_ID = re.compile(r"[0-9a-f]{32}")


class Receiver(ThreadingHTTPServer):
    """A server, on 127.0.0.1 by default; `events` holds what arrived, in order."""

    daemon_threads = True

    def __init__(self, port: int = 0, folder: Path | None = None, host: str = "127.0.0.1") -> None:
        """Listen on `port` (0: a free one); keep events in `folder` if there is one, those in it are read back."""
        super().__init__((host, port), _Handler)
        self._lock = threading.Lock()
        self.folder = folder
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
        self.events = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))] if folder else []

    @property
    def dsn(self) -> str:
        """What SENTRY_DSN must be to reach this server."""
        return f"http://sandbox@127.0.0.1:{self.server_port}/1"

    def keep(self, event: dict) -> None:
        """Store one event."""
        with self._lock:
            self.events.append(event)
            if self.folder:
                name = f"{len(self.events):06d}-{event['event_id']}.json"
                (self.folder / name).write_text(json.dumps(event, indent=2))


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        decode = _DECODERS.get(self.headers.get("Content-Encoding", ""))
        if not _ENVELOPE.fullmatch(self.path):
            self._answer(HTTPStatus.NOT_FOUND, {"detail": "only envelopes are received"})
        elif decode is None:
            self._answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, {"detail": "gzip or deflate"})
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._receive(decode, body)

    def do_GET(self) -> None:
        known = self.path == "/_events"
        self._answer(HTTPStatus.OK if known else HTTPStatus.NOT_FOUND, self.server.events if known else {})

    def log_message(self, *_: object) -> None:
        """Stay quiet: a request's line would hide the events."""

    def _receive(self, decode: object, body: bytes) -> None:
        try:
            header, events = parse(decode(body))
        except (ValueError, KeyError, OSError, EOFError, zlib.error) as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"detail": f"not an envelope: {error}"})
            return
        for event in events:
            self.server.keep(event)
        self._answer(HTTPStatus.OK, {"id": header.get("event_id")})

    def _answer(self, status: HTTPStatus, data: object) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def parse(body: bytes) -> tuple[dict, list[dict]]:
    """Return an envelope's header and its events; items of other types are skipped."""
    header, _, rest = body.partition(b"\n")
    events = []
    while rest.strip():
        line, _, rest = rest.partition(b"\n")
        item = json.loads(line)
        length = item.get("length", rest.find(b"\n") if b"\n" in rest else len(rest))
        payload, rest = rest[:length], rest[length:].removeprefix(b"\n")
        if item["type"] == "event":
            events.append(_checked(json.loads(payload)))
    return json.loads(header), events


def _checked(event: dict) -> dict:
    # the id becomes a file's name
    if not _EVENT_ID.fullmatch(event["event_id"]):
        raise ValueError("event_id is not 32 hexadecimal digits")
    return event


@contextmanager
def receiving(folder: Path | None = None) -> Iterator[Receiver]:
    """Receive in a thread of this process, on a free port."""
    with Receiver(folder=folder) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


def main() -> None:
    """Receive until killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--folder", type=Path, required=True, help="where events are kept")
    options = parser.parse_args()
    with Receiver(options.port, options.folder, options.host) as receiver:
        print(f"SENTRY_DSN={receiver.dsn}", flush=True)
        receiver.serve_forever()


if __name__ == "__main__":
    main()
