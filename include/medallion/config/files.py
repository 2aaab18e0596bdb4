"""Pipeline files: find, read and validate them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from yaml import Node

from include.medallion.config.checks.error_messages import explain
from include.medallion.config.checks.schedules import MANUAL, check_schedule
from include.medallion.config.pipeline import DEFAULT_SCHEDULE, Pipeline
from include.medallion.config.yaml_documents import load_yaml, scalar_text
from include.medallion.errors import SettingError

PIPELINES = Path(__file__).parents[2] / "pipelines"
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


def airflow_schedule(requested: str = DEFAULT_SCHEDULE) -> str | None:
    """
    Return the schedule to give to Airflow.

    Args:
        requested: the pipeline file's schedule; the environment variable MEDALLION_SCHEDULE overrides it.

    Returns:
        A schedule, or None for a DAG that runs only when triggered.

    Raises:
        SettingError: MEDALLION_SCHEDULE is no schedule that Airflow accepts.
    """
    override = os.environ.get("MEDALLION_SCHEDULE")
    try:
        schedule = check_schedule(override) if override else requested
    except ValueError as e:
        raise SettingError(f"MEDALLION_SCHEDULE: {e}") from None
    return None if schedule == MANUAL else schedule


def runs_on_schedule() -> bool:
    """Return whether DAGs run by themselves: not if MEDALLION_SCHEDULE is `manual`."""
    return os.environ.get("MEDALLION_SCHEDULE") != MANUAL


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a pipeline file, for editors."""
    schema = Pipeline.model_json_schema(by_alias=True)
    schema["properties"].pop("name")
    schema["required"].remove("name")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Medallion pipeline"}


def pipelines_folder() -> Path:
    """Return the folder of the pipeline files: `MEDALLION_PIPELINES`, or `include/pipelines`."""
    return Path(os.environ.get("MEDALLION_PIPELINES") or PIPELINES)


def pipeline_files() -> list[Path]:
    """Return all pipeline files, ordered by name."""
    return sorted(p for p in pipelines_folder().glob("*.y*ml") if p.suffix in {".yaml", ".yml"})


def valid_pipelines() -> list[Pipeline]:
    """Return all pipelines whose file is valid."""
    found = []
    for file in pipeline_files():
        with suppress(SettingError):  # the DAG of an invalid file reports what is wrong
            found.append(load_file(file))
    return found


def pipeline_name(file: Path) -> str:
    """Return the name of the pipeline that a file describes."""
    return re.sub(r"\W", "_", file.stem)


def load_file(file: Path) -> Pipeline:
    """
    Read and validate one pipeline file.

    Raises:
        SettingError: the file is not YAML, or it violates the model; the message has one line per mistake, with
            file, field and fix.
    """
    document, root = load_yaml(file)
    if not isinstance(document, dict):
        raise SettingError(f"{file}: must be a mapping with source and at least one of silver, gold and sinks")
    try:
        return Pipeline.model_validate({**document, "name": pipeline_name(file)})
    except ValidationError as e:
        problems = (_describe_error(document, root, error) for error in _without_consequences(e.errors()))
        raise SettingError("\n".join(f"{file}: {problem}" for problem in problems)) from None


def find_pipeline(name: str) -> Pipeline:
    """
    Load the pipeline of this name.

    Raises:
        SettingError: no file describes it (the message lists the existing names), or several do.
    """
    found = [file for file in pipeline_files() if pipeline_name(file) == name]
    if len(found) > 1:
        raise SettingError(same_name(found))
    if not found:
        known = sorted({pipeline_name(file) for file in pipeline_files()})
        raise SettingError(f"no pipeline {name!r} in {pipelines_folder()}: there are {known or 'none'}")
    return load_file(found[0])


def same_name(files: Sequence[Path]) -> str:
    """Return the message for files that describe pipelines of one name."""
    names = ", ".join(str(file) for file in files)
    return f"{names}: all of them describe pipeline {pipeline_name(files[0])} (DAG id and staging): rename all but one"


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


def _describe_error(document: dict[str, Any], root: Node | None, error: ErrorDetails) -> str:
    path = [str(step) for step in error["loc"] if step != "[key]"]
    if path[:2] == ["enrich", "0"] and not isinstance(document["enrich"], list):
        del path[1]  # the file has one enrichment without a list
    field = ".".join(path) or "(the whole file)"
    if field == "name":
        return f"the name of the file, without its ending, {explain(error, None)}: rename it"
    if new_name := _renamed(error):
        return f"{field}: was renamed; write {new_name} instead"
    return f"{field}: {explain(error, scalar_text(root, path))}"
