"""
Connections that give a whole answer a deadline, from the first byte of its head to the last of its body.

A time-out of a socket bounds each silence: a server that sends a byte a second keeps a caller for
ever. Here the socket's time-out becomes, once an answer is awaited, the time that is left for all of
it. Names are resolved by the operating system, with its own time-out.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any

import requests
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class _UntilDeadline(io.RawIOBase):
    """Reads of a socket that end together at one moment."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        """Keep the moment at which the socket's present time-out is over."""
        self._raw, self._sock = raw, sock
        seconds = sock.gettimeout()
        self._end = None if seconds is None else time.monotonic() + seconds

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what comes next, in what is left of the time."""
        if self._end is not None:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer took too long")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Close the socket's reader."""
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *options: Any, **named: Any) -> None:
        super().__init__(sock, *options, **named)
        self.fp = io.BufferedReader(_UntilDeadline(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _Response


class _SecureConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class Adapter(requests.adapters.HTTPAdapter):
    """A transport whose answers are bounded in time by `urllib3.Timeout(total=...)`."""

    def init_poolmanager(self, *options: Any, **named: Any) -> None:
        """Use the connections of this module."""
        super().init_poolmanager(*options, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
        """Use the connections of this module behind a proxy, too."""
        manager = super().proxy_manager_for(proxy, **named)
        if not proxy.lower().startswith("socks"):  # that has connections of its own, with time-outs of each silence
            manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        return manager
