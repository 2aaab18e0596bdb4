"""Ports and secrets that are chosen once per sandbox and kept in its state folder."""

from __future__ import annotations

import fcntl
import json
import os
import random
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# below the range from which the kernel takes the ports of outgoing connections
PORTS = range(20_000, 32_768)


def port(state: Path, name: str, *, busy_is_ours: bool = False) -> int:
    """
    Return the port that belongs to `name`, chosen at the first call.

    A kept port that another program took meanwhile is replaced, unless the
    caller knows that the program is its own.
    """
    with _kept(state / "ports.json") as ports:
        if name not in ports or not (busy_is_ours or _free(ports[name])):
            taken = set(ports.values())
            ports[name] = next(p for p in _shuffled() if p not in taken and _free(p))
        return ports[name]


def secret(state: Path, name: str) -> str:
    """Return the secret of this name, made at the first call: URL-safe, readable by the owner only."""
    with _kept(state / "secrets.json") as kept:
        return kept.setdefault(name, secrets.token_urlsafe(32))


def write(path: Path, text: str) -> None:
    """Replace a file at once by one that only its owner can read."""
    fresh = path.with_suffix(path.suffix + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
        f.write(text)
    fresh.replace(path)


@contextmanager
def _kept(path: Path) -> Iterator[dict]:
    """Lend a JSON file's content and store what the caller made of it; one caller at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        content = json.loads(path.read_text()) if path.exists() else {}
        before = dict(content)
        yield content
        if content != before:
            write(path, json.dumps(content, indent=1))


def _shuffled() -> list[int]:
    return random.sample(PORTS, len(PORTS))


def _free(number: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True
