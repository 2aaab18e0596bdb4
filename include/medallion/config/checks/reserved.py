"""Names that Medallion uses itself: a pipeline must not be called so, nor its tables."""

from __future__ import annotations

import re

PIPELINES = frozenset({"reconcile", "maintenance", "refresh"})
"""Pipelines whose DAG id would be that of one of Medallion's own DAGs."""
GOLD_TABLES = frozenset({"locations", "places", "quarantine", "runs"})
GOLD_PREFIXES = ("_", ".", "lookup_", "lookups_")
"""Tables of the lake that all pipelines share, and how the names of other folders of Medallion's begin."""
SILVER_PREFIX = "_"
_QUALIFIED = re.compile(r"\w+(\.\w+)+")


def check_pipeline_name(name: str) -> str:
    """
    Return the name of a pipeline.

    Raises:
        ValueError: Medallion has a DAG of this name.
    """
    if name in PIPELINES:
        raise ValueError(f"must not be {name}: medallion_{name} is one of Medallion's own DAGs")
    return name


def check_gold_table(name: str) -> str:
    """
    Return the name of a Gold table.

    Raises:
        ValueError: Medallion keeps something else in the folder of this name.
    """
    if name.lower() in GOLD_TABLES or name.lower().startswith(GOLD_PREFIXES):
        raise ValueError(
            f"{name} is reserved: Medallion uses {', '.join(sorted(GOLD_TABLES))} and names that begin with "
            f"{' '.join(GOLD_PREFIXES)}: choose another name"
        )
    return name


def check_silver_table(name: str) -> str:
    """
    Return the name of a Silver table.

    Raises:
        ValueError: the name is blank, reserved, or qualified with a schema.
    """
    if not name.strip() or name in {".", ".."}:
        raise ValueError("must be the name of a table")
    if name.startswith(SILVER_PREFIX):
        raise ValueError(f"names that begin with {SILVER_PREFIX} are reserved for Medallion: choose another name")
    if _QUALIFIED.fullmatch(name):
        raise ValueError(
            f"{name} must be the name of a table alone: set database and schema in the connection (silver.connection)"
        )
    return name
