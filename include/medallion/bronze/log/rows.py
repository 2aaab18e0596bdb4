"""
Rows by key: what the keys that the log names are now.

All statements of a window read in one snapshot, that of the connection: later than the end of the window's log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice

import adbc_driver_manager
import pyarrow as pa

from include.medallion.bronze.log.pgoutput import Key
from include.medallion.bronze.postgres.connection import fetch_rows
from include.medallion.bronze.rows import mask_rows, read_rows, select_list
from include.medallion.bronze.table import SourceTable
from include.medallion.bronze.xid import XidEpoch
from include.medallion.config.pipeline import Pipeline
from include.medallion.config.sections.tables import Source
from include.medallion.model.columns import VERSION, Column, quote_identifier, quote_literal
from include.medallion.model.values.validation import to_sink_types, validate
from include.medallion.model.window import Window

KEYS_PER_STATEMENT = 20_000


@dataclass
class KeyedRows:
    """
    The rows of some keys, and what became of the others.

    Args:
        gone: keys, as the sinks have them, of which there is no row any more; complete once all rows are read.
        late: keys of rows whose version is not final: their transaction's id is at or above the window's end.
        late_versions: these versions.
    """

    gone: list[pa.RecordBatch] = field(default_factory=list)
    late: list[Key] = field(default_factory=list)
    late_versions: list[int] = field(default_factory=list)


def read_keyed_rows(
    connection: adbc_driver_manager.AdbcConnection,
    pipeline: Pipeline,
    table: SourceTable,
    window: Window,
    keys: Sequence[Key],
    found: KeyedRows,
) -> Iterator[pa.RecordBatch]:
    """Stream the rows of keys as `bronze.rows.read_rows` does; what else there is to know of them goes to `found`."""
    now = fetch_rows(connection, "moment")[0]
    clock, types = XidEpoch.read(now["xmax"], now["age_of_3"]), _key_types(pipeline, table)
    rest = iter(keys)
    while some := [*islice(rest, KEYS_PER_STATEMENT)]:
        wanted = _Keys(pipeline.source, types, some)
        rows = 0
        for batch in read_rows(connection, pipeline.source, table, window, wanted.condition):
            rows += batch.num_rows
            yield batch
        if rows < len(some):
            found.gone.extend(_read_gone(connection, pipeline, table, window, wanted))
        if now["xmax"] > window.upto:
            _read_late(connection, clock, window, wanted, found)


def gone_schema(pipeline: Pipeline, table: SourceTable) -> pa.Schema:
    """Return the schema of gone keys: the key columns as the sinks have them, and a version."""
    return pa.schema([*((c.name, c.type) for c in _key_columns(pipeline, table)), (VERSION, pa.int64())])


@dataclass(frozen=True)
class _Keys:
    """Keys as a statement names them."""

    source: Source
    types: dict[str, str]
    values: Sequence[Key]

    @property
    def relation(self) -> str:
        """The keys as a relation whose columns are called as those of the table."""
        arrays = (_array(part, type_) for part, type_ in zip(zip(*self.values, strict=True), self._types, strict=True))
        lists = ", ".join(f"pg_catalog.unnest({array})" for array in arrays)
        return f"ROWS FROM ({lists}) AS k ({', '.join(self.names)})"

    @property
    def names(self) -> list[str]:
        """Key columns, quoted."""
        return [quote_identifier(name) for name in self.source.key]

    @property
    def condition(self) -> str:
        """Condition of the table's rows that have one of the keys."""
        return f"({', '.join(self.names)}) IN (SELECT * FROM {self.relation})"  # noqa: S608

    @property
    def _types(self) -> list[str]:
        return [self.types[name] for name in self.source.key]


def _array(values: Sequence[str], type_: str) -> str:
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return f"{quote_literal('{' + ','.join(quoted) + '}')}::{type_}[]"


def _read_gone(
    connection: adbc_driver_manager.AdbcConnection, pipeline: Pipeline, table: SourceTable, window: Window, keys: _Keys
) -> Iterator[pa.RecordBatch]:
    """Read the keys without a row, as the sinks have them; a key that no sink can hold is in none."""
    columns, schema = _key_columns(pipeline, table), gone_schema(pipeline, table)
    same = " AND ".join(f"t.{name} = k.{name}" for name in keys.names)
    where = f" AND (\n{pipeline.source.where}\n)" if pipeline.source.where else ""
    name = f"{quote_identifier(pipeline.source.schema_)}.{quote_identifier(pipeline.source.table)}"
    sql = (
        f"SELECT DISTINCT {select_list(columns)} FROM {keys.relation} "  # noqa: S608
        f"WHERE NOT EXISTS (SELECT FROM {name} AS t WHERE {same}{where})"
    )
    for batch in _query(connection, sql):
        read = pa.RecordBatch.from_arrays(batch.columns, schema=pa.schema([c.read_field for c in columns]))
        rows = mask_rows(read, columns)
        good = rows.filter(validate(rows, columns, pipeline.key).is_null())
        version = pa.repeat(pa.scalar(window.upto, pa.int64()), good.num_rows)
        yield pa.RecordBatch.from_arrays([*to_sink_types(good, columns), version], schema=schema)


def _read_late(
    connection: adbc_driver_manager.AdbcConnection, clock: XidEpoch, window: Window, keys: _Keys, found: KeyedRows
) -> None:
    """Read which of the keys have a row of a transaction that the window does not reach."""
    texts = ", ".join(f"{name}::text" for name in keys.names)
    name = f"{quote_identifier(keys.source.schema_)}.{quote_identifier(keys.source.table)}"
    young = f"pg_catalog.age(xmin) <= {clock.now - window.upto}"
    sql = f"SELECT {texts}, pg_catalog.age(xmin) FROM {name} WHERE {keys.condition} AND {young}"  # noqa: S608
    for batch in _query(connection, sql):
        *parts, ages = batch.columns
        versions = clock.versions(ages, 1 << 62).to_pylist()
        late = [n for n, version in enumerate(versions) if version >= window.upto]
        each = [*zip(*(part.to_pylist() for part in parts), strict=True)]
        found.late.extend(each[n] for n in late)
        found.late_versions.extend(versions[n] for n in late)


def _query(connection: adbc_driver_manager.AdbcConnection, sql: str) -> Iterator[pa.RecordBatch]:
    with closing(adbc_driver_manager.AdbcStatement(connection)) as statement:
        statement.set_sql_query(sql)
        handle, _ = statement.execute_query()
        with pa.RecordBatchReader._import_from_c(handle.address) as reader:  # noqa: SLF001
            yield from (batch for batch in reader if batch.num_rows)


def _key_columns(pipeline: Pipeline, table: SourceTable) -> tuple[Column, ...]:
    by_name = {c.name: c for c in table.columns}
    return tuple(by_name[name] for name in pipeline.key)


def _key_types(pipeline: Pipeline, table: SourceTable) -> dict[str, str]:
    """Return the declared type of each key column, by its name in the source."""
    declared = {detail.name: detail.type for detail in table.details}
    return {name: declared[sink_name] for name, sink_name in zip(pipeline.source.key, pipeline.key, strict=True)}
