"""
A table in chunks: ranges of blocks, each read by a statement of its own, so that a killed read goes on where it was.

A row version never moves while its file stays the same, so whoever reads the chunks of one layout, at whatever moments,
meets each row version of a window at most once. What changes between two moments is written anew by a transaction that
the window does not reach, and so belongs to a later one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from math import ceil

import adbc_driver_manager
import pyarrow as pa

from include.medallion import bronze
from include.medallion.bronze import SourceTable
from include.medallion.bronze_connection import rows
from include.medallion.parquet import ahead
from include.medallion.pipeline import Parts, Source
from include.medallion.window import Window

READERS = 2
"""Connections that read at the same time: decoding takes longer than sending, so one leaves the server idle."""
MOST = 64
_RANGE_SCANS = 140_000  # the server version from which a range of blocks is read without the rest (PostgreSQL 14)


Connect = Callable[[], AbstractContextManager[adbc_driver_manager.AdbcConnection]]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a table's rows lie."""

    identity: str  # another one if a file was written anew, or the columns changed
    chunks: int
    size: int  # blocks in each chunk; the last has no end

    @property
    def conditions(self) -> list[str]:
        """SQL of each chunk: together they are all rows, and no row is in two."""
        edges = [f"'({n * self.size},0)'::tid" for n in range(1, self.chunks)]
        first = [None, *edges]
        return [_between(low, high) for low, high in zip(first, [*edges, None], strict=True)]


WHOLE = Layout("", 1, 0)
"""Rows that come from anywhere: one chunk."""


def lay_out(connection: adbc_driver_manager.AdbcConnection, source: Source, table: SourceTable, parts: Parts) -> Layout:
    """
    Keep a table's files as they are until the connection ends, and cut it into chunks of equal size.

    There are at least as many as the table would make parts, so that a part can be a run of chunks; at most `MOST`, and
    before PostgreSQL 14 the whole table is one.

    Args:
        parts: the size that a chunk may have, in MiB of each partition, and a part, in rows.

    Raises:
        SettingError: the role may not read the table.
    """
    bronze.lock(connection, source)
    found = rows(connection, "bronze_layout", relation=table.relation)[0]
    most = MOST if found["server"] >= _RANGE_SCANS else 1
    wanted = min(parts.most, ceil(table.rows / parts.rows))
    chunks = min(most, max(1, found["bytes"] // (parts.chunk_mb << 20), wanted))
    blocks = found["bytes"] // found["block_bytes"]
    seen = [found["files"], *((c.name, str(c.read_type)) for c in table.columns)]
    return Layout(sha256(repr(seen).encode()).hexdigest(), chunks, blocks // chunks + 1)


def read(
    connections: Sequence[Connect],
    source: Source,
    table: SourceTable,
    window: Window,
    layout: Layout,
    done: Sequence[int] = (),
) -> Iterator[tuple[int, pa.RecordBatch | None]]:
    """
    Stream the chunks that are not done, as `bronze.read` does: on each connection the next one that nobody reads.

    Yields the chunk's number with each of its batches, and with None at its end.

    Args:
        connections: whatever snapshot each of them reads in.
    """
    wanted = [(number, condition) for number, condition in enumerate(layout.conditions) if number not in done]
    todo, readers = iter(wanted), connections[: len(wanted)]
    return ahead(*(_taken(todo, connect, source, table, window) for connect in readers))


def _taken(
    todo: Iterator[tuple[int, str]], connect: Connect, source: Source, table: SourceTable, window: Window
) -> Iterator[tuple[int, pa.RecordBatch | None]]:
    with connect() as connection:
        for number, condition in todo:
            yield from _numbered(number, bronze.read(connection, source, table, window, condition))


def whole(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch | None]]:
    """Return batches as the one chunk of WHOLE."""
    return ahead(_numbered(0, batches))


def _numbered(chunk: int, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch | None]]:
    for batch in batches:
        yield chunk, batch
    yield chunk, None


def _between(low: str | None, high: str | None) -> str:
    limits = [f"ctid >= {low}" if low else None, f"ctid < {high}" if high else None]
    return " AND ".join(filter(None, limits)) or "true"
