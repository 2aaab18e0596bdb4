"""A network that can fail: a TCP proxy that hangs, cuts connections, or acts on a request that matches a pattern."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread

CHUNK = 1 << 16


class Proxy:
    """
    Forward each connection to a port of this machine.

    `hang` holds all bytes back for some seconds; `cut` closes all connections;
    `on` acts once on the first request that matches.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self._open, self._lock = Event(), Lock()
        self._open.set()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._rule: tuple[re.Pattern[bytes], Callable[[], None] | None] | None = None
        self.hits = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def hang(self, seconds: float) -> None:
        """Forward nothing for some seconds."""
        self._open.clear()
        Event().wait(seconds)
        self._open.set()

    def cut(self) -> None:
        """Close all connections."""
        for pair in list(self._pairs):
            self._close(pair)

    def on(self, pattern: bytes, act: Callable[[], None] | None) -> None:
        """At the next request that matches: act before it is forwarded; None: forward it, and lose the answer."""
        self._rule = (re.compile(pattern), act)

    def off(self) -> None:
        """Stop looking for a request."""
        self._rule = None

    def close(self) -> None:
        """Stop listening."""
        self._open.set()
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._open.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self.target), timeout=10)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        pair, deaf = (client, server), Event()
        for end in pair:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pairs.add(pair)
        Thread(target=self._pump, args=(server, client, pair, lambda _: not deaf.is_set()), daemon=True).start()
        self._pump(client, server, pair, lambda data: self._look(data, deaf))

    def _pump(self, source: socket.socket, sink: socket.socket, pair: tuple, look: Callable[[bytes], bool]) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                self._open.wait()
                if not look(data):
                    break
                sink.sendall(data)
        self._close(pair)

    def _look(self, data: bytes, deaf: Event) -> bool:
        with self._lock:
            rule, found = self._rule, self._rule is not None and self._rule[0].search(data)
            if found:
                self._rule = None
        if found:
            self.hits += 1
            rule[1]() if rule[1] else deaf.set()
        return True

    def _close(self, pair: tuple[socket.socket, socket.socket]) -> None:
        self._pairs.discard(pair)
        for end in pair:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
