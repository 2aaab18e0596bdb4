"""What a pipeline file chooses for the types of columns: another type than the default, and what is out of range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa

from include.medallion.errors import SettingError
from include.medallion.model.columns import Column, plain_text, source_column
from include.medallion.model.types.catalogue import ROWS
from include.medallion.model.types.names import TEXT, read_digits
from include.medallion.model.types.ranges import OutOfRange
from include.medallion.model.types.table import AS_TEXT, SinkType, SourceType, exact_digits

_DEFAULT = "default"
_READABLE_AS_NUMBERS = {"numeric", "int2", "int4", "int8", "text", "varchar", "bpchar"}
_KNOWN = {*ROWS, *(row.name for row in ROWS.values() if row.name and not row.dimensions)}


@dataclass(frozen=True, slots=True)
class TypeChoices:
    """
    The choices of a pipeline, by names of the source.

    Args:
        key: columns of the primary key.
        texts: columns that stay text if they are a document, an array or a time, as those of the key do.
        types: another type, by column or by type of PostgreSQL.
        out_of_range: by column; `default` is that of the others.
    """

    key: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    types: Mapping[str, str] = field(default_factory=dict)
    out_of_range: Mapping[str, str] = field(default_factory=dict)

    def check_names(self, columns: Mapping[str, frozenset[str]]) -> None:
        """
        Check that each name is a column of the table, or a type.

        Args:
            columns: all columns of the table, with the names of their type.

        Raises:
            SettingError: names the others.
        """
        types = _KNOWN.union(*columns.values())
        if unknown := sorted(name for name in self.types if name not in columns and name not in types):
            raise SettingError(f"types names neither columns of the table nor types of PostgreSQL: {unknown}")
        if unknown := sorted(name for name in self.out_of_range if name not in columns and name != _DEFAULT):
            raise SettingError(f"out_of_range names columns that the table does not have: {unknown}")

    def describe(self, name: str, source: SourceType, names: frozenset[str]) -> Column:
        """
        Describe a column of the source.

        Args:
            names: those that its type has.

        Raises:
            SettingError: its values are not numbers, and the chosen type is.
        """
        column = source_column(name, source.name, source.modifier, source.dimensions)
        if name in self.key | self.texts:
            column = plain_text(column)
        if chosen := self._chosen(name, source, names):
            found = _parse(chosen)
            self._check(name, source, found, chosen)
            column = Column(name, found.arrow, found.snowflake, as_text=True)
        return replace(column, out_of_range=self._out_of_range(column))

    def _chosen(self, name: str, source: SourceType, names: frozenset[str]) -> str | None:
        if name in self.types:
            return self.types[name]
        exact = exact_digits(source) is not None and not source.dimensions
        found = [self.types[each] for each in sorted(names) if each in self.types and not (exact and each == "numeric")]
        return found[0] if found else None

    def _check(self, name: str, source: SourceType, found: SinkType, chosen: str) -> None:
        if found == AS_TEXT:
            return
        if source.dimensions or source.name not in _READABLE_AS_NUMBERS:
            raise SettingError(f"types: column {name} cannot become {chosen}: its values are not numbers. Use text")
        if name in self.key and pa.types.is_floating(found.arrow):
            raise SettingError(
                f"types: column {name} is in the key and cannot become {chosen}, which would make keys equal: use text "
                "or number(p,s)"
            )

    def _out_of_range(self, column: Column) -> OutOfRange:
        """Return what happens to a column's values; NULL or an equal value is no key, so those of the key are kept."""
        if column.name in self.key or not column.has_range:
            return OutOfRange.QUARANTINE
        return OutOfRange(self.out_of_range.get(column.name, self.out_of_range.get(_DEFAULT, OutOfRange.QUARANTINE)))


def _parse(chosen: str) -> SinkType:
    if digits := read_digits(chosen):
        return SinkType(pa.decimal128(*digits), "NUMBER({},{})".format(*digits), as_text=True)
    return AS_TEXT if chosen == TEXT else SinkType(pa.float64(), "FLOAT", as_text=True)
