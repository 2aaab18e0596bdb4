"""
### Medallion.

Every row that is written or changed in a Postgres table arrives, enriched, in Snowflake and in a Delta table.

`open_window -> extract -> enrich[part] -> load_silver -> write_gold -> commit`

* **Nothing new**: `extract` finds no parts, all after it is skipped, the run is green.
* **A task failed**: mend what its message names and clear it, or wait for the next run: it starts where the sinks
  stand. Nothing is lost and nothing is doubled, whatever is run again.
* **full_refresh** reads the whole table and replaces both sinks in one commit each; nothing cached is paid for again.
* **max_rows** is a trial: it loads at most so many rows and leaves the watermark.
* **refresh_lookups** asks anew for PENDING and too old answers of the rows in Gold (`medallion_refresh` does so daily).
* **replay_quarantine** reads the rows in quarantine again: what is good now arrives, and its entry is closed.
"""

from __future__ import annotations

import logging

import medallion_metrics
from airflow.sdk import Asset, dag, get_current_context, task
from medallion_connections import connect
from medallion_defaults import SETTINGS
from medallion_logs import folded
from medallion_params import PARAMS

from include.medallion.config import files as pipeline_files
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError, SinkBehind
from include.medallion.model.window import Window
from include.medallion.redaction.library_errors import redact_library_errors
from include.medallion.steps.watermark import WATERMARK_KEY, advanced, corrected, silver_position

log = logging.getLogger("airflow.task.medallion")


@task(multiple_outputs=False)
def open_window(name: str) -> dict:
    """Fix what this run reads, so that every retry reads the same."""
    from include.medallion.steps import run, run_options

    with redact_library_errors():
        pipeline, context = pipeline_files.find_pipeline(name), get_current_context()
        connections, hint = connect(pipeline), context["asset_state_store"][bronze(name)].get(WATERMARK_KEY)
        position = silver_position(hint, lambda: run.silver_position(pipeline, connections))
        return run.open_window(
            pipeline, connections, position, **run_options.parse_run_options(context["params"])
        ).to_json()


@task
def extract(name: str, window: dict) -> list[dict]:
    """Stage the window's rows, cut into parts by enrichment key."""
    from include.medallion.steps import run

    with redact_library_errors():
        pipeline = pipeline_files.find_pipeline(name)
        parts = run.extract(pipeline, connect(pipeline), Window.from_json(window))
        log.info("%s rows staged in %s parts", f"{sum(p.rows for p in parts):,}", len(parts))
        if not parts:
            medallion_metrics.tell_nothing_new(Window.from_json(window))
        return [part.to_json() for part in parts]


@task(multiple_outputs=False, map_index_template="part {{ task.op_kwargs['part']['number'] }}")
def enrich(name: str, window: dict, part: dict) -> dict:
    """Answer one part's distinct keys and join its rows with the answers."""
    from include.medallion.staging.parts import Part
    from include.medallion.steps import run
    from include.medallion.steps.row_counts import part_summary_line

    with redact_library_errors():
        pipeline, opened = pipeline_files.find_pipeline(name), Window.from_json(window)
        with folded(f"look-ups of part {part['number']}"):
            enriched = run.enrich(
                pipeline, connect(pipeline), opened, Part(**part), pipeline.parts.max_parallel_parts
            ).to_json()
        log.info(part_summary_line(enriched))
        return enriched


@task(multiple_outputs=False)
def load_silver(name: str, window: dict, parts: list[dict], enriched: list[dict]) -> dict:
    """Apply the batch to Snowflake: COPY, then one transaction with the ledger."""
    from include.medallion.staging.parts import EnrichedPart
    from include.medallion.steps import run
    from include.medallion.steps.row_counts import match_parts

    pipeline = pipeline_files.find_pipeline(name)
    try:
        with redact_library_errors(), folded("Snowflake"):
            answered = [EnrichedPart(**e) for e in match_parts(parts, enriched)]
            return run.load_silver(pipeline, connect(pipeline), Window.from_json(window), answered).to_json()
    except SinkBehind as e:
        get_current_context()["asset_state_store"][bronze(name)].set(WATERMARK_KEY, corrected(e.held))
        raise


@task(multiple_outputs=False)
def write_gold(name: str, window: dict, parts: list[dict], enriched: list[dict]) -> dict:
    """Apply the batch to Delta: one conditional commit."""
    from include.medallion.staging.parts import EnrichedPart
    from include.medallion.steps import run
    from include.medallion.steps.row_counts import match_parts

    with redact_library_errors(), folded("Delta"), medallion_metrics.counting_conflicts(name):
        pipeline, answered = (
            pipeline_files.find_pipeline(name),
            [EnrichedPart(**e) for e in match_parts(parts, enriched)],
        )
        return run.write_gold(pipeline, connect(pipeline), Window.from_json(window), answered).to_json()


@task(multiple_outputs=False)
def commit(name: str, window: dict, parts: list[dict], enriched: list[dict], silver: dict, gold: dict) -> dict:
    """Balance the books, move the watermark, tell what happened."""
    from include.medallion.steps.row_counts import check_row_counts, match_parts, summary_line

    context, opened = get_current_context(), Window.from_json(window)
    summary = check_row_counts(opened, parts, match_parts(parts, enriched), silver, gold)
    store = context["asset_state_store"][bronze(name)]
    if held := advanced(store.get(WATERMARK_KEY), opened):  # a trial before the first load leaves nothing to remember
        store.set(WATERMARK_KEY, held)
    for asset in sinks(name):
        context["outlet_events"][asset].extra = summary
    log.info(summary_line(summary))
    medallion_metrics.tell(opened, summary, context["dag_run"].start_date)
    return summary


def bronze(name: str) -> Asset:
    """Return the asset that keeps a pipeline's watermark."""
    return Asset(f"bronze_{name}")


def sinks(name: str) -> list[Asset]:
    """Return the assets that a run updates; other DAGs can be scheduled on them."""
    return [Asset(f"silver_{name}"), Asset(f"gold_{name}")]


def build(pipeline: Pipeline) -> None:
    """Wire the DAG of one pipeline file."""
    name, schedule = pipeline.name, pipeline_files.airflow_schedule(pipeline.schedule)
    reads = {"inlets": [bronze(name)]}

    @dag(pipeline.dag_id, schedule=schedule, params=PARAMS, doc_md=__doc__, **SETTINGS)
    def medallion() -> None:
        window = open_window.override(**reads)(name)
        parts = extract(name, window)
        many = enrich.override(max_active_tis_per_dag=pipeline.parts.max_parallel_parts)
        enriched = many.partial(name=name, window=window).expand(part=parts)
        silver = load_silver.override(**reads)(name, window, parts, enriched)
        gold = write_gold(name, window, parts, enriched)
        silver >> gold
        commit.override(**reads, outlets=sinks(name))(name, window, parts, enriched, silver, gold)

    medallion()


def build_broken(name: str, reason: str) -> None:
    """Wire a DAG that fails with its file's mistakes: loud, and without taking the other pipelines along."""

    @dag(f"medallion_{name}", schedule=pipeline_files.airflow_schedule(), doc_md=reason, **SETTINGS)
    def broken() -> None:
        @task
        def read_pipeline_file() -> None:
            raise SettingError(reason)

        read_pipeline_file()

    broken()


for file in pipeline_files.pipeline_files():
    try:
        build(pipeline_files.load_file(file))
    except SettingError as e:
        build_broken(pipeline_files.pipeline_name(file), str(e))
