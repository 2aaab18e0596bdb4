"""
Staged files into Snowflake: PUT and COPY into a table of their own.

Every try has its own table and, with it, that table's internal stage: two tries of one batch at once (one presumed
dead, and its retry) cannot touch each other's rows, and dropping the table drops the files.
"""

from __future__ import annotations

import re
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import tenacity
from pyarrow import fs

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake
from include.medallion.lake.parquet import Writer
from include.medallion.lake.parquet.prefetch import prefetch
from include.medallion.model.columns import VERSION, Column, quote_identifier, snowflake_name, typed_column
from include.medallion.model.types.arrays import lists_to_json
from include.medallion.model.types.documents import as_variant_json
from include.medallion.model.types.table import ARRAY, TEXT, TIME, VARIANT
from include.medallion.model.window import Window
from include.medallion.silver.statements import fetch_all, run_sql
from include.medallion.silver.table import definitions
from include.medallion.staging.files import read_staged_rows
from include.medallion.staging.parts import StagedFile

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

SNAPPY = "snappy"  # what COPY reads of Parquet's compressions (docs.snowflake.com/en/sql-reference/sql/copy-into-table)
_CONVERSIONS = {VARIANT: "PARSE_JSON({})", ARRAY: "PARSE_JSON({})::ARRAY", TIME: "{}::TIME(6)"}
"""SQL that makes a value of a type out of the text that is staged for it."""
_ROW_VERSION = typed_column(VERSION, pa.int64())


@dataclass(frozen=True)
class Content:
    """
    What a staging table gets.

    Args:
        columns: of the rows, without `_version`, which they have too.
        key: columns in which no two rows are equal.
        suffix: end of the table's name, by which `drop_orphans` tells kinds of tables apart.
    """

    columns: Sequence[Column]
    key: Sequence[str]
    files: Sequence[StagedFile]
    suffix: str = ""


@contextmanager
def staging_table(cursor: SnowflakeCursor, lake: Lake, window: Window, content: Content) -> Iterator[str]:
    """
    Create a table for this try and copy the files into it; drop it in any case.

    Yields:
        The table's name.

    Raises:
        ContractBroken: the rows are not those that the manifests name, or a key is among them twice.
    """
    table = f"{_prefix(window.pipeline)}{window.batch_id}_{uuid.uuid4().hex.upper()}{content.suffix}"
    cursor.execute(f"CREATE TRANSIENT TABLE {table} ({definitions(_staged_columns(content.columns))})")
    try:
        _copy(cursor, lake, content, table)
        _check(cursor, content, table)
        yield table
    finally:
        _drop_table(cursor, table)


def drop_orphans(cursor: SnowflakeCursor, pipeline: Pipeline, newest: int, suffix: str = "") -> None:
    """Drop what killed tries of batch `newest` or an older one left, where nobody needs it any more."""
    prefix = _prefix(pipeline.name)
    found = fetch_all(cursor, f"SHOW TERSE TABLES LIKE '{prefix}%'")
    for name in (row[1] for row in found):
        batch = re.fullmatch(rf"{prefix}(\d+)_[0-9A-F]{{32}}{suffix}", name)
        if batch and int(batch[1]) <= newest:
            _drop_table(cursor, name)


# Another try may drop the table in the same moment: a statement that lost to it finds no table when it is repeated.
@tenacity.retry(
    retry=tenacity.retry_if_exception(lambda e: type(e).__name__ == "ProgrammingError"),  # as PEP 249 calls it
    stop=tenacity.stop_after_attempt(5),
    wait=tenacity.wait_random(0, 0.2),
    reraise=True,
)
def _drop_table(cursor: SnowflakeCursor, table: str) -> None:
    cursor.execute(f"DROP TABLE IF EXISTS {table}")


def staged_values(columns: Sequence[Column]) -> str:
    """Return the SQL of a row's values, in the types of the table, from a staging table called `b`."""
    return ", ".join(_value(column) for column in (*columns, _ROW_VERSION))


def _value(column: Column) -> str:
    name = quote_identifier(column.snowflake_name)
    conversion = _CONVERSIONS.get(column.snowflake_type)
    return f"{conversion.format(f'b.{name}')} AS {name}" if conversion else f"b.{name}"


def _staged_columns(columns: Sequence[Column]) -> list[Column]:
    """Return the columns of a staging table: what COPY cannot read in its type is text."""
    every = (*columns, _ROW_VERSION)
    return [replace(c, snowflake_type=TEXT) if c.snowflake_type in _CONVERSIONS else c for c in every]


def _prefix(pipeline: str) -> str:
    return f"_MEDALLION_{pipeline.upper()}_"


def _copy(cursor: SnowflakeCursor, lake: Lake, content: Content, table: str) -> None:
    """Upload each staged file while the next one is written (the disk holds three at most), then COPY them all."""
    with tempfile.TemporaryDirectory() as folder:
        for file in prefetch(_write_files(lake, content, Path(folder))):
            cursor.execute(f"PUT 'file://{file}' @%{table} AUTO_COMPRESS = FALSE OVERWRITE = TRUE")
            file.unlink()
    run_sql(cursor, "copy", staged=table)


def _write_files(lake: Lake, content: Content, folder: Path) -> Iterator[Path]:
    """Write the staged files as COPY reads them."""
    for staged in content.files:
        file = folder / staged.path.rpartition("/")[2]
        _write_for_snowflake(lake, content.columns, staged, file)
        yield file


def _write_for_snowflake(lake: Lake, columns: Sequence[Column], staged: StagedFile, file: Path) -> None:
    """Write a staged file as COPY reads it: Snowflake's column names, times as text, documents and lists as JSON."""
    every = [*columns, _ROW_VERSION]
    names = [c.name for c in every]
    schema = pa.schema([(c.snowflake_name, _copied_type(c)) for c in every])
    with Writer(str(file), schema, fs.LocalFileSystem(), SNAPPY) as out:
        for batch in prefetch(read_staged_rows(lake, [staged], names)):
            arrays = [_copied_values(batch.column(c.name), c) for c in every]
            out.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))


def _copied_type(column: Column) -> pa.DataType:
    is_text = pa.types.is_timestamp(column.type) or column.snowflake_type in _CONVERSIONS
    return pa.string() if is_text else column.type


def _copied_values(values: pa.Array, column: Column) -> pa.Array:
    if column.snowflake_type == ARRAY:
        return lists_to_json(values)
    if column.snowflake_type == VARIANT:
        return as_variant_json(values, may_repeat_names=column.may_repeat_names)
    return _iso_text(values) if pa.types.is_timestamp(values.type) else values


def _iso_text(values: pa.Array) -> pa.Array:
    """
    Return times as ISO text, with Z for UTC.

    Arrow's own cast of times with a zone takes five to twenty times as long, for the same text.
    """
    text = values.cast(pa.timestamp(values.type.unit)).cast(pa.string())
    return pc.binary_join_element_wise(text, "Z", "") if values.type.tz else text


def _check(cursor: SnowflakeCursor, content: Content, table: str) -> None:
    """Check what Snowflake would report only in the middle of a MERGE, or not at all."""
    rows = sum(file.info.rows for file in content.files)
    key = ", ".join(quote_identifier(snowflake_name(c)) for c in content.key)
    count, distinct = run_sql(cursor, "staged", staged=table, key=key)
    if count != rows:
        raise ContractBroken(f"COPY loaded {count:,} of {rows:,} rows into {table}: clear `enrich` to stage them again")
    if distinct != rows:
        raise ContractBroken(f"{rows - distinct:,} rows of {table} repeat a key: source.key must be unique")
