"""
Schema evolution: kinds of changes of a table's schema, and what has to be done about each of them.

`ACTIONS` is the table that everything else follows: for each kind of change and each sink, the action. The strongest
action of a run decides what the run reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum


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
    OUT_OF_RANGE = "out_of_range"  # what happens to dates and times that a sink cannot hold
    ENRICHMENT = "enrichment"  # columns that enrichments add


class Action(IntEnum):
    """What a sink needs, weakest first."""

    NOTHING = 0
    ADD_COLUMN = 1  # nullable; existing rows are right as they are
    RELOAD = 2  # all rows are read again and applied through the fence: rows deleted in the source stay marked
    REPLACE = 3  # all rows are read again and replace the table with its columns and types, in one commit


NOT_MASKED = "not masked"
"""What a change says of a column without a mask."""
_EVERY_SINK = SILVER, GOLD, OTHER = "silver", "gold", "other"
ACTIONS: dict[Kind, dict[str, Action]] = {
    Kind.ADDED: {SILVER: Action.ADD_COLUMN, GOLD: Action.ADD_COLUMN, OTHER: Action.RELOAD},
    Kind.ADDED_WITH_VALUE: dict.fromkeys(_EVERY_SINK, Action.RELOAD),
    Kind.RENAMED: dict.fromkeys(_EVERY_SINK, Action.REPLACE),
    Kind.DROPPED: dict.fromkeys(_EVERY_SINK, Action.NOTHING),
    Kind.RECREATED: dict.fromkeys(_EVERY_SINK, Action.REPLACE),
    Kind.WIDENED: dict.fromkeys(_EVERY_SINK, Action.REPLACE),
    Kind.NARROWED: dict.fromkeys(_EVERY_SINK, Action.REPLACE),
    Kind.RETYPED: dict.fromkeys(_EVERY_SINK, Action.REPLACE),
    Kind.LABELS: dict.fromkeys(_EVERY_SINK, Action.RELOAD),
    Kind.EXPRESSION: dict.fromkeys(_EVERY_SINK, Action.RELOAD),
    Kind.KEY: dict.fromkeys(_EVERY_SINK, Action.REPLACE),
    Kind.SELECTED: dict.fromkeys(_EVERY_SINK, Action.RELOAD),
    Kind.EXCLUDED: dict.fromkeys(_EVERY_SINK, Action.REPLACE),
    Kind.SETTINGS: dict.fromkeys(_EVERY_SINK, Action.REPLACE),
    Kind.OUT_OF_RANGE: dict.fromkeys(_EVERY_SINK, Action.RELOAD),
    Kind.ENRICHMENT: dict.fromkeys(_EVERY_SINK, Action.RELOAD),
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
