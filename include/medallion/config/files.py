"""Pipeline files: find, read and validate them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from include.medallion.config.checks.error_messages import describe_errors
from include.medallion.config.checks.schedules import MANUAL, ON_CHANGE, check_schedule
from include.medallion.config.defaults import FILE, origin, shared_settings, with_shared
from include.medallion.config.pipeline import DEFAULT_SCHEDULE, Pipeline
from include.medallion.config.yaml_documents import load_yaml
from include.medallion.errors import SettingError

PIPELINES = Path(__file__).parents[2] / "pipelines"


def airflow_schedule(requested: str = DEFAULT_SCHEDULE) -> str | None:
    """
    Return the schedule to give to Airflow.

    Args:
        requested: the pipeline file's schedule; the environment variable MEDALLION_SCHEDULE overrides it.

    Returns:
        A schedule of Airflow's, `on_change`, or None for a DAG that runs only when triggered.

    Raises:
        SettingError: MEDALLION_SCHEDULE is no schedule that Airflow accepts.
    """
    override = os.environ.get("MEDALLION_SCHEDULE")
    try:
        schedule = check_schedule(override) if override else requested
    except ValueError as e:
        raise SettingError(f"MEDALLION_SCHEDULE: {e}") from None
    return None if schedule == MANUAL else schedule


def describe_schedule(pipeline: Pipeline) -> str:
    """Return in words when runs of a pipeline start."""
    schedule = airflow_schedule(pipeline.schedule)
    if schedule != ON_CHANGE:
        return schedule or MANUAL
    channel, often = pipeline.on_change.channel, pipeline.on_change.at_least_every
    seen = "in its log" if pipeline.source.read == "log" else "in its statistics"
    return f"{ON_CHANGE}: a change is seen {seen}{' or notified' if channel else ''}; at least every {often}"


def runs_on_schedule() -> bool:
    """Return whether DAGs run by themselves: not if MEDALLION_SCHEDULE is `manual`."""
    return os.environ.get("MEDALLION_SCHEDULE") != MANUAL


def approval_time(environ: Mapping[str, str]) -> timedelta | None:
    """
    Return how long a task waits for an approval in Airflow, by `MEDALLION_APPROVAL_HOURS`.

    Returns:
        None if tasks do not ask: they fail, and a person triggers them again with the parameter that approves.

    Raises:
        SettingError: the variable holds no such number.
    """
    text = environ.get("MEDALLION_APPROVAL_HOURS")
    if not text:
        return None
    try:
        return timedelta(hours=float(text)) if float(text) > 0 else _no_hours()
    except (ValueError, OverflowError):
        return _no_hours()


def _no_hours() -> timedelta:
    raise SettingError("MEDALLION_APPROVAL_HOURS must be a number of hours above 0; unset it to approve by parameter")


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
    """
    Return all pipeline files, ordered by name; `_defaults.yaml` is none.

    Raises:
        SettingError: there is no such folder: Airflow would show no DAG, and no reason.
    """
    folder = pipelines_folder()
    if not folder.is_dir():
        raise SettingError(f"there is no folder {folder}: set MEDALLION_PIPELINES to the folder of the pipeline files")
    found = (p for p in folder.glob("*.y*ml") if p.suffix in {".yaml", ".yml"})
    return sorted(p for p in found if p.name != FILE)


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
    Read and validate one pipeline file, with the settings that it shares with the other files of its folder.

    Raises:
        SettingError: the file or `_defaults.yaml` is not YAML, or violates the model; the message has one line per
            mistake, with file, field and fix.
    """
    shared = shared_settings(file.parent)
    own, root = load_yaml(file)
    if own is None and shared:
        own = {}
    if not isinstance(own, dict):
        raise SettingError(f"{file}: must be a mapping with source and at least one of silver, gold and sinks")
    name = pipeline_name(file)
    document = with_shared(own, shared, name)
    try:
        return Pipeline.model_validate({**document, "name": name})
    except ValidationError as e:
        problems = describe_errors(document, root, e.errors(), partial(origin, own, document))
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
