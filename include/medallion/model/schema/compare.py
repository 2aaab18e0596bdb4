"""Compare two schemas of a table: which kinds of changes lie between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from include.medallion.model.schema.changes import NOT_MASKED, Change, Kind
from include.medallion.model.schema.source import ENUM_LABEL, SchemaColumn, SourceSchema


def compare_schemas(before: SourceSchema, after: SourceSchema) -> list[Change]:
    """
    Return what changed from one schema to another.

    Columns are followed by their number in the catalogue: a column that has another name is renamed, and a column of
    the same name with another number was dropped and added again. Names that differ in case only are one name in Delta,
    and often in Snowflake.
    """
    return [
        *_changed_columns(before, after),
        *_lost_columns(before, after),
        *_new_columns(before, after),
        *_changed_key(before, after),
        *_changed_settings(before, after),
    ]


def has_other_keys(before: SourceSchema, after: SourceSchema) -> bool:
    """Return whether the keys of rows, or their text, changed: rows of both schemas cannot be matched by them."""
    changes = compare_schemas(before, after)
    return any(c.kind is Kind.KEY or (c.column in after.key and c.kind is not Kind.WIDENED) for c in changes)


def _changed_columns(before: SourceSchema, after: SourceSchema) -> Iterator[Change]:
    for number, new in after.by_attnum.items():
        old = before.by_attnum.get(number)
        if old is None:
            continue
        if old.name != new.name:
            yield Change(Kind.RENAMED, new.name, old.name, new.name)
        yield from _changed_values(old, new, is_key=new.name in after.key)


def _changed_values(old: SchemaColumn, new: SchemaColumn, *, is_key: bool) -> Iterator[Change]:
    if old.mask != new.mask:  # its type may change with it
        yield Change(Kind.EXCLUDED, new.name, old.mask or NOT_MASKED, new.mask or NOT_MASKED)
        return
    if (old.arrow, old.snowflake) != (new.arrow, new.snowflake):
        yield Change(_kind_of_retype(old.arrow, new.arrow), new.name, old.type, new.type)
    elif old.type != new.type and not _is_text(old.type, new.type):
        yield Change(Kind.KEY if is_key else Kind.LABELS, new.name, old.type, new.type)
    if old.out_of_range != new.out_of_range:
        yield Change(Kind.OUT_OF_RANGE, new.name, old.out_of_range, new.out_of_range)
    if old.generated != new.generated and new.generated:
        yield Change(Kind.KEY if is_key else Kind.EXPRESSION, new.name, old.generated, new.generated)
    if _definition_changed(old.definition, new.definition):
        yield Change(Kind.KEY if is_key else Kind.LABELS, new.name)


def _definition_changed(old: tuple[str, ...], new: tuple[str, ...]) -> bool:
    """Return whether the text of existing values may change: with any attribute, and with labels that were there."""
    attributes = ({word for word in words if not word.startswith(ENUM_LABEL)} for words in (old, new))
    return len({*map(frozenset, attributes)}) > 1 or not {*old} <= {*new}


def _is_text(old: str, new: str) -> bool:
    """Return whether both are text whose values do not change with the type: only the length is limited otherwise."""
    names = {type_.partition("(")[0] for type_ in (old, new)}
    return names <= {"text", "character varying"} or len(names) == 1


_WIDER = {
    "int16": ("int32", "int64", "float", "double"),
    "int32": ("int64", "double"),
    "float": ("double",),
    "date32[day]": (),
}


def _kind_of_retype(old: str, new: str) -> Kind:
    if new in _WIDER.get(old, ()) or (new == "string" and old != "string"):
        return Kind.WIDENED if new != "string" else Kind.RETYPED
    if old in _WIDER.get(new, ()):
        return Kind.NARROWED
    digits = _digits(old), _digits(new)
    if digits[0] and digits[1]:
        (old_precision, old_scale), (new_precision, new_scale) = digits[0], digits[1]
        wider = new_scale >= old_scale and new_precision - new_scale >= old_precision - old_scale
        return Kind.WIDENED if wider else Kind.NARROWED
    return Kind.RETYPED


def _digits(arrow: str) -> tuple[int, int] | None:
    """Return precision and scale of a decimal type."""
    if not arrow.startswith("decimal128("):
        return None
    precision, scale = arrow.removeprefix("decimal128(").removesuffix(")").split(",")
    return int(precision), int(scale)


def _lost_columns(before: SourceSchema, after: SourceSchema) -> Iterator[Change]:
    types = {_fold(column.name): column.type for column in after.columns}
    for number, old in before.by_attnum.items():
        if number in after.by_attnum:
            continue
        if number in after.excluded:
            yield Change(Kind.EXCLUDED, old.name)
        elif _fold(old.name) in types:
            yield Change(Kind.RECREATED, old.name, old.type, types[_fold(old.name)])
        else:
            yield Change(Kind.DROPPED, old.name, old.type)


def _new_columns(before: SourceSchema, after: SourceSchema) -> Iterator[Change]:
    known, kept = _folded(before.by_name), _folded(before.kept)
    for number, new in after.by_attnum.items():
        if number in before.by_attnum or _fold(new.name) in known:
            continue
        if _fold(new.name) in kept:
            yield Change(Kind.RECREATED, new.name, "", new.type)
        elif number in before.excluded:
            yield Change(Kind.SELECTED, new.name)
        else:
            kind = Kind.ADDED_WITH_VALUE if new.has_default or new.generated else Kind.ADDED
            yield Change(kind, new.name, "", new.type, was_frozen=number in before.frozen)


def _changed_key(before: SourceSchema, after: SourceSchema) -> Iterator[Change]:
    if before.key != after.key:
        yield Change(Kind.KEY, ", ".join(after.key), ", ".join(before.key), ", ".join(after.key))


def _changed_settings(before: SourceSchema, after: SourceSchema) -> Iterator[Change]:
    old, new = dict(before.settings), dict(after.settings)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Change(Kind.SETTINGS, name)
    yield from _changed_enrichment(before, after)


def _changed_enrichment(before: SourceSchema, after: SourceSchema) -> Iterator[Change]:
    old, new = dict(before.added), dict(after.added)
    added, occupied = new.keys() - old.keys(), _folded((*before.kept, *before.by_name))
    replaced = {name for name in new.keys() & old.keys() if new[name] != old[name]}
    replaced |= {name for name in added if _fold(name) in occupied}
    if replaced:
        yield Change(Kind.SETTINGS, ", ".join(sorted(replaced)))
    elif added:
        yield Change(Kind.ENRICHMENT, ", ".join(sorted(added)))


def _fold(name: str) -> str:
    return name.upper()


def _folded(names: Iterable[str]) -> set[str]:
    return {_fold(name) for name in names}
