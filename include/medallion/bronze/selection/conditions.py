"""Conditions of a reload, as a person writes them, in SQL that PostgreSQL accepts."""

from __future__ import annotations

from include.medallion.config.checks.expressions import FUNCTIONS, check_condition
from include.medallion.errors import SettingError
from include.medallion.model.columns import quote_identifier, quote_literal

_RANGE = ".."


def where_condition(text: str) -> str:
    """
    Return a condition that a person wrote.

    Raises:
        SettingError: it is not one expression over the columns of a row.
    """
    try:
        return check_condition(text, "postgres")
    except ValueError:  # its message quotes the condition, which may hold a value of a row
        raise SettingError(
            "reload_where is no condition that is allowed: write one expression over the columns of a row and "
            f"literals, which may call {', '.join(FUNCTIONS)}"
        ) from None


def keys_condition(column: str, text: str) -> str:
    """
    Return the condition that rows with these keys meet.

    Args:
        column: the first key column, by its name in the source.
        text: values separated by commas, or a range `A..B` that includes both; one end may be left out.

    Raises:
        SettingError: there is no value in it.

    >>> print(keys_condition("id", "7, 9"))
    "id" IN (E'7', E'9')
    >>> print(keys_condition("id", "100..200"))
    "id" >= E'100' AND "id" <= E'200'
    """
    name = quote_identifier(column)
    if _RANGE in text:
        low, high = (end.strip() for end in text.split(_RANGE, 1))
        ends = [f"{name} >= {quote_literal(low)}"] if low else []
        ends += [f"{name} <= {quote_literal(high)}"] if high else []
        condition = " AND ".join(ends)
    else:
        values = [quote_literal(value.strip()) for value in text.split(",") if value.strip()]
        condition = f"{name} IN ({', '.join(values)})" if values else ""
    if not condition:
        raise SettingError(
            "reload_keys has no key: write values of the first key column separated by commas, or a range such as "
            "100..200"
        )
    return condition
