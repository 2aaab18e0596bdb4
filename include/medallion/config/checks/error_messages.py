"""
Messages for what pydantic finds wrong with a pipeline file: what to write instead, in the words of the file's author.

Error types and their context: https://docs.pydantic.dev/latest/errors/validation_errors/.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from pydantic_core import ErrorDetails

_PATTERNS = {
    "^[A-Z]{2}$": "must be an ISO 3166-1 alpha-2 code, two capital letters, e.g. US",
    r"^[\w.]+:\w+$": "must be module:function, e.g. include.enrichments:add_region",
    r"^[\w.=-]+$": "must be a plain folder name of letters, digits and _ . = -",
    r"^[a-z0-9_]*$": "may hold lower-case letters, digits and _ only",
    r"^[a-z][a-z0-9_]*$": "must begin with a lower-case letter and hold lower-case letters, digits and _ only",
}
"""What a pattern of the model demands, in words."""

_KINDS: dict[type, str] = {bool: "a boolean", int: "a number", float: "a number", date: "a date"}
_MAPPING = "must be a mapping: put its settings on indented lines below it"

_BY_TYPE: dict[str, Callable[[dict[str, Any]], str]] = {
    "string_type": lambda _: "must be text",
    "string_too_short": lambda _: "must not be empty",
    "string_too_long": lambda c: f"must have at most {c['max_length']} characters",
    "list_type": lambda _: "must be a list, or a single name",
    "too_short": lambda c: f"must have at least {c['min_length']} entry; add one",
    "dict_type": lambda _: _MAPPING,
    "model_type": lambda _: _MAPPING,
    "int_type": lambda _: "must be a whole number",
    "int_parsing": lambda _: "must be a whole number",
    "int_from_float": lambda _: "must be a whole number",
    "float_type": lambda _: "must be a number",
    "float_parsing": lambda _: "must be a number",
    "finite_number": lambda _: "must be a finite number",
    "greater_than": lambda c: f"must be more than {c['gt']:g}",
    "greater_than_equal": lambda c: f"must be {c['ge']:g} or more",
    "less_than": lambda c: f"must be less than {c['lt']:g}",
    "less_than_equal": lambda c: f"must be {c['le']:g} or less",
    "literal_error": lambda c: f"must be one of {c['expected']}",
    "string_pattern_mismatch": lambda c: _PATTERNS.get(c["pattern"], f"must match {c['pattern']}"),
    "missing": lambda _: "is required; add it",
    "extra_forbidden": lambda _: "unknown setting; remove it or check its spelling (docs/pipeline.schema.json)",
    "value_error": lambda c: str(c["error"]),
}
_WANTS_TEXT = {"string_type", "list_type"}


def explain(error: ErrorDetails, spelled: str | None) -> str:
    """
    Say how to correct a value.

    Args:
        error: as pydantic reports it.
        spelled: how the file spells the value, if it is a scalar.
    """
    kind, given = error["type"], error["input"]
    if given is None and kind not in {"missing", "extra_forbidden", "value_error"}:
        return "is empty: give it a value, or remove it"
    if kind in _WANTS_TEXT and (name := _scalar_kind(given)):
        text = str(given) if spelled is None else spelled
        return f'{text} is {name} in YAML, and this must be text: write it in quotes, "{text}"'
    about = _BY_TYPE.get(kind)
    return about(error.get("ctx", {})) if about else error["msg"]


def _scalar_kind(value: object) -> str | None:
    return next((name for type_, name in _KINDS.items() if isinstance(value, type_)), None)
