"""
Schema evolution: what changed between two schemas of a table, and what has to be done about it.

`ACTIONS` is the table that everything else follows: for each kind of change and each sink, the action. The strongest
action of a run decides what the run reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from include.medallion.model.schema.source import SchemaColumn, SourceSchema


class Kind(StrEnum):
    """Kinds of changes, as the pipeline file names them."""

    ADDED = "added"  # a column whose older rows have no value
    ADDED_WITH_VALUE = "added_with_value"  # a column with a default or a generated value
    RENAMED = "renamed"
    DROPPED = "dropped"
    RECREATED = "recreated"  # dropped, and another column of the same name added
    WIDENED = "widened"  # to a type that holds every old value exactly
    NARROWED = "narrowed"  # to a type of the same kind that does not
    RETYPED = "retyped"
    LABELS = "labels"  # labels of an enum, or attributes of a composite type
    EXPRESSION = "expression"  # of a generated column
    KEY = "key"
    SELECTED = "selected"  # columns that the pipeline file includes now
    EXCLUDED = "excluded"  # columns that the pipeline file excludes or masks now
    SETTINGS = "settings"  # other settings that decide values
    ENRICHMENT = "enrichment"  # columns that enrichments add


class Action(IntEnum):
    """What a sink needs, weakest first."""

    NOTHING = 0
    ADD_COLUMN = 1  # nullable; existing rows are right as they are
    RELOAD = 2  # all rows are read again and applied through the fence: rows deleted in the source stay marked
    REPLACE = 3  # all rows are read again and replace the table with its columns and types, in one commit


NOT_MASKED = "not masked"
"""What a change says of a column without a mask."""
SILVER, GOLD, OTHER = "silver", "gold", "other"
ACTIONS: dict[Kind, dict[str, Action]] = {
    Kind.ADDED: {SILVER: Action.ADD_COLUMN, GOLD: Action.ADD_COLUMN, OTHER: Action.RELOAD},
    Kind.ADDED_WITH_VALUE: {SILVER: Action.RELOAD, GOLD: Action.RELOAD, OTHER: Action.RELOAD},
    Kind.RENAMED: {SILVER: Action.REPLACE, GOLD: Action.REPLACE, OTHER: Action.REPLACE},
    Kind.DROPPED: {SILVER: Action.NOTHING, GOLD: Action.NOTHING, OTHER: Action.NOTHING},
    Kind.RECREATED: {SILVER: Action.REPLACE, GOLD: Action.REPLACE, OTHER: Action.REPLACE},
    Kind.WIDENED: {SILVER: Action.REPLACE, GOLD: Action.REPLACE, OTHER: Action.REPLACE},
    Kind.NARROWED: {SILVER: Action.REPLACE, GOLD: Action.REPLACE, OTHER: Action.REPLACE},
    Kind.RETYPED: {SILVER: Action.REPLACE, GOLD: Action.REPLACE, OTHER: Action.REPLACE},
    Kind.LABELS: {SILVER: Action.RELOAD, GOLD: Action.RELOAD, OTHER: Action.RELOAD},
    Kind.EXPRESSION: {SILVER: Action.RELOAD, GOLD: Action.RELOAD, OTHER: Action.RELOAD},
    Kind.KEY: {SILVER: Action.REPLACE, GOLD: Action.REPLACE, OTHER: Action.REPLACE},
    Kind.SELECTED: {SILVER: Action.RELOAD, GOLD: Action.RELOAD, OTHER: Action.RELOAD},
    Kind.EXCLUDED: {SILVER: Action.REPLACE, GOLD: Action.REPLACE, OTHER: Action.REPLACE},
    Kind.SETTINGS: {SILVER: Action.REPLACE, GOLD: Action.REPLACE, OTHER: Action.REPLACE},
    Kind.ENRICHMENT: {SILVER: Action.RELOAD, GOLD: Action.RELOAD, OTHER: Action.RELOAD},
}
"""What each kind of change means for each sink; `other` is any sink of the user's own."""


@dataclass(frozen=True, slots=True)
class Change:
    """
    One difference between two schemas.

    Args:
        column: its name; after a rename the new one.
        before, after: types, names or expressions, as they help to understand the change.
        was_frozen: the column existed while rows were loaded without it.
    """

    kind: Kind
    column: str
    before: str = ""
    after: str = ""
    was_frozen: bool = False

    def __str__(self) -> str:
        """Return the change in a few words."""
        change = f" ({self.before} -> {self.after})" if self.before or self.after else ""
        return f"{self.column} {self.kind}{change}"


def action_for(changes: Sequence[Change], sink: str) -> Action:
    """Return the strongest action that changes require of a sink."""
    column = sink if sink in {SILVER, GOLD} else OTHER
    return max((_action(change, column) for change in changes), default=Action.NOTHING)


def _action(change: Change, column: str) -> Action:
    action = ACTIONS[change.kind][column]
    return max(action, Action.RELOAD) if change.was_frozen else action


def compare_schemas(before: SourceSchema, after: SourceSchema) -> list[Change]:
    """
    Return what changed from one schema to another.

    Columns are followed by their number in the catalogue: a column that has another name is renamed, and a column of
    the same name with another number was dropped and added again.
    """
    return [
        *_changed_columns(before, after),
        *_lost_columns(before, after),
        *_new_columns(before, after),
        *_changed_key(before, after),
        *_changed_settings(before, after),
    ]


def _changed_columns(before: SourceSchema, after: SourceSchema) -> Iterator[Change]:
    for number, new in after.by_attnum.items():
        old = before.by_attnum.get(number)
        if old is None:
            continue
        if old.name != new.name:
            yield Change(Kind.RENAMED, new.name, old.name, new.name)
        yield from _changed_values(old, new)


def _changed_values(old: SchemaColumn, new: SchemaColumn) -> Iterator[Change]:
    if old.mask != new.mask:  # its type may change with it
        yield Change(Kind.EXCLUDED, new.name, old.mask or NOT_MASKED, new.mask or NOT_MASKED)
        return
    if (old.arrow, old.snowflake) != (new.arrow, new.snowflake):
        yield Change(_kind_of_retype(old.arrow, new.arrow), new.name, old.type, new.type)
    elif old.type != new.type and not _is_text(old.type, new.type):
        yield Change(Kind.LABELS, new.name, old.type, new.type)
    if old.generated != new.generated and new.generated:
        yield Change(Kind.EXPRESSION, new.name, old.generated, new.generated)
    if old.definition != new.definition and not new.definition.startswith(old.definition):
        yield Change(Kind.LABELS, new.name)


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
    for number, old in before.by_attnum.items():
        if number in after.by_attnum:
            continue
        if number in after.excluded:
            yield Change(Kind.EXCLUDED, old.name)
        elif old.name in after.by_name:
            yield Change(Kind.RECREATED, old.name, old.type, after.by_name[old.name].type)
        else:
            yield Change(Kind.DROPPED, old.name, old.type)


def _new_columns(before: SourceSchema, after: SourceSchema) -> Iterator[Change]:
    for number, new in after.by_attnum.items():
        if number in before.by_attnum or new.name in before.by_name:
            continue
        if number in before.excluded:
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
    added = dict(after.added)
    changed = {name for name, type_ in before.added if added.get(name, type_) != type_}
    if changed:
        yield Change(Kind.SETTINGS, ", ".join(sorted(changed)))
    elif new_names := added.keys() - dict(before.added).keys():
        yield Change(Kind.ENRICHMENT, ", ".join(sorted(new_names)))
