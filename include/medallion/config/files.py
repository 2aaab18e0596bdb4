"""Pipeline files: find, read and check them."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import yaml
from pydantic import ValidationError

from include.medallion.config.pipeline import DEFAULT_SCHEDULE, MANUAL, Pipeline
from include.medallion.errors import SettingError

PIPELINES = Path(__file__).parents[2] / "pipelines"


def airflow_schedule(wished: str = DEFAULT_SCHEDULE) -> str | None:
    """Return a file's schedule as Airflow takes it, overridden by the environment; None to run when triggered only."""
    chosen = os.environ.get("MEDALLION_SCHEDULE") or wished
    return None if chosen == MANUAL else chosen


def json_schema() -> dict:
    """Return the JSON Schema of a pipeline file."""
    schema = Pipeline.model_json_schema(by_alias=True)
    schema["properties"].pop("name")
    schema["required"].remove("name")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Medallion pipeline"}


def pipelines_folder() -> Path:
    """Where the pipeline files are: `MEDALLION_PIPELINES`, or `include/pipelines`."""
    return Path(os.environ.get("MEDALLION_PIPELINES") or PIPELINES)


def pipeline_files() -> list[Path]:
    """All pipeline files, by name."""
    return sorted(p for p in pipelines_folder().glob("*.y*ml") if p.suffix in {".yaml", ".yml"})


def valid_pipelines() -> list[Pipeline]:
    """All pipelines whose file is without mistakes."""
    found = []
    for file in pipeline_files():
        with suppress(SettingError):  # a DAG of its own tells what is wrong
            found.append(load_file(file))
    return found


def pipeline_name(file: Path) -> str:
    """Return the pipeline name that a file's own name gives."""
    return re.sub(r"\W", "_", file.stem)


def load_file(file: Path) -> Pipeline:
    """
    Read one pipeline file.

    Raises:
        SettingError: the file is no YAML or breaks the model; the message has
            a line per mistake, with the field and the fix.
    """
    try:
        document = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise SettingError(f"{file}: cannot be read as YAML: {e}") from None
    if not isinstance(document, dict):
        raise SettingError(f"{file}: must be a mapping with source, enrich, silver and gold")
    try:
        return Pipeline.model_validate({**document, "name": pipeline_name(file)})
    except ValidationError as e:
        raise SettingError("\n".join(_describe_error(file, document, error) for error in e.errors())) from None


def find_pipeline(name: str) -> Pipeline:
    """
    Load the pipeline of this name.

    Raises:
        SettingError: no file describes it; the message lists the names there are.
    """
    known = {pipeline_name(f): f for f in pipeline_files()}
    if name not in known:
        raise SettingError(f"no pipeline {name!r} in {pipelines_folder()}: there are {sorted(known) or 'none'}")
    return load_file(known[name])


def _describe_error(file: Path, document: dict, error: dict) -> str:
    way = [str(step) for step in error["loc"]]
    if way[:2] == ["enrich", "0"] and not isinstance(document["enrich"], list):
        del way[1]  # it was written without a list
    field = ".".join(way) or "(the whole file)"
    if error["type"] == "extra_forbidden":
        return f"{file}: {field}: unknown setting; remove it or check its spelling (docs/pipeline.schema.json)"
    if error["type"] == "missing":
        return f"{file}: {field}: is required; add it"
    return f"{file}: {field}: {error['msg'].removeprefix('Value error, ')}"
