"""
### Medallion: refresh look-ups.

Triggers, once a day, a run of each pipeline with `refresh_lookups`: it looks up again what is due of the rows that are
in the sinks already, and writes the answers to both.

* **PENDING** rows were over the budget (`max_calls_per_run`, `max_calls_per_day`) when they came: they get their turn.
* **Too old** answers (`keep_days`; Google's terms allow 30) are renewed; where the budget does not reach, coordinates
  are nulled out and PENDING, or kept, as `expire` in the pipeline file says.
* **A row that changes meanwhile** is left to the run that brings it.
* **pipeline** chooses one pipeline; empty means all.
"""

from __future__ import annotations

from airflow.sdk import Param, dag, get_current_context, task
from airflow.sdk.exceptions import DagRunTriggerException
from medallion_defaults import DAILY, SETTINGS

from include.medallion.config.files import find_pipeline, valid_pipelines

PARAMS = {
    "pipeline": Param(
        default=None,
        type=["null", "string"],
        title="Pipeline",
        description="Name of the pipeline file to refresh. Empty: all.",
    ),
}


@task
def choose() -> list[str]:
    """Name the pipelines whose answers have an age."""
    wished = get_current_context()["params"]["pipeline"]
    chosen = [find_pipeline(wished)] if wished else valid_pipelines()
    return [pipeline.name for pipeline in chosen if pipeline.ages]


@task(map_index_template="{{ task.op_kwargs['name'] }}")
def refresh(name: str) -> None:
    """Trigger the pipeline's own DAG, where runs come one at a time; a retry triggers no second one."""
    # raised as TriggerDagRunOperator does, whose import takes every task of this file two seconds
    raise DagRunTriggerException(
        trigger_dag_id=f"medallion_{name}",
        dag_run_id=f"refresh__{get_current_context()['run_id']}",
        conf={"refresh_lookups": True},
        reset_dag_run=False,
        skip_when_already_exists=True,
        wait_for_completion=False,
        allowed_states=[],
        failed_states=[],
        poke_interval=0,
        deferrable=False,
    )


@dag("medallion_refresh", schedule=DAILY, params=PARAMS, doc_md=__doc__, **SETTINGS)
def medallion_refresh() -> None:
    """Wire the DAG."""
    refresh.expand(name=choose())


medallion_refresh()
