"""
One DAG for each pipeline file, `medallion_<file>`: the tasks of a run, wired in a straight line.

Tasks hand on the id of their batch. Everything else about it is in the batch's manifests.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, dag, get_current_context, get_parsing_context, task
from airflow.sdk.exceptions import AirflowSkipException
from medallion_approvals import asking_task
from medallion_connections import connect, lake
from medallion_defaults import SETTINGS, deadline
from medallion_docs import describe, document
from medallion_lineage import emit as emit_lineage
from medallion_logs import log_group, readable_failures
from medallion_metrics import counting_conflicts, emit_nothing_new
from medallion_metrics import emit as emit_metrics
from medallion_params import PARAMS
from medallion_state import bronze, correct, from_json, remember, remembered, to_json, with_hint

from include.medallion.config.checks.reserved import PIPELINES as RESERVED
from include.medallion.config.checks.schedules import ON_CHANGE
from include.medallion.config.checks.validation import load_files
from include.medallion.config.files import airflow_schedule, find_pipeline, pipeline_files, pipeline_name
from include.medallion.config.pipeline import DEFAULT_SCHEDULE, Pipeline
from include.medallion.errors import SettingError, SinkBehind
from include.medallion.model.window import Window
from include.medallion.steps.watermark import advanced

if TYPE_CHECKING:
    from include.medallion.config.connections import Connections

log = logging.getLogger("airflow.task.medallion")
LONGEST_NAME = 200  # Airflow refuses DAG ids of more than 250 characters


@asking_task(multiple_outputs=False)
def open_window(name: str) -> dict:
    """Fix what this run reads, so that every retry reads the same."""
    from include.medallion.steps.open_window import open_window
    from include.medallion.steps.run_options import parse_run_options

    with readable_failures():
        pipeline, context = find_pipeline(name), get_current_context()
        options = parse_run_options(context["params"])
        return to_json(with_hint(context, name, partial(open_window, pipeline, connect(pipeline), options)))


@task(multiple_outputs=False)
def extract(name: str, window: dict) -> list[dict]:
    """Stage the window's rows, partitioned by enrichment key; return what to enrich, or what to load."""
    from include.medallion.steps.extract import extract

    with readable_failures():
        pipeline, opened = find_pipeline(name), from_json(Window, window)
        parts = extract(pipeline, connect(pipeline), opened)
        log.info("%s rows staged in %s parts", f"{sum(p.rows for p in parts):,}", len(parts))
        if not parts:
            emit_nothing_new(opened)
        return [{"batch_id": opened.batch_id, "part": part.number} for part in parts]


@task(multiple_outputs=False, map_index_template="part {{ task.op_kwargs['staged']['part'] }}")
def enrich(name: str, staged: dict) -> dict:
    """Look up one part's distinct keys and join its rows with the results."""
    from include.medallion.staging.archive import read_window
    from include.medallion.steps.enrich import enrich
    from include.medallion.steps.summary.row_counts import part_summary_line

    with readable_failures():
        pipeline, connections = find_and_connect(name)
        window = read_window(connections.lake, name, staged["batch_id"])
        with log_group(f"look-ups of part {staged['part']}"):
            part = enrich(pipeline, connections, window, staged["part"], pipeline.parts.max_parallel_parts)
        log.info(part_summary_line(part))
        return staged


@task(multiple_outputs=False)
def apply(name: str, sink: str, staged: Sequence[dict]) -> list[dict]:
    """Apply the batch to one sink, in one atomic and idempotent commit."""
    from include.medallion.staging.archive import read_window
    from include.medallion.steps.apply import apply_batch

    if not staged:  # a pipeline without enrichment has no mapped task whose absence skips this one
        raise AirflowSkipException("nothing new")
    first = staged[0]
    try:
        with readable_failures(), log_group(sink), counting_conflicts(name):
            pipeline, connections = find_and_connect(name)
            apply_batch(pipeline, connections, read_window(connections.lake, name, first["batch_id"]), sink)
    except SinkBehind as e:
        correct(get_current_context(), name, sink, e.held)
        raise
    return [first]


