"""
### Medallion: maintenance.

Keeps in bounds what runs leave behind, once a night, pipeline by pipeline:

* **Gold, `locations`, `quarantine`**: small files are joined; Gold is sorted by key once a key can be in many files;
  files that only versions older than `MEDALLION_VERSIONS_DAYS` (7) need are deleted; a checkpoint of the log is
  written.
* **Recorded runs** (table `runs`): rows older than `MEDALLION_RUNS_DAYS` (90) are deleted.
* **The archive** (`_staging`): batches older than `MEDALLION_STAGING_DAYS` (30) are deleted, unless a sink may still
  need them.
* **Replication slots** (`read: log`): dropped if the pipeline is paused, reads otherwise or is gone, or if one keeps
  more than `max_slot_lag_mb` of the source's log; the next run reads by transaction id.
* **Snowflake**: tables that killed tries left are dropped, and ledger rows as old as the archive's; the newest stays.

It waits until the pipeline writes to no sink (`idle`). A writer that begins meanwhile wins: the commit of maintenance
that conflicts with its own is given up until the next night. At any time, also twice, also after a kill.
**pipeline** chooses one pipeline; empty means all.
"""

from __future__ import annotations

import logging
import os

from airflow.sdk import Param, dag, get_current_context, task, task_group
from medallion_connections import connect, lake
from medallion_defaults import SETTINGS
from medallion_logs import readable_failures

from include.medallion.config.files import find_pipeline, pipeline_files, pipeline_name, runs_on_schedule

log = logging.getLogger("airflow.task.medallion")
SCHEDULE = "30 3 * * *" if runs_on_schedule() else None  # MEDALLION_SCHEDULE=manual: when triggered only
MAX_PARALLEL = 1  # it reads and writes whole tables: one after the other
POLLING = {"poke_interval": 20, "timeout": 3600, "mode": "reschedule"}
PARAMS = {
    "pipeline": Param(
        default=None,
        type=["null", "string"],
        title="Pipeline",
        description="Name of the pipeline file to maintain. Empty: all.",
    ),
}


@task
def choose() -> list[str]:
    """Name the pipelines to maintain."""
    wished = get_current_context()["params"]["pipeline"]
    return [find_pipeline(wished).name] if wished else [pipeline_name(file) for file in pipeline_files()]


@task.sensor(soft_fail=True, **POLLING)
def idle(name: str) -> bool:
    """Wait until neither a run of the pipeline nor a reconcile writes; leave it for tonight if that never is so."""
    count = get_current_context()["ti"].get_ti_count
    pipeline = find_pipeline(name)
    writes = count(dag_id=pipeline.dag_id, task_ids=[*pipeline.sink_steps.values()], states=["running"])
    return not (writes or count(dag_id="medallion_reconcile", task_ids=["reconcile"], states=["running"]))


@task(multiple_outputs=False, max_active_tis_per_dag=MAX_PARALLEL)
def maintain(name: str) -> str:
    """Maintain one pipeline's sinks and its staged batches."""
    from datetime import UTC, datetime

    from include.medallion.ops.maintenance import maintain, retention

    with readable_failures():
        pipeline = find_pipeline(name)
        paused = get_current_context()["ti"].get_dag(pipeline.dag_id).is_paused
        done = maintain(pipeline, connect(pipeline), retention(os.environ, datetime.now(UTC)), paused=paused)
        log.info(done)
        return done


@task
def maintain_shared() -> list[str]:
    """Maintain the tables that all pipelines share: they are small, and a conflict costs little."""
    from datetime import UTC, datetime

    from include.medallion.ops.maintenance import maintain_shared, retention

    with readable_failures():
        return maintain_shared(lake(), retention(os.environ, datetime.now(UTC)))


@dag("medallion_maintenance", schedule=SCHEDULE, params=PARAMS, doc_md=__doc__, **SETTINGS)
def medallion_maintenance() -> None:
    """Wire the DAG."""

    @task_group
    def pipeline(name: str) -> None:
        idle(name) >> maintain(name)

    pipeline.expand(name=choose())
    maintain_shared()


medallion_maintenance()
