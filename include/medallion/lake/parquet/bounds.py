"""Bounds of columns, from the statistics in a file's footer."""

from __future__ import annotations

import pyarrow.parquet as pq


def column_bounds(footer: pq.FileMetaData, name: str) -> tuple[int, int] | None:
    """
    Return the smallest and the largest value of an integer column.

    Returns:
        The bounds, which hold for every row; None if a row group does not record them, if a value is NULL, or if the
        file has no rows (`footer.num_rows`) and so no bounds.
    """
    index = [footer.schema.column(place).path for place in range(footer.num_columns)].index(name)
    chunks = [footer.row_group(g).column(index).statistics for g in range(footer.num_row_groups)]
    if not chunks or not all(s and s.has_min_max and s.null_count == 0 for s in chunks):
        return None
    return min(s.min for s in chunks), max(s.max for s in chunks)
