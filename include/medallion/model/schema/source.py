"""
The schema of a source table as it matters to the sinks: what its rows contain, and what the pipeline takes of them.

A window selects rows by the transaction that wrote them. DDL changes what rows contain without writing them, so each
batch and each sink's position names the schema that it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from pydantic import TypeAdapter

from include.medallion.model.types.ranges import OutOfRange


@dataclass(frozen=True, slots=True)
class SchemaColumn:
    """
    One column that the pipeline reads.

    Args:
        attnum: number in the catalogue; PostgreSQL never gives it to another column, so it survives a rename.
        name: in the sinks.
        type: SQL type with modifier, e.g. `numeric(10,2)`.
        arrow: type in staging and in Delta; empty if the column does not reach a sink.
        snowflake: type in Snowflake.
        generated: expression of a generated column, empty for others.
        definition: labels of the enums (`ENUM_LABEL`, the label's number in the catalogue, the label) and attributes of
            the composite types in its type: the text of a value changes with them.
        has_default: rows that are older than the column may have a value.
        mask: what replaces its values; empty if nothing does.
        out_of_range: what happens to dates and times that a sink cannot hold.
    """

    attnum: int
    name: str
    type: str
    arrow: str
    snowflake: str
    generated: str = ""
    definition: tuple[str, ...] = ()
    has_default: bool = False
    mask: str = ""
    out_of_range: OutOfRange = OutOfRange.QUARANTINE


@dataclass(frozen=True, slots=True)
class SourceSchema:
    """
    The columns of a table and the settings that decide what of them reaches the sinks.

    Args:
        columns: in the order of the table, without those that the pipeline excludes.
        excluded: attnums of columns that the pipeline excludes, so that an exclusion is not taken for a drop.
        frozen: attnums of added columns that do not flow because of the policy: rows may have values in them since.
        key: names of the key columns.
        settings: what else decides the values in the sinks, by the name of the setting.
        added: name and type of the columns that enrichments add.
        kept: names of columns that a sink has besides: the source, or an enrichment, had them once. No column may
            continue one of them, since rows hold the old values.
    """

    columns: tuple[SchemaColumn, ...]
    excluded: tuple[int, ...] = ()
    frozen: tuple[int, ...] = ()
    key: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    added: tuple[tuple[str, str], ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def by_attnum(self) -> dict[int, SchemaColumn]:
        """The columns by their number."""
        return {column.attnum: column for column in self.columns}

    @property
    def by_name(self) -> dict[str, SchemaColumn]:
        """The columns by their name."""
        return {column.name: column for column in self.columns}


ENUM_LABEL = "label "
"""How a word of `SchemaColumn.definition` begins that is the label of an enum."""
UNKNOWN = 0
"""Fingerprint of a schema that was never recorded."""


def fingerprint(schema: SourceSchema) -> int:
    """
    Return a number that identifies a schema: positive, 63 bits.

    Equal schemas have equal numbers on every machine and in every version. It is a number because a transaction line of
    the Delta log holds nothing else.
    """
    text = _adapter().dump_json(schema)
    return int.from_bytes(sha256(text).digest()[:8], "big") >> 1 or 1


@cache
def _adapter() -> TypeAdapter[SourceSchema]:
    return TypeAdapter(SourceSchema)  # takes some milliseconds
