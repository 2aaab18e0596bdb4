"""
Keys of a batch on their way into Gold: unique, and matched within their range.

Bounds are used (and written to the Delta log) for integer keys only: a text key may be somebody's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.errors import ContractBroken
from include.medallion.gold.write.files import GoldBatch, stat_columns
from include.medallion.lake.parquet import column_bounds
from include.medallion.lake.parquet_files import read_footer
from include.medallion.model.columns import quote_identifier
from include.medallion.staging.files import read_staged_table
from include.medallion.staging.parts import StagedFile

ROWS_PER_PASS = 1 << 23  # whose keys are held in memory at a time
Range = tuple[int, int]


def merge_predicate(key: Sequence[str], ranges: Mapping[str, Range]) -> str:
    """Return the MERGE condition: same key, within the batch's range, so that files outside of it are not read."""
    same = [f"target.{quote_identifier(c)} = source.{quote_identifier(c)}" for c in key]
    within = [f"target.{quote_identifier(c)} BETWEEN {low} AND {high}" for c, (low, high) in ranges.items()]
    return " AND ".join([*same, *within])


def key_ranges(batch: GoldBatch) -> dict[str, Range]:
    """Return the least and greatest value of each bounded key column, from the statistics of the staged files."""
    found = {name: _range(batch, name) for name in stat_columns(batch.key, batch.schema)}
    return {name: values for name, values in found.items() if values}


def is_append_only(batch: GoldBatch) -> bool:
    """Return whether the table surely holds no key of the batch: it is empty, or all its keys are below the batch's."""
    if not batch.table.file_uris():
        return True
    files = pa.table(batch.table.get_add_actions(flatten=True))
    return any(_is_above(files, name, low) for name, (low, _) in key_ranges(batch).items())


def _is_above(files: pa.Table, name: str, low: int) -> bool:
    """Compare with each file's greatest key in the log; a file without one may hold any key."""
    if f"max.{name}" not in files.schema.names:
        return False
    greatest = files.column(f"max.{name}")
    return greatest.null_count == 0 and bool(pc.max(greatest).as_py() < low)


def check_unique(batch: GoldBatch) -> None:
    """
    Check that no key is in the batch twice: Delta would insert both rows.

    Raises:
        ContractBroken: how many rows repeat a key.
    """
    passes = max(1, ceil(batch.rows / ROWS_PER_PASS))
    repeated = sum(_count_repeated(batch, number, passes) for number in range(passes))
    if repeated:
        raise ContractBroken(
            f"{repeated:,} rows of batch {batch.window.batch_id} repeat a key: source.key must be unique"
        )


def _count_repeated(batch: GoldBatch, number: int, passes: int) -> int:
    """Count rows that repeat a key, among one share of the keys."""
    keys = pa.concat_tables(_keys_of_share(_keys(batch, file), number, passes) for file in batch.files)
    if keys.num_columns == 1 and keys.num_rows and pa.types.is_integer(keys.schema.types[0]):
        ordered = np.sort(keys[0].to_numpy())
        return int(np.count_nonzero(ordered[1:] == ordered[:-1]))
    return int(keys.num_rows - keys.group_by(batch.key).aggregate([]).num_rows)


def _keys_of_share(keys: pa.Table, number: int, passes: int) -> pa.Table:
    """Return the keys whose remainder is the share's number; of keys that are no integers the first share gets all."""
    if pa.types.is_integer(keys.schema.types[0]):
        return keys.filter(pa.array(keys[0].to_numpy() % passes == number)) if passes > 1 else keys
    return keys if number == 0 else keys.slice(0, 0)


def _range(batch: GoldBatch, column: str) -> Range | None:
    found = []
    for file in (file for file in batch.files if file.info.rows):
        bounds = column_bounds(read_footer(batch.lake, file.path, file.info), column)
        if bounds is None:
            return None
        found.append(bounds)
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None


def _keys(batch: GoldBatch, file: StagedFile) -> pa.Table:
    return read_staged_table(batch.lake, file, batch.key).select(batch.key)
