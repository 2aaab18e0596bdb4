"""
### Medallion: maintenance.

Keeps in bounds what runs leave behind, once a night, pipeline by pipeline:

* **Gold, `locations`, `quarantine`**: small files are joined; Gold is sorted by key once a key can be in many files;
  files that only versions older than `MEDALLION_VERSIONS_DAYS` (7) need are deleted; the log is summed up.
* **The archive** (`_staging`): batches older than `MEDALLION_STAGING_DAYS` (30) are deleted, unless a sink may still
  need them.
* **Snowflake**: tables that killed tries left are dropped, and ledger rows as old as the archive's; the newest stays.

It waits until the pipeline writes to no sink (`quiet`). A writer that begins meanwhile wins: the commit of maintenance
that conflicts with its own is given up until the next night. At any time, also twice, also after a kill.
**pipeline** chooses one pipeline; empty means all.
"""

from __future__ import annotations

import logging
import os

from airflow.sdk import Param, dag, get_current_context, task, task_group
from medallion_connections import connect, lake
from medallion_defaults import SETTINGS

from include.medallion.config import files as pipeline_files
from include.medallion.redaction.library_errors import redact_library_errors

log = logging.getLogger("airflow.task.medallion")
SCHEDULE = "30 3 * * *" if pipeline_files.airflow_schedule() else None  # MEDALLION_SCHEDULE=manual: when triggered only
AT_ONCE = 1  # it reads and writes whole tables: one after the other
WRITERS = ("load_silver", "write_gold")
PATIENCE = {"poke_interval": 20, "timeout": 3600, "mode": "reschedule"}
PARAMS = {
    "pipeline": Param(
        default=None,
        type=["null", "string"],
        title="Pipeline",
        description="Name of the pipeline file to tend. Empty: all.",
    ),
}


@task
def choose() -> list[str]:
    """Name the pipelines to tend."""
    wished = get_current_context()["params"]["pipeline"]
    return (
        [pipeline_files.find_pipeline(wished).name]
        if wished
        else [pipeline_files.pipeline_name(file) for file in pipeline_files.pipeline_files()]
    )


@task.sensor(soft_fail=True, **PATIENCE)
def quiet(name: str) -> bool:
    """Wait until neither a run of the pipeline nor a reconcile writes; leave it for tonight if that never is so."""
    count = get_current_context()["ti"].get_ti_count
    writes = count(dag_id=pipeline_files.find_pipeline(name).dag_id, task_ids=list(WRITERS), states=["running"])
    return not (writes or count(dag_id="medallion_reconcile", task_ids=["reconcile"], states=["running"]))


@task(multiple_outputs=False, max_active_tis_per_dag=AT_ONCE)
def tend(name: str) -> dict:
    """Tend one pipeline's Gold table, its archive and its part of Silver."""
    from datetime import UTC, datetime

    from include.medallion.ops import maintenance

    with redact_library_errors():
        pipeline, keep = pipeline_files.find_pipeline(name), maintenance.retention(os.environ)
        done = maintenance.maintain(pipeline, connect(pipeline), keep, datetime.now(UTC))
        log.info(maintenance.summary_line(done))
        return done


@task
def tend_shared() -> list[dict]:
    """Tend the tables that all pipelines write: they are small, and a conflict costs little."""
    from datetime import UTC, datetime

    from include.medallion.ops import maintenance

    with redact_library_errors():
        return maintenance.maintain_shared(lake(), maintenance.retention(os.environ), datetime.now(UTC))


@dag("medallion_maintenance", schedule=SCHEDULE, params=PARAMS, doc_md=__doc__, **SETTINGS)
def medallion_maintenance() -> None:
    """Wire the DAG."""

    @task_group
    def pipeline(name: str) -> None:
        quiet(name) >> tend(name)

    pipeline.expand(name=choose())
    tend_shared()


medallion_maintenance()
