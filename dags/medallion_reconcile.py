"""
### Medallion: reconcile.

Compares the source with every sink by key and version, one task for each pipeline, once a day.

* **Rows that the source lost** are marked (`_deleted_at`) or removed in every sink, as `deletes` in the pipeline file
  says. Windows see inserts and updates only; this is how deletes arrive.
* **Many deletes** (`max_delete_share` in the pipeline file) are not applied: the task fails and says how many rows of
  which sink they are; trigger it with **approve_deletes** for that pipeline. With `MEDALLION_APPROVAL_HOURS` the task
  waits so long for an approval under *Required Actions*, which covers the rows that were lost when it asked.
* **Rows that a sink lost**, has in an older version or more than once are read again and written to all sinks, as
  `repair` in the pipeline file or the parameter **repair** says. What is not repaired fails the task: its message says
  how many rows, in which sink, the cause if it is known, and what fixes it.
* **Values** are compared too: each day those of a share of the rows, so that all are within `verify_within_days`; with
  the parameter **values**, those of all rows.
* **At any time**: also while the pipeline runs, also twice, also after a kill.
* **pipeline** chooses one pipeline; empty means all.
"""

from __future__ import annotations

import logging
from dataclasses import asdict

from airflow.sdk import Param, dag, get_current_context, task
from medallion_approvals import asking_task
from medallion_connections import connect, lake
from medallion_defaults import DAILY, SETTINGS
from medallion_logs import readable_failures
from medallion_params import SWITCH

from include.medallion.config.files import find_pipeline, pipeline_files, pipeline_name
from include.medallion.errors import SettingError

log = logging.getLogger("airflow.task.medallion")
MAX_PARALLEL = 4
PARAMS = {
    "pipeline": Param(
        default=None,
        type=["null", "string"],
        title="Pipeline",
        description="Name of the pipeline file to reconcile. Empty: all.",
    ),
    "accept_source": Param(
        default=False,
        type=SWITCH,
        title="Accept source",
        description="Go on with a source that was promoted, restored or re-created: compare all values, write what "
        "differs. Needs the name of a pipeline.",
    ),
    "values": Param(
        default=False,
        type=SWITCH,
        title="Compare all values",
        description="Compare the values of all rows now, not only of the share that is due today.",
    ),
    "repair": Param(
        default=None,
        type=["null", "string"],
        enum=[None, "off", "missing", "all"],
        title="Repair",
        description="What to read again and write: missing and outdated rows; all, also repeated keys and rows with "
        "other values; or off. Empty: as the pipeline file says.",
    ),
    "approve_deletes": Param(
        default=False,
        type=SWITCH,
        title="Approve deletes",
        description="Delete however large a share of the rows the source has lost. Needs the name of a pipeline.",
    ),
}


@task
def choose() -> list[str]:
    """Name the pipelines to reconcile."""
    params = get_current_context()["params"]
    wished = params["pipeline"]
    for option in ("approve_deletes", "accept_source"):
        if params[option] and not wished:
            raise SettingError(f"{option} is for one pipeline: name it in the parameter pipeline")
    return [find_pipeline(wished).name] if wished else [pipeline_name(file) for file in pipeline_files()]


@asking_task(map_index_template="{{ task.op_kwargs['name'] }}", max_active_tis_per_dag=MAX_PARALLEL)
def reconcile(name: str) -> dict | None:
    """Compare one pipeline's source and sinks, apply deletes, and fail if a sink lost rows."""
    from include.medallion.model.differences import check_nothing_lost, summary_line
    from include.medallion.ops.reconcile import reconcile
    from include.medallion.runs.record import record_reconcile

    with readable_failures():
        pipeline, context = find_pipeline(name), get_current_context()
        params = context["params"]
        switches = {"values": bool(params["values"]), "accept": bool(params["accept_source"])}
        switches["approve_deletes"] = params["approve_deletes"] or False
        report = reconcile(pipeline, connect(pipeline), repair=params["repair"], **switches)
        if report is None:
            log.info("%s: a sink holds nothing yet, there is nothing to compare", name)
            return None
        log.info(summary_line(report))
        record_reconcile(lake(), report, context["run_id"])
        check_nothing_lost(report)
        return asdict(report)


@dag("medallion_reconcile", schedule=DAILY, params=PARAMS, doc_md=__doc__, **SETTINGS)
def medallion_reconcile() -> None:
    """Wire the DAG."""
    reconcile.expand(name=choose())


medallion_reconcile()
