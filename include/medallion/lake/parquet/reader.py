"""
One Parquet file that is being read: what it holds is verified before it is decoded.

A `Reader` with the `FileInfo` of its file returns the values that were written or raises. Without it, damage is still
found in column chunks that carry checksums, as those of a `Writer` do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import pyarrow as pa
import pyarrow.parquet as pq

from include.medallion.errors import ContractBroken
from include.medallion.lake.parquet.checksums import FileInfo, checksum, to_text
from include.medallion.lake.parquet.footer import MAGIC, read_footer
from include.medallion.lake.parquet.layout import DECODE_ERRORS, ChunkLayout, FileLayout, GroupLayout, read_layout
from include.medallion.lake.parquet.row_groups import (
    BATCH_ROWS,
    MAX_GROUP_BYTES,
    MAX_GROUP_ROWS,
    DecodedRowGroup,
    EncodedRowGroup,
    RowGroup,
)

_PIECE_BYTES = 4 << 20  # of a larger chunk that is verified piece by piece
_PARALLEL_READS = 4  # of ranges of a file


class Reader:
    """
    One opened Parquet file of flat columns and lists.

    Args:
        file: the file, opened for random access; the caller closes it.
        name: what messages call it.
        info: what a manifest records of the file; None if no manifest lists it.

    Raises:
        ContractBroken: the size or the footer is not what `info` says.
    """

    def __init__(self, file: pa.NativeFile, name: str, info: FileInfo | None = None) -> None:
        self._file, self._name = file, name
        self._footer = self._read_footer(info)

    @cached_property
    def metadata(self) -> pq.FileMetaData:
        """
        The footer as pyarrow decodes it.

        Raises:
            ContractBroken: it cannot.
        """
        try:
            return pq.read_metadata(pa.BufferReader(self._footer))
        except (pa.ArrowException, OSError) as error:
            raise self._damaged("its footer cannot be decoded") from error

    @property
    def schema(self) -> pa.Schema:
        """The columns; raises as `metadata` does."""
        try:
            return self.metadata.schema.to_arrow_schema()
        except pa.ArrowException as error:
            raise self._damaged("its columns cannot be decoded") from error

    def read_groups(self, columns: Collection[str] | None = None) -> Iterator[RowGroup]:
        """
        Read the row groups one by one; memory holds one.

        Args:
            columns: columns to read; those that the file does not have are left out. None reads all.

        Returns:
            A row group for each of the file, or several for one that is larger than MAX_GROUP_ROWS or MAX_GROUP_BYTES.

        Raises:
            ContractBroken: the footer cannot be decoded, or a column chunk does not match its checksum.
        """
        for group in self._layout.groups:
            wanted = [chunk for chunk in group.chunks if columns is None or chunk.name in columns]
            if not group.rows:
                continue
            if _fits_in_memory(group, wanted):
                yield EncodedRowGroup(self._name, self.metadata, group, self._read_chunks(group, wanted))
            else:
                yield from self._read_large_group(group, wanted)

    def read_batches(self, columns: Collection[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Decode the rows in batches of at most BATCH_ROWS; arguments and errors as `read_groups`."""
        for group in self.read_groups(columns):
            batch = group.read(group.names)
            for start in range(0, group.rows, BATCH_ROWS):
                yield batch.slice(start, BATCH_ROWS)

    def verify(self) -> None:
        """
        Verify every byte of a file that a `Writer` wrote, without decoding.

        Raises:
            ContractBroken: a byte is not what was written.
        """
        chunks = sorted((c for group in self._layout.groups for c in group.chunks), key=lambda chunk: chunk.start)
        starts, ends = [*(c.start for c in chunks), self._layout.end], [len(MAGIC), *(c.end for c in chunks)]
        if self._file.read_at(len(MAGIC), 0) != MAGIC or starts != ends:
            raise self._damaged("it has bytes that no checksum covers")
        if any(chunk.checksum is None for chunk in chunks):
            raise self._damaged("a column has no checksum")
        for group in self._layout.groups:
            if _fits_in_memory(group, group.chunks):
                self._read_chunks(group, group.chunks)
            else:
                self._verify_chunks(group, group.chunks)

    def _read_footer(self, info: FileInfo | None) -> bytes:
        if info and self._file.size() != info.size:
            raise self._damaged(f"it has {self._file.size():,} bytes instead of {info.size:,}")
        try:
            footer = read_footer(self._file)
        except ValueError as error:
            raise self._damaged("it does not end as a Parquet file does") from error
        if info and to_text(checksum(footer)) != info.checksum:
            raise self._damaged("its footer does not match its checksum")
        return footer

    @cached_property
    def _layout(self) -> FileLayout:
        """Where the column chunks are; decoded when the first is read, which a schema does without."""
        try:
            return read_layout(self._footer, self._file.size() - len(self._footer))
        except DECODE_ERRORS as error:
            raise self._damaged("its footer cannot be decoded") from error

    def _read_chunks(self, group: GroupLayout, wanted: Sequence[ChunkLayout]) -> dict[str, pa.Buffer]:
        """Read chunks by as few ranges of the file as they are in, and verify them."""
        found = {}
        for chunk, data in self._read_ranges(wanted):
            if chunk.checksum and to_text(checksum(data)) != chunk.checksum:
                raise self._mismatch(group, chunk)
            found[chunk.name] = data
        return found

    def _read_ranges(self, wanted: Sequence[ChunkLayout]) -> Iterator[tuple[ChunkLayout, pa.Buffer]]:
        """Read ranges of the file at the same time: each is a request to the object storage."""
        runs = _neighbours(wanted)
        with ThreadPoolExecutor(_PARALLEL_READS, thread_name_prefix="parquet") as pool:
            read = pool.map if len(runs) > 1 else map
            for run, data in zip(runs, read(self._read_run, runs), strict=True):
                for chunk in run:
                    yield chunk, data.slice(chunk.start - run[0].start, chunk.end - chunk.start)

    def _read_run(self, run: Sequence[ChunkLayout]) -> pa.Buffer:
        return pa.py_buffer(self._file.read_at(run[-1].end - run[0].start, run[0].start))

    def _read_large_group(self, group: GroupLayout, wanted: Sequence[ChunkLayout]) -> Iterator[RowGroup]:
        """Verify a row group piece by piece, then read it again to decode it: memory holds a batch."""
        self._verify_chunks(group, wanted)
        names = [chunk.name for chunk in wanted]
        file = pq.ParquetFile(self._file, metadata=self.metadata, pre_buffer=True)
        for batch in file.iter_batches(BATCH_ROWS, row_groups=[group.number], columns=names):
            yield DecodedRowGroup(batch.select(names))

    def _verify_chunks(self, group: GroupLayout, chunks: Sequence[ChunkLayout]) -> None:
        for chunk in chunks:
            crc = 0
            for start in range(chunk.start, chunk.end, _PIECE_BYTES) if chunk.checksum else ():
                crc = checksum(self._file.read_at(min(_PIECE_BYTES, chunk.end - start), start), crc)
            if chunk.checksum and to_text(crc) != chunk.checksum:
                raise self._mismatch(group, chunk)

    def _mismatch(self, group: GroupLayout, chunk: ChunkLayout) -> ContractBroken:
        number = group.chunks.index(chunk)
        return self._damaged(f"column {number} of row group {group.number} does not match its checksum")

    def _damaged(self, what: str) -> ContractBroken:
        return ContractBroken(f"{self._name} is damaged: {what}")


def _fits_in_memory(group: GroupLayout, wanted: Sequence[ChunkLayout]) -> bool:
    size = sum(chunk.uncompressed_bytes for chunk in wanted)
    return not wanted or (group.rows <= MAX_GROUP_ROWS and size <= MAX_GROUP_BYTES)


def _neighbours(chunks: Sequence[ChunkLayout]) -> list[list[ChunkLayout]]:
    """Return runs of chunks that follow each other in the file without a gap."""
    runs: list[list[ChunkLayout]] = []
    for chunk in sorted(chunks, key=lambda chunk: chunk.start):
        if runs and runs[-1][-1].end == chunk.start:
            runs[-1].append(chunk)
        else:
            runs.append([chunk])
    return runs
