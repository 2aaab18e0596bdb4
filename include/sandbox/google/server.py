"""The server: takes calls, counts them, lets faults strike, answers."""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from urllib.parse import parse_qsl, urlsplit

from include.sandbox.google import faults, geocoding, places, validation
from include.sandbox.google.calls import Call, summary
from include.sandbox.google.faults import Fault, Faults
from include.sandbox.google.protocol import Question, Reply, Request, reply

KEY = "sandbox-google-key"

_APIS = {(api.METHOD, api.PATH): (name, api) for name, api in (("geocoding", geocoding), ("validation", validation))}


class Google(ThreadingHTTPServer):
    """Both APIs on 127.0.0.1; every method is safe in threads."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int = 0, keys: Iterable[str] = (KEY,), latency: float = 0) -> None:
        """Listen on `port` (0: a free one), know these keys, answer after `latency` seconds."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.keys = frozenset(keys)
        self.latency = latency
        self.faults = Faults()
        self.closing = threading.Event()
        self._calls: list[Call] = []

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def geocoding_url(self) -> str:
        """What GOOGLE_GEOCODING_URL must be."""
        return self.url + geocoding.PATH

    @property
    def validation_url(self) -> str:
        """What GOOGLE_ADDRESS_VALIDATION_URL must be."""
        return self.url + validation.PATH

    @property
    def calls(self) -> list[Call]:
        """All calls so far, in the order of their arrival."""
        return list(self._calls)

    def fail(
        self,
        kind: str,
        *,
        times: int | None = None,
        share: float = 1,
        postcode: str | None = None,
        retry_after: str | None = None,
    ) -> None:
        """Let calls fail from now on; see `Fault`."""
        self.faults.add(Fault(kind, times, share, postcode, retry_after))

    def control(self, document: dict) -> None:
        """Do what a `POST /_control` says: a fault, a `latency`, a `seed`, the `keys` to accept, or `reset`."""
        if document.pop("reset", False) or "seed" in document:
            self.faults.clear(document.pop("seed", 0))
        if "latency" in document:
            self.latency = float(document.pop("latency"))
        if "keys" in document:
            self.keys = frozenset(document.pop("keys"))
        if document:
            self.faults.add(Fault.read(document))

    def answer(self, name: str, api: ModuleType, request: Request) -> tuple[Reply, Fault | None]:
        """Count one call and decide what becomes of it."""
        question = api.read(request)
        self._calls.append(Call(name, question.key, question.country, question.postcode, time.monotonic()))
        self.closing.wait(self.latency)
        if question.key not in self.keys:
            return api.refused(question), None
        fault = self.faults.strike(question.postcode)
        return _reply(api, question, fault.kind if fault else None), fault


def _reply(api: ModuleType, question: Question, kind: str | None) -> Reply:
    if kind in faults.STATUSES:
        return api.status(kind)
    if kind == "not_json":
        return Reply(200, b"<html>Sign in to the network</html>", "text/html")
    if kind and kind.isdigit():
        return Reply(int(kind), b"{}")
    if not question.complete:
        return api.status("INVALID_REQUEST")
    found = partial(api.found_address, question) if question.address else api.found
    place = places.find(question.country, question.postcode)
    return found(_twisted(place, kind), kind) if place else api.status("ZERO_RESULTS")


def _twisted(place: places.Place, kind: str | None) -> places.Place:
    changes = {
        "wrong_country": {"country": "MX" if place.country != "MX" else "US"},
        "null_island": {"latitude": 0.0, "longitude": 0.0},
        "partial_match": {"postcode": "99999"},
    }
    return replace(place, **changes.get(kind, {}))


@cache
def gzip_bomb() -> bytes:
    """Make 0.6 MB that unpack to 600 MB."""
    packer, zeros = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS), bytes(1_000_000)
    return b"".join(packer.compress(zeros) for _ in range(600)) + packer.flush()


class _Handler(BaseHTTPRequestHandler):
    server: Google
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer, or Nagle's algorithm delays each by 40 ms
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/_calls":
            self._send(reply(summary(self.server.calls)))
        else:
            self._call()

    def do_POST(self) -> None:
        if self.path == "/_control":
            self._control()
        else:
            self._call()

    def log_message(self, *_: object) -> None:
        """Say nothing: the path holds the key."""

    def _call(self) -> None:
        body, parts = self._body(), urlsplit(self.path)
        if (self.command, parts.path) not in _APIS:
            self._send(Reply(404, b"no such page\n", "text/plain"))
            return
        request = Request(dict(parse_qsl(parts.query)), self.headers, body)
        answer, fault = self.server.answer(*_APIS[self.command, parts.path], request)
        kind = fault.kind if fault else None
        if kind in {"hang", "disconnect"}:
            self.server.closing.wait(None if kind == "hang" else 0)
            self.close_connection = True
        elif kind in {"slow_head", "slow_body"}:
            self._drip(answer, in_head=kind == "slow_head")
        elif kind == "gzip_bomb":
            self._send(Reply(200, gzip_bomb()), encoding="gzip")
        else:
            self._send(answer, fault.retry_after if fault else None, short=kind == "truncated")

    def _control(self) -> None:
        try:
            self.server.control(json.loads(self._body()))
        except (TypeError, ValueError) as mistake:
            self._send(reply({"error": str(mistake)}, 400))
        else:
            self._send(reply({"ok": True}))

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _drip(self, answer: Reply, *, in_head: bool) -> None:
        """Send a byte a second, from the answer's first byte on or from its body's."""
        length = f"HTTP/1.1 {answer.code} OK\r\nContent-Length: {len(answer.body)}\r\n\r\n".encode()
        fast, slow = (b"", length + answer.body) if in_head else (length, answer.body)
        self.close_connection = True
        with suppress(OSError):  # the caller went away
            self.wfile.write(fast)
            for number in range(len(slow)):
                self.wfile.write(slow[number : number + 1])
                self.wfile.flush()
                if self.server.closing.wait(1):
                    return

    def _send(
        self, answer: Reply, retry_after: str | None = None, *, short: bool = False, encoding: str | None = None
    ) -> None:
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.content_type)
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.send_header("Content-Length", str(len(answer.body)))
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(answer.body[: len(answer.body) // 2] if short else answer.body)
        self.close_connection = self.close_connection or short


@contextmanager
def serving(port: int = 0, keys: Iterable[str] = (KEY,), latency: float = 0) -> Iterator[Google]:
    """Run the server in a thread of this process, until the block ends."""
    google = Google(port, keys, latency)
    thread = threading.Thread(target=google.serve_forever, kwargs={"poll_interval": 0.02}, name="google", daemon=True)
    thread.start()
    try:
        yield google
    finally:
        google.closing.set()
        google.shutdown()
        google.server_close()
        thread.join()
