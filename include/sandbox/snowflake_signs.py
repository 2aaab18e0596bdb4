"""
MERGE of the Snowflake stand-in, so that -0.0 replaces 0.0.

DuckDB leaves a value alone when an UPDATE sets one that compares as equal, and -0.0 equals 0.0. Rows that are to hold
-0.0 are deleted and inserted again, after everything else: DuckDB 2.0 loses the rows of a large INSERT that follows
one of no rows in a transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import sqlglot
from sqlglot import Expr, exp

SIGNED = "MERGE_CANDIDATES_SIGNED"


def keep_signs(merge: Callable[[Expr], list[Expr]]) -> Callable[[Expr], list[Expr]]:
    """Let a MERGE keep the sign of zeros."""

    @wraps(merge)
    def statements(merge_expr: Expr) -> list[Expr]:
        found = merge(merge_expr)
        if len(found) == 1:  # no MERGE
            return found
        *written, counted = found
        return [*written, *(each for one in written if isinstance(one, exp.Update) for each in _rewrite(one)), counted]

    return statements


def _rewrite(update: exp.Update) -> list[Expr]:
    """Return what replaces the rows of an UPDATE that are to hold -0.0."""
    target, source = update.this, update.args["from_"].this
    assigned = [(e.this.sql(), e.expression.sql()) for e in update.expressions]
    # typeof is folded: a column of another type costs nothing
    zeros = [f"(typeof({v}) = 'DOUBLE' AND CAST({v} AS VARCHAR) = '-0.0')" for _, v in assigned if v != "NULL"]
    where = f"{update.args['where'].this.sql()} AND ({' OR '.join(zeros)})"
    changed = ", ".join(f"{value} AS {name}" for name, value in assigned)
    rows = f"{target.alias_or_name}.* REPLACE ({changed})"
    written = (
        f"CREATE OR REPLACE TEMPORARY TABLE {SIGNED} AS SELECT {rows} FROM {target}, {source} WHERE {where}",
        f"DELETE FROM {target} USING {source} WHERE {where}",
        f"INSERT INTO {target} SELECT * FROM {SIGNED}",
    )
    return [sqlglot.parse_one(sql) for sql in written]
