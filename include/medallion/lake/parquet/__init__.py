"""
Parquet files of flat columns: written, read, verified, and copied column by column as they are encoded.

The package owns the file format. Column chunks, their encodings and `thrift` are not visible outside of it: others
import the names below, and `prefetch`. It may import `errors` only, and knows neither where files are (`lake`) nor what
their rows mean.

    Writer      writes a file: rows, or row groups of other files whose unchanged columns it copies
    Reader      reads a file, row group by row group, and verifies it against its checksums
    RowGroup    neighbouring rows of a file, decoded on demand
    FileInfo    rows, size and checksum of a written file, for a manifest
"""

from include.medallion.lake.parquet.bounds import column_bounds
from include.medallion.lake.parquet.checksums import FileInfo
from include.medallion.lake.parquet.reader import Reader
from include.medallion.lake.parquet.row_groups import BATCH_ROWS, MAX_GROUP_ROWS, RowGroup
from include.medallion.lake.parquet.writer import COMPRESSION, Writer

__all__ = [
    "BATCH_ROWS",
    "COMPRESSION",
    "MAX_GROUP_ROWS",
    "FileInfo",
    "Reader",
    "RowGroup",
    "Writer",
    "column_bounds",
]
