"""
A batch on its way into Snowflake: PUT and COPY into a table of its own.

Every try has its own table, and with it that table's own stage: two tries of
one batch at once (one taken for dead, and its retry) cannot touch each other's
rows, and dropping the table drops the files.
"""

from __future__ import annotations

import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import tenacity
from pyarrow import fs

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake, read_rows
from include.medallion.lake.parquet.prefetch import prefetch
from include.medallion.lake.parquet.writer import Writer
from include.medallion.model.columns import VERSION, Column, quote_identifier, snowflake_name, typed_column
from include.medallion.model.window import Window
from include.medallion.staging.layout import ENRICHED
from include.medallion.staging.parts import Part

if TYPE_CHECKING:
    from snowflake.connector.cursor import SnowflakeCursor

SQL = Path(__file__).parent / "sql"
SNAPPY = "snappy"  # what COPY reads of Parquet's compressions (docs.snowflake.com/en/sql-reference/sql/copy-into-table)
_ROW_VERSION = typed_column(VERSION, pa.int64())


@contextmanager
def staged_table(
    cursor: SnowflakeCursor,
    lake: Lake,
    pipeline: Pipeline,
    columns: tuple[Column, ...],
    window: Window,
    parts: list[Part],
    stage: str = ENRICHED,
    suffix: str = "",
) -> Iterator[str]:
    """
    Make this try's own table and bring the parts into it; drop it whatever happens.

    Args:
        stage: where the parts are staged; `columns` are theirs.
        suffix: end of the table's name, by which `sweep` tells kinds of tables apart.

    Raises:
        ContractBroken: the rows are not those that were read, or a key is among them twice.
    """
    table = f"{_prefix(window.pipeline)}{window.batch_id}_{uuid.uuid4().hex.upper()}{suffix}"
    cursor.execute(f"CREATE TRANSIENT TABLE {table} ({definitions([*columns, _ROW_VERSION])})")
    try:
        _copy(cursor, lake, columns, [key for part in parts for key in part.files(window, stage)], table)
        _check(cursor, pipeline, table, sum(p.rows for p in parts))
        yield table
    finally:
        _drop_table(cursor, table)


def drop_orphans(cursor: SnowflakeCursor, pipeline: Pipeline, newest: int, suffix: str = "") -> None:
    """Drop what killed tries of batch `newest` or an older one left, where nobody needs it any more."""
    prefix = _prefix(pipeline.name)
    found = cursor.execute(f"SHOW TERSE TABLES LIKE '{prefix}%'").fetchall()
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


def _prefix(pipeline: str) -> str:
    return f"_MEDALLION_{pipeline.upper()}_"


def _copy(
    cursor: SnowflakeCursor,
    lake: Lake,
    columns: tuple[Column, ...],
    keys: list[str],
    table: str,
) -> None:
    """Upload the staged files one by one (the disk holds one at a time), then COPY them all."""
    for key in keys:
        with tempfile.TemporaryDirectory() as local:
            file = Path(local) / key.rpartition("/")[2]
            _write_for_snowflake(lake, columns, key, file)
            cursor.execute(f"PUT 'file://{file}' @%{table} AUTO_COMPRESS = FALSE OVERWRITE = TRUE")
    run_sql(cursor, "copy", staged=table)


def _write_for_snowflake(lake: Lake, columns: tuple[Column, ...], key: str, file: Path) -> None:
    """Write a staged file as Snowflake reads it: its own names, times as text."""
    every = [*columns, _ROW_VERSION]
    types = [pa.string() if pa.types.is_timestamp(c.type) else c.type for c in every]
    schema = pa.schema(list(zip((c.snowflake_name for c in every), types, strict=True)))
    with Writer(str(file), schema, fs.LocalFileSystem(), SNAPPY) as out:
        for batch in prefetch(read_rows(lake, key, columns=[c.name for c in every])):
            arrays = [_iso_text(array) for array in batch.select([c.name for c in every]).columns]
            out.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))


def _iso_text(values: pa.Array) -> pa.Array:
    """
    Return times as ISO text, with Z for UTC; other columns as they are.

    Arrow's own cast of times with a zone takes five to twenty times as long, for the same text.
    """
    if not pa.types.is_timestamp(values.type):
        return values
    text = values.cast(pa.timestamp(values.type.unit)).cast(pa.string())
    return pc.binary_join_element_wise(text, "Z", "") if values.type.tz else text


def _check(cursor: SnowflakeCursor, pipeline: Pipeline, table: str, rows: int) -> None:
    """Assert what Snowflake would only tell (or not) in the middle of a MERGE."""
    key = ", ".join(quote_identifier(snowflake_name(c)) for c in pipeline.source.key)
    count, distinct = run_sql(cursor, "staged", staged=table, key=key)
    if count != rows:
        raise ContractBroken(f"COPY brought {count} of {rows} rows to {table}: clear `enrich` to stage the batch again")
    if distinct != rows:
        raise ContractBroken(f"{rows - distinct} rows of {table} repeat a key: source.key must be unique")


def definitions(columns: list[Column]) -> str:
    """Return columns as CREATE and ALTER TABLE take them."""
    return ", ".join(f"{quote_identifier(c.snowflake_name)} {c.snowflake_type}" for c in columns)


def run_sql(cursor: SnowflakeCursor, statement: str, **words: object) -> tuple:
    """Run a statement of sql/ with words filled in; return the first row of what it answers."""
    return cursor.execute((SQL / f"{statement}.sql").read_text().format(**words)).fetchone()
