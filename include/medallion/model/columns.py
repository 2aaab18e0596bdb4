"""
Columns and types, described once for all layers.

A `Column` has a type for reading from Postgres, one in Arrow and Delta, and one
in Snowflake: `model.types.table` says which.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from include.medallion.errors import ContractBroken
from include.medallion.model.types import arrow
from include.medallion.model.types.ranges import OutOfRange
from include.medallion.model.types.table import ARRAY, AS_TEXT, EXACT, TIME, SourceType, sink_type
from include.medallion.model.values.masks import Mask
from include.medallion.model.window import Window

TIMESTAMP_UTC = arrow.TIMESTAMP_UTC
_SNOWFLAKE_TYPES = {str(exact.arrow): exact.snowflake for exact in EXACT.values()}
_ARROW_KEY, _SNOWFLAKE_KEY = b"medallion.arrow", b"medallion.snowflake"
COMMENT_KEY = b"medallion.comment"
"""Metadata of a staged column, and of a staged table: its comment in the source."""
_REPEATS_KEY = b"medallion.may_repeat_names"
_BYTES_KEY = b"medallion.any_bytes"
ENRICHMENT_TYPES = {"string": pa.string(), "long": pa.int64(), "double": pa.float64(), "boolean": pa.bool_()}
"""Types that an enrichment may add, by their name in the pipeline file."""
VERSION = "_version"
BATCH_ID = "_batch_id"
LOADED_AT = "_loaded_at"
DELETED_AT = "_deleted_at"
OP = "_op"


@dataclass(frozen=True, slots=True)
class Column:
    """One column, the same in every layer."""

    name: str
    type: pa.DataType  # in Gold, and in memory after validation
    snowflake_type: str
    as_text: bool = False  # read from Postgres as text
    cast: str = ""  # what PostgreSQL makes of a value before its text is read
    may_repeat_names: bool = False  # JSON in which an object may have a name twice
    out_of_range: OutOfRange = OutOfRange.QUARANTINE
    comment: str = ""
    any_bytes: bool = False  # the source does not check that its text is UTF-8
    source_name: str = ""  # in the source, where it is another one
    mask: Mask | None = None

    @property
    def read_type(self) -> pa.DataType:
        """Arrow type of the values as they are read from the source."""
        return pa.string() if self.as_text else self.type

    @property
    def has_range(self) -> bool:
        """Whether PostgreSQL has values of its type that no sink can hold: dates and times."""
        return pa.types.is_temporal(self.type) or self.snowflake_type == TIME

    @property
    def read_field(self) -> pa.Field:
        """Arrow field of raw staged files; where values are read as text, it names the column's types."""
        types = {_ARROW_KEY: str(self.type)} if self.as_text else {}
        return pa.field(self.name, self.read_type, metadata={**types, **self._metadata})

    @property
    def field(self) -> pa.Field:
        """Arrow field of enriched staged files; it names Snowflake's type where that does not follow from Arrow's."""
        return pa.field(self.name, self.type, metadata=self._metadata)

    @property
    def _metadata(self) -> dict[bytes, str]:
        named = {} if _snowflake_type(self.type) == self.snowflake_type else {_SNOWFLAKE_KEY: self.snowflake_type}
        named |= {_REPEATS_KEY: ""} if self.may_repeat_names else {}
        named |= {_BYTES_KEY: ""} if self.any_bytes else {}
        return named | ({COMMENT_KEY: self.comment} if self.comment else {})

    @property
    def snowflake_name(self) -> str:
        """Return the column's name in Snowflake."""
        return snowflake_name(self.name)


def snowflake_name(name: str) -> str:
    """
    Return the name of a column or table in Snowflake.

    A plain lower-case name becomes upper case, so that SQL needs no quotes; any other name is unchanged.

    >>> snowflake_name("first_name"), snowflake_name("First name")
    ('FIRST_NAME', 'First name')
    """
    return name.upper() if re.fullmatch(r"[a-z_][a-z0-9_$]*", name) else name


