"""
### Medallion.

Every row that is written or changed in a Postgres table arrives, enriched, in Snowflake and in a Delta table.

`open_window -> extract -> enrich[part] -> load_silver -> write_gold -> commit`

Tasks that a pipeline does not need (no enrichment, one sink only) are left out.

* **Nothing new**: `extract` finds no rows, all tasks after it are skipped, the run is green.
* **A task failed**: fix what its message names and clear it, or wait for the next run: it starts from the sinks'
  positions. Every task is idempotent: nothing is lost or doubled, however often and in which order tasks are repeated.
* **full_refresh** reads the whole table and replaces each sink in one commit; cached look-ups are not billed again.
* **max_rows** is a trial: it loads at most so many rows and does not advance the watermark.
* **refresh_lookups** looks up PENDING and expired results of the rows in Gold (`medallion_refresh` does so daily).
* **replay_quarantine** reads the quarantined rows again: rows that are valid now arrive, and their entries are closed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import medallion_metrics
from airflow.sdk import Asset, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException
from medallion_connections import connect, lake
from medallion_defaults import SETTINGS
from medallion_logs import log_group
from medallion_params import PARAMS
from pydantic import TypeAdapter

from include.medallion.config.checks.reserved import PIPELINES as RESERVED
from include.medallion.config.checks.validation import load_files
from include.medallion.config.files import airflow_schedule, find_pipeline, pipeline_files, pipeline_name
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError, SinkBehind
from include.medallion.model.window import Position, Window
from include.medallion.redaction.library_errors import redact_library_errors
from include.medallion.steps.watermark import WATERMARK_KEY, advanced, corrected

log = logging.getLogger("airflow.task.medallion")
T = TypeVar("T")
LONGEST_NAME = 200  # Airflow refuses DAG ids of more than 250 characters


def to_json(value: object) -> Any:
    """Return a dataclass as XCom and Airflow's state store hold it."""
    return TypeAdapter(type(value)).dump_python(value, mode="json")


def from_json(type_: type[T], value: Any) -> T:
    """Inverse of `to_json`."""
    return TypeAdapter(type_).validate_python(value)


@task(multiple_outputs=False)
def open_window(name: str) -> dict:
    """Fix what this run reads, so that every retry reads the same."""
    from include.medallion.steps.open_window import open_window
    from include.medallion.steps.run_options import parse_run_options

    with redact_library_errors():
        pipeline, context = find_pipeline(name), get_current_context()
        options = parse_run_options(context["params"])
        return to_json(open_window(pipeline, connect(pipeline), options, remembered(context, name)))


@task(multiple_outputs=False)
def extract(name: str, window: dict) -> list[dict]:
    """Stage the window's rows, partitioned by enrichment key; return what to enrich, or what to load."""
    from include.medallion.steps.extract import extract

    with redact_library_errors():
        pipeline, opened = find_pipeline(name), from_json(Window, window)
        parts = extract(pipeline, connect(pipeline), opened)
        log.info("%s rows staged in %s parts", f"{sum(p.rows for p in parts):,}", len(parts))
        if not parts:
            medallion_metrics.emit_nothing_new(opened)
        return [{"window": window, "part": part.number} for part in parts]


@task(multiple_outputs=False, map_index_template="part {{ task.op_kwargs['staged']['part'] }}")
def enrich(name: str, staged: dict) -> dict:
    """Look up one part's distinct keys and join its rows with the results."""
    from include.medallion.steps.enrich import enrich
    from include.medallion.steps.row_counts import part_summary_line

    with redact_library_errors():
        pipeline, opened = find_pipeline(name), from_json(Window, staged["window"])
        with log_group(f"look-ups of part {staged['part']}"):
            part = enrich(pipeline, connect(pipeline), opened, staged["part"], pipeline.parts.max_parallel_parts)
        log.info(part_summary_line(part))
        return staged


@task(multiple_outputs=False)
def apply(name: str, sink: str, staged: Sequence[dict]) -> list[dict]:
    """Apply the batch to one sink, in one atomic and idempotent commit."""
    from include.medallion.steps.apply import apply_batch

    if not staged:  # a pipeline without enrichment has no mapped task whose absence skips this one
        raise AirflowSkipException("nothing new")
    first = staged[0]
    try:
        with redact_library_errors(), log_group(sink), medallion_metrics.counting_conflicts(name):
            pipeline = find_pipeline(name)
            apply_batch(pipeline, connect(pipeline), from_json(Window, first["window"]), sink)
    except SinkBehind as e:
        remember(get_current_context(), name, sink, e.held)
        raise
    return [first]


