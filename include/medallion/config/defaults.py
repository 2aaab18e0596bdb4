"""
Settings that all pipeline files of a folder share: `_defaults.yaml` beside them.

A pipeline file is laid over it, setting by setting: what the file says wins. `{name}` in the name of a table stands for
the pipeline's name, so that 200 files share one rule for the names of their tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, create_model

from include.medallion.config.checks.error_messages import describe_errors
from include.medallion.config.pipeline import Pipeline
from include.medallion.config.sections.columns import NewColumns
from include.medallion.config.sections.enrichment import FunctionSettings, GeocodeSettings, Settings
from include.medallion.config.sections.tables import Gold, Parts, Quarantine, Silver, Source
from include.medallion.config.yaml_documents import load_yaml
from include.medallion.errors import SettingError

Document = Mapping[str, Any]
FILE = "_defaults.yaml"
NAME = "{name}"
_TABLES = ("source", "silver", "gold")
"""Sections with a table, whose name may hold `{name}`."""
_ALTERNATIVES = {"country": {"country_column", "default_country"}, "country_column": {"country"}}
"""Settings of `geocode` that do not apply where a file says it in the other way."""


def _optional(model: type[BaseModel], leave_out: Sequence[str] = (), **replaced: Any) -> Any:
    """Return a model with the settings of another, each of them optional, some left out or replaced."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        optional = copy(field)
        optional.default, optional.default_factory = None, None
        fields[name] = (field.annotation, optional)
    fields = {name: field for name, field in (fields | replaced).items() if name not in leave_out}
    return create_model(f"{model.__name__}Defaults", __base__=Settings, __doc__=model.__doc__, **fields)


def _section(model: Any) -> tuple[Any, Any]:
    return (model | None, None)


_TABLE = (
    Annotated[str, Field(pattern=r"^[^{}]*\{name\}[^{}]*$")] | None,
    Field(default=None, description="name of the table; {name} stands for the pipeline's name"),
)
_ENRICHMENTS = create_model(
    "EnrichmentDefaults",
    __base__=Settings,
    __doc__="Settings of the enrichments that a pipeline file has; none is added to a file without.",
    geocode=_section(_optional(GeocodeSettings)),
    function=_section(_optional(FunctionSettings)),
)
_COLUMNS = create_model(
    "ColumnDefaults",
    __base__=Settings,
    __doc__="How later columns are treated; the names of columns belong in the pipeline files.",
    new_columns=_section(NewColumns),
)
Defaults: Any = _optional(
    Pipeline,
    leave_out=("name", "expect", "sinks"),
    source=_section(_optional(Source, table=_TABLE)),
    columns=_section(_COLUMNS),
    enrich=_section(_ENRICHMENTS),
    silver=_section(_optional(Silver, table=_TABLE)),
    gold=_section(_optional(Gold, table=_TABLE)),
    parts=_section(_optional(Parts)),
    quarantine=_section(_optional(Quarantine)),
)
"""The model of `_defaults.yaml`."""


def defaults_schema() -> dict[str, Any]:
    """Return the JSON Schema of `_defaults.yaml`, for editors."""
    schema = Defaults.model_json_schema(by_alias=True)
    title = {"title": "Settings that all Medallion pipelines of a folder share"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, **title}


def shared_settings(folder: Path) -> Document:
    """
    Return the settings that the pipeline files of a folder share; none without a `_defaults.yaml`.

    Raises:
        SettingError: the file is not YAML, or it violates the model; one line for each mistake.
    """
    file = folder / FILE
    return _load(file, file.stat().st_mtime_ns) if file.is_file() else {}


@lru_cache(maxsize=8)
def _load(file: Path, _changed: int) -> Document:
    """Load the file as it is since a moment."""
    document, root = load_yaml(file)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SettingError(f"{file}: must be a mapping of settings that all pipeline files of its folder share")
    try:
        Defaults.model_validate(document)
    except ValidationError as e:
        problems = describe_errors(document, root, e.errors())
        raise SettingError("\n".join(f"{file}: {problem}" for problem in problems)) from None
    return document


def with_shared(own: Document, shared: Document, name: str) -> dict[str, Any]:
    """
    Lay the settings of a pipeline file over those that it shares with others.

    A section without a table (`silver: {connection: ...}`) and the settings of enrichments apply only to files that
    have such a section or enrichment. A file turns a section off by leaving it empty (`silver:`).

    Args:
        own: what the file says.
        shared: what `_defaults.yaml` says.
        name: of the pipeline.
    """
    applying = {section: value for section, value in shared.items() if _applies(section, value, own)}
    named = {section: _with_name(value, name) if section in _TABLES else value for section, value in applying.items()}
    merged = _laid_over(named, own)
    if "enrich" in own and shared.get("enrich"):
        merged["enrich"] = _enrichments(own["enrich"], shared["enrich"])
    return merged


def origin(own: Document, merged: Document, path: Sequence[str]) -> str:
    """Say that a value at a path, or a part of it, comes from `_defaults.yaml`; nothing if none of it does."""
    return f" ({FILE} sets it, or a part of it)" if path and _at(merged, path) != _at(own, path) else ""


def _applies(section: str, value: object, own: Document) -> bool:
    if section == "enrich":
        return False
    return section not in {"silver", "gold"} or section in own or (isinstance(value, dict) and "table" in value)


def _with_name(section: object, name: str) -> object:
    if not isinstance(section, dict) or not isinstance(section.get("table"), str):
        return section
    return {**section, "table": section["table"].replace(NAME, name)}


def _laid_over(below: Document, above: Document) -> dict[str, Any]:
    both = {key for key in above if isinstance(above[key], dict) and isinstance(below.get(key), dict)}
    return {**below, **above, **{key: _laid_over(below[key], above[key]) for key in both}}


def _enrichments(own: object, shared: Document) -> object:
    if isinstance(own, list):
        return [_enrichment(one, shared) for one in own]
    return _enrichment(own, shared)


def _enrichment(own: object, shared: Document) -> object:
    if not isinstance(own, dict):
        return own
    return {kind: _with_kind(settings, shared.get(kind)) for kind, settings in own.items()}


def _with_kind(own: object, shared: object) -> object:
    """Lay one enrichment's settings over the shared ones of its kind; `geocode:` alone takes all of them."""
    given = {} if own is None else own
    if not isinstance(given, dict) or not isinstance(shared, dict):
        return own
    other_ways = {name for said, names in _ALTERNATIVES.items() if said in given for name in names}
    return _laid_over({name: value for name, value in shared.items() if name not in other_ways}, given)


def _at(document: object, path: Sequence[str]) -> object:
    for step in path:
        if isinstance(document, Mapping):
            document = document.get(step)
        elif isinstance(document, list) and step.isdigit() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document