def quote_identifier(identifier: str) -> str:
    """Quote an SQL identifier, in the same way for Postgres, Snowflake and DataFusion."""
    return '"' + identifier.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """
    Quote an SQL string literal for Postgres.

    The `E''` form does not depend on the server's setting `standard_conforming_strings`.
    """
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def source_column(name: str, typname: str, typmod: int, dimensions: int = 0) -> Column:
    """
    Describe a Postgres column.

    Args:
        name: the column's name.
        typname: name of its base type in `pg_type`; of an array, that of its elements.
        typmod: its type modifier (`pg_attribute.atttypmod`).
        dimensions: of an array, as declared; 0 for no array.
    """
    found = sink_type(SourceType(typname, typmod, dimensions))
    return Column(name, found.arrow, found.snowflake, found.as_text, found.cast, found.may_repeat_names)


def plain_text(column: Column) -> Column:
    """Return a column that is text in every layer, if its text is what is read; else the column as it is."""
    if not column.as_text or pa.types.is_decimal(column.type):
        return column
    return Column(column.name, AS_TEXT.arrow, AS_TEXT.snowflake, as_text=True)


def selected_column(column: Column, sink_name: str, mask: Mask | None) -> Column:
    """
    Return a column of the source as the sinks get it.

    Args:
        column: as `source_column` describes it.
        sink_name: its name in the sinks.
        mask: what replaces its values, if anything; most masks make text of them.
    """
    if mask is not None and not mask.keeps_type:
        column = Column(column.name, AS_TEXT.arrow, AS_TEXT.snowflake, as_text=True)
    source_name = column.name if column.name != sink_name else ""
    return replace(column, name=sink_name, source_name=source_name, mask=mask)


def typed_column(name: str, type_: pa.DataType) -> Column:
    """Describe a column that has this Arrow type, such as one that an enrichment adds."""
    return Column(name, type_, _snowflake_type(type_))


def _snowflake_type(type_: pa.DataType) -> str:
    if pa.types.is_decimal(type_):
        return f"NUMBER({type_.precision},{type_.scale})"
    return _SNOWFLAKE_TYPES.get(str(type_), ARRAY)


def columns_from_schema(staged: pa.Schema) -> tuple[Column, ...]:
    """Describe the columns of a staged file, raw or enriched, without reading the source's system catalog."""
    return tuple(_column_from_field(f) for f in staged if f.name not in _INTERNAL_COLUMNS)


def _column_from_field(field: pa.Field) -> Column:
    named = {key: value.decode() for key, value in (field.metadata or {}).items()}
    type_ = arrow.arrow_type(named[_ARROW_KEY]) if _ARROW_KEY in named else field.type
    snowflake = named.get(_SNOWFLAKE_KEY, _snowflake_type(type_))
    repeats, comment = _REPEATS_KEY in named, named.get(COMMENT_KEY, "")
    column = Column(field.name, type_, snowflake, _ARROW_KEY in named, may_repeat_names=repeats, comment=comment)
    return replace(column, any_bytes=_BYTES_KEY in named)


SYSTEM_COLUMNS = (
    typed_column(VERSION, pa.int64()),
    typed_column(BATCH_ID, pa.int64()),
    typed_column(LOADED_AT, TIMESTAMP_UTC),
    typed_column(DELETED_AT, TIMESTAMP_UTC),
)
"""Last columns of every Silver and Gold table; `_deleted_at` is NULL for live rows."""
OP_COLUMN = typed_column(OP, pa.string())
"""Column that rows have only while they are staged."""


_INTERNAL_COLUMNS = {OP, *(c.name for c in SYSTEM_COLUMNS)}


def check_names(columns: Sequence[Column]) -> None:
    """
    Check that no two columns have the same name in a sink.

    Args:
        columns: of the source and of the enrichments, and the system columns.

    Raises:
        ContractBroken: two columns have the same name; the message names them and the fix.
    """
    counts = Counter(c.snowflake_name.upper() for c in columns)
    if duplicates := sorted(c.name for c in columns if counts[c.snowflake_name.upper()] > 1):
        raise ContractBroken(
            f"columns {duplicates} have the same name in a sink: exclude one (columns.exclude) or rename "
            "it (columns.rename). Enrichments add columns such as latitude, every sink table has some such as _version"
        )


def batch_columns(window: Window) -> list[pa.Scalar]:
    """Return the values that all rows of a batch share: those of the system columns after `_version`."""
    values = (window.batch_id, window.opened_at, None)
    return [pa.scalar(value, column.type) for value, column in zip(values, SYSTEM_COLUMNS[1:], strict=True)]


UPSERT = "upsert"
