"""What a pipeline does when the columns of its table change: the `on_schema_change` setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BeforeValidator

SchemaPolicy = Literal["evolve", "freeze", "fail"]
SchemaChangeKind = Literal[
    "default",
    "added",
    "added_with_value",
    "renamed",
    "dropped",
    "recreated",
    "widened",
    "narrowed",
    "retyped",
    "labels",
    "expression",
    "key",
    "selected",
    "excluded",
    "settings",
    "out_of_range",
    "enrichment",
]
one_policy = BeforeValidator(
    lambda v: {"default": v} if isinstance(v, str) else v,
    json_schema_input_type=SchemaPolicy | dict[SchemaChangeKind, SchemaPolicy],
)
_CHANGED_IN_FILE: set[str] = {"key", "selected", "excluded", "settings", "out_of_range", "enrichment"}
"""Kinds of schema changes that the user makes in the pipeline file: they evolve unless named."""


def policy_for(kind: SchemaChangeKind, chosen: Mapping[SchemaChangeKind, SchemaPolicy]) -> SchemaPolicy:
    """
    Return what happens to one kind of schema change.

    Args:
        chosen: the policies of the pipeline file; `default` is that of kinds it does not name.
    """
    default: SchemaPolicy = "evolve" if kind in _CHANGED_IN_FILE else chosen.get("default", "evolve")
    return chosen.get(kind, default)
