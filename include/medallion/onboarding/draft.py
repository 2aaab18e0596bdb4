"""The pipeline file of a suggestion, as text with comments for what a person should decide. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from include.medallion.config.defaults import NAME
from include.medallion.onboarding.suggest import Geocode, Suggestion

_PLAIN = re.compile(r"[A-Za-z_][\w.-]*")


@dataclass(frozen=True, slots=True)
class Target:
    """
    Where a pipeline's file and tables are.

    Args:
        name: of the pipeline, and of its tables.
        shared: settings of `_defaults.yaml`, which need not be repeated.
        json_schema: where editors find the schema, relative to the file; empty without one.
    """

    name: str
    connection: str
    schema: str
    table: str
    shared: Mapping[str, Any]
    json_schema: str = ""


def pipeline_text(target: Target, suggestion: Suggestion) -> str:
    """Return the text of the pipeline file."""
    sections = [_head(target), _source(target, suggestion), _columns(suggestion), _enrich(suggestion), _sinks(target)]
    return "\n".join(line for section in sections for line in section) + "\n"


def scalar(text: str) -> str:
    """
    Return a text as YAML takes it.

    >>> scalar("customer_id"), scalar("no"), scalar("Order Details")
    ('customer_id', '"no"', '"Order Details"')
    """
    is_plain = _PLAIN.fullmatch(text) and yaml.safe_load(text) == text
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def _head(target: Target) -> Iterator[str]:
    if target.json_schema:
        yield f"# yaml-language-server: $schema={target.json_schema}"


def _source(target: Target, suggestion: Suggestion) -> Iterator[str]:
    shared = target.shared.get("source") or {}
    key = [scalar(name) for name in suggestion.key.columns]
    yield "source:"
    if target.connection != shared.get("connection", "bronze"):
        yield f"  connection: {scalar(target.connection)}"
    if target.schema != shared.get("schema", "public"):
        yield f"  schema: {scalar(target.schema)}"
    if target.table != str(shared.get("table", "")).replace(NAME, target.name):
        yield f"  table: {scalar(target.table)}"
    yield f"  key: {key[0] if len(key) == 1 else '[' + ', '.join(key) + ']'}"


def _columns(suggestion: Suggestion) -> Iterator[str]:
    if suggestion.decisions:
        yield "# To decide: exclude or rename columns (columns.exclude, columns.rename), or change the source."
        yield from (f"# - {line}" for line in suggestion.decisions)
    if suggestion.masks:
        yield "# These columns look personal. Uncomment what must not leave the source as it is (docs/pipelines.md)."
        yield from ("# columns:", "#   mask:")
        yield from (f"#     {scalar(name)}: {mask}" for name, mask in suggestion.masks.items())


def _enrich(suggestion: Suggestion) -> Iterator[str]:
    complete = [one for one in suggestion.geocodes if one.is_complete]
    open_ones = [one for one in suggestion.geocodes if not one.is_complete]
    if complete:
        yield "enrich:"
        yield from _geocodes(complete)
    if open_ones:
        yield "# Say the country of these postcodes, or name the column that holds it (country_column)."
        head = [] if complete else ["enrich:"]
        yield from (f"# {line}" for line in [*head, *_geocodes(open_ones, is_list=bool(complete))])


def _geocodes(some: list[Geocode], *, is_list: bool = False) -> Iterator[str]:
    listed = is_list or len(some) > 1
    for one in some:
        yield "  - geocode:" if listed else "  geocode:"
        yield from (("      " if listed else "    ") + line for line in _settings(one))


def _settings(one: Geocode) -> Iterator[str]:
    yield f"postcode: {scalar(one.postcode)}"
    if one.country_column:
        yield f"country_column: {scalar(one.country_column)}"
    else:
        yield f"country: {scalar(one.country) if one.country else '...'}"
    if one.prefix:
        yield f"prefix: {scalar(one.prefix)}"
    if one.lost_zeros:
        yield "# restore_leading_zeros: true    # the column is a number: 00501 is stored as 501"


def _sinks(target: Target) -> Iterator[str]:
    silver = target.name.upper()
    for section, table in (("silver", silver), ("gold", target.name)):
        rule = str((target.shared.get(section) or {}).get("table", ""))
        if not rule or rule.replace(NAME, target.name) != target.name:
            yield from (f"{section}:", f"  table: {scalar(table)}")