@task(multiple_outputs=False)
def commit(name: str, staged: Sequence[dict]) -> dict:
    """Check the row counts, advance the watermark, publish the summary."""
    from include.medallion.steps.commit import commit
    from include.medallion.steps.row_counts import summary_line

    with redact_library_errors():
        pipeline, context = find_pipeline(name), get_current_context()
        window = from_json(Window, staged[0]["window"])
        summary = commit(pipeline, lake(), window)
    held = advanced(remembered(context, name), window, [*pipeline.sink_steps])
    if held:  # a trial before the first load leaves nothing to remember
        context["asset_state_store"][bronze(name)].set(WATERMARK_KEY, to_json_positions(held))
    for asset in sinks(pipeline):
        context["outlet_events"][asset].extra = to_json(summary)
    log.info(summary_line(summary))
    for warning in summary.warnings:
        log.warning(warning)
    medallion_metrics.emit(window, summary, context["dag_run"].start_date)
    return to_json(summary)


def remembered(context: Any, name: str) -> dict[str, Position | None]:
    """Return the positions that Airflow remembers, by sink."""
    stored = context["asset_state_store"][bronze(name)].get(WATERMARK_KEY)
    return from_json(dict[str, Position | None], stored or {})


def remember(context: Any, name: str, sink: str, position: Position | None) -> None:
    """Correct the position that Airflow remembers of one sink."""
    held = corrected(remembered(context, name), sink, position)
    context["asset_state_store"][bronze(name)].set(WATERMARK_KEY, to_json_positions(held))


def to_json_positions(positions: dict[str, Position | None]) -> dict:
    """Return positions as Airflow's state store holds them."""
    return {sink: to_json(position) if position else None for sink, position in positions.items()}


def bronze(name: str) -> Asset:
    """Return the asset that keeps a pipeline's watermark."""
    return Asset(f"bronze_{name}")


def sinks(pipeline: Pipeline) -> list[Asset]:
    """Return the assets that a run updates; other DAGs can be scheduled on them."""
    return [Asset(f"{sink}_{pipeline.name}") for sink in pipeline.sink_steps]


def build(pipeline: Pipeline) -> None:
    """Wire the DAG of one pipeline file."""
    name, schedule = pipeline.name, airflow_schedule(pipeline.schedule)
    state = {"inlets": [bronze(name)]}
    parallel = pipeline.parts.max_parallel_parts

    @dag(pipeline.dag_id, schedule=schedule, params=PARAMS, doc_md=__doc__, **SETTINGS)
    def medallion() -> None:
        staged = extract(name, open_window.override(**state)(name))
        if pipeline.enrich:
            staged = enrich.override(max_active_tis_per_dag=parallel).partial(name=name).expand(staged=staged)
        for sink, step in pipeline.sink_steps.items():
            staged = apply.override(task_id=step, **state)(name, sink, staged)
        commit.override(**state, outlets=sinks(pipeline))(name, staged)

    medallion()


def build_broken(file: Path, reason: str) -> None:
    """Wire a DAG that fails with its file's mistakes, so that one bad file does not stop the other pipelines."""
    name = pipeline_name(file)[:LONGEST_NAME]
    dag_id = f"medallion_{name}" if name not in RESERVED else f"medallion_{file.name}"

    @dag(dag_id, schedule=broken_schedule(), doc_md=reason, **SETTINGS)
    def broken() -> None:
        @task
        def read_pipeline_file() -> None:
            raise SettingError(reason)

        read_pipeline_file()

    broken()


def broken_schedule() -> str | None:
    """Return when the DAG of a bad file fails: as often as a good one would run, so that it is noticed."""
    try:
        return airflow_schedule()
    except SettingError:
        return None


def build_all() -> None:
    """Wire a DAG for each name of a pipeline file."""
    loaded = load_files(pipeline_files())
    for file, found in {pipeline_name(file): (file, found) for file, found in loaded.items()}.values():
        try:
            if isinstance(found, SettingError):
                raise found
            build(found)
        except SettingError as e:
            build_broken(file, str(e))


build_all()
