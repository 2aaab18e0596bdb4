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

from include.medallion import pipeline as pipelines
from include.medallion.discretion import discreet
from include.medallion.errors import SettingError, SinkBehind
from include.medallion.pipeline import Pipeline
from include.medallion.watermark import KEY, corrected, moved, silver_position
from include.medallion.window import Window

log = logging.getLogger("airflow.task.medallion")


@task(multiple_outputs=False)
def open_window(name: str) -> dict:
    """Fix what this run reads, so that every retry reads the same."""
    from include.medallion import run

    with discreet():
        pipeline, context = pipelines.find(name), get_current_context()
        connections, hint = connect(pipeline), context["asset_state_store"][bronze(name)].get(KEY)
        position = silver_position(hint, lambda: run.silver_position(pipeline, connections))
        return run.begin(pipeline, connections, position, **run.wishes(context["params"])).to_json()


@task
def extract(name: str, window: dict) -> list[dict]:
    """Stage the window's rows, cut into parts by enrichment key."""
    from include.medallion import run

    with discreet():
        pipeline = pipelines.find(name)
        parts = run.read(pipeline, connect(pipeline), Window.from_json(window))
        log.info("%s rows staged in %s parts", f"{sum(p.rows for p in parts):,}", len(parts))
        if not parts:
            medallion_metrics.tell_nothing_new(Window.from_json(window))
        return [part.to_json() for part in parts]


@task(multiple_outputs=False, map_index_template="part {{ task.op_kwargs['part']['number'] }}")
def enrich(name: str, window: dict, part: dict) -> dict:
    """Answer one part's distinct keys and join its rows with the answers."""
    from include.medallion import run
    from include.medallion.extract import Part
    from include.medallion.reckoning import part_line

    with discreet():
        pipeline, opened = pipelines.find(name), Window.from_json(window)
        with folded(f"look-ups of part {part['number']}"):
            enriched = run.look_up(pipeline, connect(pipeline), opened, Part(**part), pipeline.parts.at_once).to_json()
        log.info(part_line(enriched))
        return enriched


@task(multiple_outputs=False)
def load_silver(name: str, window: dict, parts: list[dict], enriched: list[dict]) -> dict:
    """Apply the batch to Snowflake: COPY, then one transaction with the ledger."""
    from include.medallion import run
    from include.medallion.enrich import Enriched
    from include.medallion.reckoning import matched

    pipeline = pipelines.find(name)
    try:
        with discreet(), folded("Snowflake"):
            answered = [Enriched(**e) for e in matched(parts, enriched)]
            return run.load(pipeline, connect(pipeline), Window.from_json(window), answered).to_json()
    except SinkBehind as e:
        get_current_context()["asset_state_store"][bronze(name)].set(KEY, corrected(e.held))
        raise


@task(multiple_outputs=False)
def write_gold(name: str, window: dict, parts: list[dict], enriched: list[dict]) -> dict:
    """Apply the batch to Delta: one conditional commit."""
    from include.medallion import run
    from include.medallion.enrich import Enriched
    from include.medallion.reckoning import matched

    with discreet(), folded("Delta"), medallion_metrics.counting_conflicts(name):
        pipeline, answered = pipelines.find(name), [Enriched(**e) for e in matched(parts, enriched)]
        return run.write(pipeline, connect(pipeline), Window.from_json(window), answered).to_json()


@task(multiple_outputs=False)
def commit(name: str, window: dict, parts: list[dict], enriched: list[dict], silver: dict, gold: dict) -> dict:
    """Balance the books, move the watermark, tell what happened."""
    from include.medallion.reckoning import line, matched, reckon

    context, opened = get_current_context(), Window.from_json(window)
    summary = reckon(opened, parts, matched(parts, enriched), silver, gold)
    store = context["asset_state_store"][bronze(name)]
    if held := moved(store.get(KEY), opened):  # a trial before the first load leaves nothing to remember
        store.set(KEY, held)
    for asset in sinks(name):
        context["outlet_events"][asset].extra = summary
    log.info(line(summary))
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
    name, schedule = pipeline.name, pipelines.airflow_schedule(pipeline.schedule)
    reads = {"inlets": [bronze(name)]}

    @dag(pipeline.dag_id, schedule=schedule, params=PARAMS, doc_md=__doc__, **SETTINGS)
    def medallion() -> None:
        window = open_window.override(**reads)(name)
        parts = extract(name, window)
        many = enrich.override(max_active_tis_per_dag=pipeline.parts.at_once)
        enriched = many.partial(name=name, window=window).expand(part=parts)
        silver = load_silver.override(**reads)(name, window, parts, enriched)
        gold = write_gold(name, window, parts, enriched)
        silver >> gold
        commit.override(**reads, outlets=sinks(name))(name, window, parts, enriched, silver, gold)

    medallion()


def build_broken(name: str, reason: str) -> None:
    """Wire a DAG that fails with its file's mistakes: loud, and without taking the other pipelines along."""

    @dag(f"medallion_{name}", schedule=pipelines.airflow_schedule(), doc_md=reason, **SETTINGS)
    def broken() -> None:
        @task
        def read_pipeline_file() -> None:
            raise SettingError(reason)

        read_pipeline_file()

    broken()


for file in pipelines.files():
    try:
        build(pipelines.load(file))
    except SettingError as e:
        build_broken(pipelines.name_of(file), str(e))
