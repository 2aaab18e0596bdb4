"""The body of an answer, read and decompressed up to a limit."""

from __future__ import annotations

import zlib

import requests

ENCODING = "gzip"
"""The `Accept-Encoding` that `read` understands."""

_PIECE = 16 * 1024  # bytes read, and compressed bytes unpacked, at a time
_GZIP = 16 + zlib.MAX_WBITS


class TooLarge(Exception):
    """The body has more bytes than the limit, before or after it was decompressed."""


class Undecodable(Exception):
    """The body is compressed in a way that was not asked for, or is not what its header says."""


def read(response: requests.Response, limit: int) -> bytes:
    """
    Return the body of a response that was opened with `stream=True`, decompressed.

    Memory holds at most `limit` bytes and a piece, even if the body expands to more.

    Raises:
        TooLarge: the body has more than `limit` bytes.
        Undecodable: the body is neither plain nor gzip.
        requests.RequestException, urllib3.exceptions.HTTPError, OSError: the connection failed.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in {"", "identity", ENCODING, f"x-{ENCODING}"}:
        raise Undecodable
    unpack = zlib.decompressobj(_GZIP) if ENCODING in encoding else None
    body, received = bytearray(), 0
    while piece := response.raw.read(_PIECE):
        received += len(piece)
        body += _unpacked(unpack, piece, limit + 1 - len(body)) if unpack else piece
        if max(received, len(body)) > limit:
            raise TooLarge
    if unpack and not unpack.eof:
        raise Undecodable
    return bytes(body)


def _unpacked(unpack: zlib._Decompress, piece: bytes, most: int) -> bytes:
    """Return at most so many bytes; the caller stops at that number, so the rest of the piece does not matter."""
    try:
        return unpack.decompress(piece, most)
    except zlib.error as error:
        raise Undecodable from error
