"""
SQL conditions in a pipeline file: one boolean expression over the columns of one row.

The same row must always give the same answer: a condition that depends on the time, on other rows or on the session
would change which rows belong to a sink without any row being written. So a condition consists of operators and of the
functions below; everything else is refused by name. sqlglot parses it (https://github.com/tobymao/sqlglot).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

Dialect = Literal["postgres", "duckdb"]
FUNCTIONS = (
    *("abs", "ceil", "coalesce", "concat", "date_trunc", "extract", "floor", "greatest", "least", "left", "length"),
    *("lower", "nullif", "position", "right", "round", "starts_with", "substring", "trim", "upper"),
)
"""Functions that a condition may call; CASE, casts, and the operators of comparison, arithmetic and text besides."""
_FUNCTION_NODES = (
    *("Abs", "Ceil", "Coalesce", "Concat", "TimestampTrunc", "DateTrunc", "Extract", "Floor", "Greatest", "Least"),
    *("Left", "Length", "Lower", "Nullif", "StrPosition", "Right", "Round", "StartsWith", "Substring", "Trim", "Upper"),
)
_OTHER_NODES = (
    *("Column", "Identifier", "Literal", "ByteString", "Boolean", "Null", "Paren", "Tuple", "Var", "Interval"),
    *("And", "Or", "Not", "EQ", "NEQ", "GT", "GTE", "LT", "LTE", "Is", "In", "Between", "NullSafeEQ", "NullSafeNEQ"),
    *("Like", "ILike", "Escape", "SimilarTo", "RegexpLike", "RegexpILike", "Collate"),
    *("Add", "Sub", "Mul", "Div", "IntDiv", "Mod", "Neg", "DPipe", "Case", "If", "Cast", "DataType", "DataTypeParam"),
    *("Any", "Array", "JSONExtract", "JSONExtractScalar", "JSONPath", "JSONPathRoot", "JSONPathKey"),
    *("JSONPathSubscript",),
)
_ALLOWED = frozenset((*_FUNCTION_NODES, *_OTHER_NODES))
_MOVING_DATES = frozenset({"now", "today", "tomorrow", "yesterday"})


def check_condition(text: str, dialect: Dialect) -> str:
    """
    Return a condition.

    Args:
        dialect: of the engine that evaluates it.

    Raises:
        ValueError: it is not one expression, or uses something that is not allowed; the message names it.

    >>> check_condition("country = 'US' AND age >= 18", "postgres")
    "country = 'US' AND age >= 18"
    """
    for node in _parse(text, dialect).walk():
        _check_node(node, dialect)
    return text


def columns_of(text: str, dialect: Dialect) -> list[str]:
    """
    Return the columns that a condition reads, each once; unquoted names in lower case, as SQL reads them.

    >>> columns_of('State = 1 OR "State" = 2 OR state = 3', "postgres")
    ['state', 'State']
    """
    from sqlglot import expressions  # noqa: PLC0415 (only files with a condition need it)

    found = (column.this for column in _parse(text, dialect).find_all(expressions.Column, bfs=False))
    return list(dict.fromkeys(n.this if n.args.get("quoted") else n.this.lower() for n in found))


def _parse(text: str, dialect: Dialect) -> Expr:
    import sqlglot  # noqa: PLC0415
    from sqlglot.errors import SqlglotError  # noqa: PLC0415

    try:
        statements = sqlglot.parse(text, dialect=dialect)
    except SqlglotError:
        raise ValueError(f"{text!r} cannot be read as SQL: write one condition, such as country = 'US'") from None
    if len(statements) != 1 or statements[0] is None or ";" in _without_literals(text):
        raise ValueError("must be exactly one condition, without a semicolon")
    return statements[0]


def _without_literals(text: str) -> str:
    """Return SQL without quoted literals and names: every other piece between quotes."""
    outside = "".join(text.split("'")[::2])
    return "".join(outside.split('"')[::2])


def _check_node(node: Expr, dialect: Dialect) -> None:
    name = type(node).__name__
    if node.comments:
        raise ValueError("comments are not allowed in a condition: put them in the YAML file")
    if name not in _ALLOWED or node.args.get("query") or node.args.get("unnest"):
        raise ValueError(
            f"{node.sql(dialect=dialect)} is not allowed: a condition compares columns of one row and literals, and "
            f"may call {', '.join(FUNCTIONS)}"
        )
    if name == "Column" and node.args.get("table"):
        raise ValueError(f"{node.sql(dialect=dialect)}: write the column without a table")
    if name in {"Literal", "ByteString"} and str(node.this).strip().lower() in _MOVING_DATES:
        raise ValueError(f"{node.sql(dialect=dialect)} may be a date that changes every day: write the date")
