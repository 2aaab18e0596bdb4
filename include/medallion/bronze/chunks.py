"""
A table in chunks: ranges of blocks, each read by a statement of its own, so that a killed read goes on where it was.

A row version never moves while its file stays the same, so whoever reads the chunks of one layout, at whatever moments,
meets each row version of a window at most once. What changes between two moments is rewritten by a transaction that
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

from include.medallion.bronze import rows as bronze_rows
from include.medallion.bronze.postgres.connection import fetch_rows
from include.medallion.bronze.table import SourceTable
from include.medallion.config.sections.tables import Parts, Source
from include.medallion.lake.parquet.prefetch import prefetch
from include.medallion.model.window import Window

PARALLEL_READERS = 2
"""Connections that read at the same time: decoding takes longer than sending, so one leaves the server idle."""
MAX_CHUNKS = 64
_TID_RANGE_SCAN_VERSION = (
    140_000  # the server version from which a range of blocks is read without the rest (PostgreSQL 14)
)


Connect = Callable[[], AbstractContextManager[adbc_driver_manager.AdbcConnection]]


@dataclass(frozen=True, slots=True)
class ChunkLayout:
    """Where a table's rows lie."""

    identity: str  # another one if a file was rewritten, or the columns changed
    chunks: int
    size: int  # blocks in each chunk; the last has no end

    @property
    def conditions(self) -> list[str]:
        """SQL of each chunk: together they are all rows, and no row is in two."""
        edges = [f"'({n * self.size},0)'::tid" for n in range(1, self.chunks)]
        first = [None, *edges]
        return [_block_range(low, high) for low, high in zip(first, [*edges, None], strict=True)]


SINGLE_CHUNK = ChunkLayout("", 1, 0)
"""Rows that come from anywhere: one chunk."""


def plan_chunks(
    connection: adbc_driver_manager.AdbcConnection, source: Source, table: SourceTable, parts: Parts
) -> ChunkLayout:
    """
    Keep a table's files as they are until the connection ends, and cut it into chunks of equal size.

    There are at least as many as the table would make parts, so that a part can be a run of chunks; at most `MOST`, and
    before PostgreSQL 14 the whole table is one.

    Args:
        parts: the size that a chunk may have, in MiB of each partition, and a part, in rows.

    Raises:
        SettingError: the role may not read the table.
    """
    bronze_rows.lock_table(connection, source)
    found = fetch_rows(connection, "layout", relation=table.relation)[0]
    most = MAX_CHUNKS if found["server"] >= _TID_RANGE_SCAN_VERSION else 1
    wanted = min(parts.max_parts, ceil(table.rows / parts.rows_per_part))
    chunks = min(most, max(1, found["bytes"] // (parts.chunk_mb << 20), wanted))
    blocks = found["bytes"] // found["block_bytes"]
    seen = [found["files"], *((c.name, str(c.read_type)) for c in table.columns)]
    return ChunkLayout(sha256(repr(seen).encode()).hexdigest(), chunks, blocks // chunks + 1)


def read_chunks(
    connections: Sequence[Connect],
    source: Source,
    table: SourceTable,
    window: Window,
    layout: ChunkLayout,
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
    return prefetch(*(_read_next_chunks(todo, connect, source, table, window) for connect in readers))


def _read_next_chunks(
    todo: Iterator[tuple[int, str]], connect: Connect, source: Source, table: SourceTable, window: Window
) -> Iterator[tuple[int, pa.RecordBatch | None]]:
    """
    Read the next chunks, unless DDL waits for the table.

    DDL waits for the first reader, whose lock lasts until the end, and another reader would wait for the DDL:
    PostgreSQL does not see that the readers are one. The first one reads all chunks then.
    """
    with connect() as connection:
        if not bronze_rows.try_lock(connection, source):
            return
        for number, condition in todo:
            yield from _with_chunk_number(number, bronze_rows.read_rows(connection, source, table, window, condition))


def as_single_chunk(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch | None]]:
    """Return batches as the one chunk of WHOLE."""
    return prefetch(_with_chunk_number(0, batches))


def _with_chunk_number(chunk: int, batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch | None]]:
    for batch in batches:
        yield chunk, batch
    yield chunk, None


def _block_range(low: str | None, high: str | None) -> str:
    limits = [f"ctid >= {low}" if low else None, f"ctid < {high}" if high else None]
    return " AND ".join(filter(None, limits)) or "true"