@asking_task(multiple_outputs=False)
def commit(name: str, staged: Sequence[dict]) -> dict:
    """Check the row counts, advance the watermark, publish the summary."""
    from include.medallion.ops.log import finish_log
    from include.medallion.runs.record import record_run
    from include.medallion.staging.archive import read_window
    from include.medallion.steps.commit import commit
    from include.medallion.steps.summary.row_counts import summary_line, summary_table

    with readable_failures():
        pipeline, context, store = find_pipeline(name), get_current_context(), lake()
        window = read_window(store, name, staged[0]["batch_id"])
        summary = commit(pipeline, store, window)
        record_run(store, summary, context["run_id"])
    if held := advanced(remembered(context, name), window, [*pipeline.sink_steps]):
        remember(context, name, held)  # a trial before the first load leaves nothing to remember
    if window.log:
        with readable_failures():
            finish_log(pipeline, connect(pipeline), summary, context["params"].get("approve_deletes", False))
    for asset in sinks(pipeline):
        context["outlet_events"][asset].extra = to_json(summary)
    emit_metrics(window, summary, context["dag_run"].start_date)
    emit_lineage(pipeline, store, window)
    log.info(summary_line(summary))
    for warning in summary.warnings:
        log.warning(warning)
    log.info("\n%s", summary_table(summary))
    return to_json(summary)


def find_and_connect(name: str) -> tuple[Pipeline, Connections]:
    """Return a pipeline and its connections."""
    pipeline = find_pipeline(name)
    return pipeline, connect(pipeline)


def sinks(pipeline: Pipeline) -> list[Asset]:
    """Return the assets that a run updates; other DAGs can be scheduled on them."""
    return [Asset(f"{sink}_{pipeline.name}") for sink in pipeline.sink_steps]


def build(pipeline: Pipeline) -> DAG:
    """Wire the DAG of one pipeline file."""
    name, parallel = pipeline.name, pipeline.parts.max_parallel_parts
    state = {"inlets": [bronze(name)]}
    settings = SETTINGS | {"default_args": {**SETTINGS["default_args"], "owner": pipeline.owner}}
    settings |= {"tags": [*SETTINGS["tags"], *pipeline.tags], "params": PARAMS}
    settings |= {"description": describe(pipeline), "doc_md": document(pipeline), "deadline": deadline(pipeline)}

    @dag(pipeline.dag_id, schedule=schedule_of(pipeline), **settings)
    def medallion() -> None:
        staged = extract(name, open_window.override(**state)(name))
        if pipeline.enrich:
            staged = enrich.override(max_active_tis_per_dag=parallel).partial(name=name).expand(staged=staged)
        for sink, step in pipeline.sink_steps.items():
            staged = apply.override(task_id=step, **state)(name, sink, staged)
        commit.override(**state, outlets=sinks(pipeline))(name, staged)

    return medallion()


def schedule_of(pipeline: Pipeline) -> str | AssetOrTimeSchedule | None:
    """Return when Airflow starts runs of a pipeline."""
    schedule = airflow_schedule(pipeline.schedule)
    if schedule != ON_CHANGE:
        return schedule
    from medallion_on_change import on_change

    return on_change(pipeline)


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
        schedule = airflow_schedule()
    except SettingError:
        return None
    return DEFAULT_SCHEDULE if schedule == ON_CHANGE else schedule


def build_all() -> None:
    """Wire a DAG for each name of a pipeline file; in the process of a task, which needs its own, no other good one."""
    needed = get_parsing_context().dag_id
    loaded = load_files(pipeline_files())
    for file, found in {pipeline_name(file): (file, found) for file, found in loaded.items()}.values():
        try:
            if isinstance(found, SettingError):
                raise found
            if needed in {None, found.dag_id}:
                build(found)
        except SettingError as e:
            build_broken(file, str(e))


if __name__ == "__main__":  # one run in this process: python dags/medallion.py employees
    done = build(find_pipeline("".join(sys.argv[1:2]))).test()
    sys.exit(done.state != "success")
else:
    build_all()
