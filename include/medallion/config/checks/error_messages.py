"""
Messages for what pydantic finds wrong with a pipeline file: what to write instead, in the words of the file's author.

Error types and their context: https://docs.pydantic.dev/latest/errors/validation_errors/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Any

from pydantic_core import ErrorDetails
from yaml import Node

from include.medallion.config.yaml_documents import scalar_text

_PATTERNS = {
    "^[A-Z]{2}$": "must be an ISO 3166-1 alpha-2 code, two capital letters, e.g. US",
    r"^[\w.]+:\w+$": "must be module:function, e.g. include.enrichments:add_region",
    r"^[\w.=-]+$": "must be a plain folder name of letters, digits and _ . = -",
    r"^[^{}]*\{name\}[^{}]*$": "must hold {name}, which stands for the pipeline's name",
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
_RENAMED_LOOKUP_SETTINGS = {"attempts": "max_attempts", "give_up_after": "max_consecutive_failures"}
RENAMED = {
    "source": {"exclude": "columns.exclude"},
    "parts": {
        "rows": "rows_per_part",
        "keys": "keys_per_part",
        "most": "max_parts",
        "at_once": "max_parallel_parts",
    },
    "quarantine": {"tolerate": "min_bad_rows"},
    "geocode": _RENAMED_LOOKUP_SETTINGS,
    "function": {**_RENAMED_LOOKUP_SETTINGS, "adds": "returns", "track": "status_prefix"},
}
"""Current names of settings, by section and former name, for the message about a former name."""


def describe_errors(
    document: dict[str, Any],
    root: Node | None,
    errors: list[ErrorDetails],
    origin: Callable[[Sequence[str]], str] = lambda _: "",
) -> Iterator[str]:
    """
    Yield a line for each mistake of a document: field and fix.

    Args:
        document: as it was validated.
        root: syntax tree of the file, for values as the file spells them.
        errors: as pydantic reports them.
        origin: says where the value at a path comes from, if not from this file alone.
    """
    for error in _without_consequences(errors):
        path = _path(document, error)
        yield _describe_error(path, root, error) + origin(path)


def _without_consequences(errors: list[ErrorDetails]) -> Iterable[ErrorDetails]:
    """Leave out that a required setting is missing where its former name was used."""
    replaced = {(*e["loc"][:-1], new) for e in errors if (new := _renamed(e))}
    return (e for e in errors if e["type"] != "missing" or e["loc"] not in replaced)


def _renamed(error: ErrorDetails) -> str | None:
    """Return the current name of an unknown setting, if it is a former name."""
    if error["type"] != "extra_forbidden" or len(error["loc"]) == 1:
        return None
    section, setting = map(str, error["loc"][-2:])
    return RENAMED.get(section, {}).get(setting)


def _path(document: dict[str, Any], error: ErrorDetails) -> list[str]:
    path = [str(step) for step in error["loc"] if step != "[key]"]
    if path[:2] == ["enrich", "0"] and not isinstance(document["enrich"], list):
        del path[1]  # the file has one enrichment without a list
    return path


def _describe_error(path: list[str], root: Node | None, error: ErrorDetails) -> str:
    field = ".".join(path) or "(the whole file)"
    if field == "name" and error["type"] != "extra_forbidden":
        return f"the name of the file, without its ending, {explain(error, None)}: rename it"
    if new_name := _renamed(error):
        return f"{field}: was renamed; write {new_name} instead"
    return f"{field}: {explain(error, scalar_text(root, path))}"


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
