"""
Report failed tasks and runs to Sentry, without secrets and personal data.

Set the notifier twice. In `default_args`, it receives the exception, but is not
called for a task that was killed. As the DAG's callback, it is also called for
killed tasks, but never receives the exception. Both events have the same
fingerprint (DAG, failed task), so that one failure is one issue with two
events, and the same failure in a later run belongs to the same issue.

Without SENTRY_DSN, nothing is sent. Reporting never raises and takes a few
seconds at most, so that a failure of Sentry does not affect the run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from airflow.sdk import BaseNotifier
from sentry_delivery import Report, send

log = logging.getLogger(__name__)


class SentryNotifier(BaseNotifier):
    """Reports failures to Sentry: for `on_failure_callback` of tasks and DAGs, and for deadlines."""

    def notify(self, context: Mapping[str, Any]) -> None:
        """Send one event for each failed task in the context."""
        send(lambda: reports(context))

    async def async_notify(self, context: Mapping[str, Any]) -> None:
        """Do the same from the triggerer, which a slow Sentry must not block."""
        await asyncio.to_thread(self.notify, context)


def reports(context: Mapping[str, Any]) -> list[Report]:
    """Return the failures in Airflow's context: a missed deadline, the failed tasks of a run, or one task."""
    if "deadline" in context:
        return [_deadline(context)]
    if "reason" in context:
        return list(_run(context))
    return [_task(context)]


def _deadline(context: Mapping[str, Any]) -> Report:
    run = context["dag_run"]  # a plain dict here
    tags = {"dag_id": run["dag_id"], "run_id": run["dag_run_id"]}
    details = {"deadline": (context["deadline"] or {}).get("deadline_time")}
    return Report(_fingerprint(tags, "deadline"), tags, f"{tags['dag_id']}: deadline missed", details)


def _task(context: Mapping[str, Any]) -> Report:
    ti, error = context["ti"], context.get("exception")
    tags = {name: getattr(ti, name, None) for name in ("dag_id", "task_id", "run_id", "map_index", "try_number")}
    tags |= {"batch": _batch(getattr(ti, "task", None)), "log_url": getattr(ti, "log_url", None)}
    message = f"{tags['dag_id']}.{tags['task_id']}: the task's process was lost (killed, or its worker died)"
    error = error if isinstance(error, BaseException) else None
    return Report(_fingerprint(tags, tags["task_id"]), tags, message, error=error)


def _run(context: Mapping[str, Any]) -> Iterator[Report]:
    dag, ti, reason = context["dag"], context.get("ti"), context["reason"]
    tags = {"dag_id": dag.dag_id, "run_id": context["run_id"], "reason": reason}
    failed = _failed(dag, tags["run_id"])
    for task_id, indexes in failed.items():
        which = f"{task_id}{indexes}" if indexes else task_id
        own = {"task_id": task_id, "map_index": ",".join(map(str, indexes)) or None}
        link = ti.log_url if ti is not None and ti.task_id == task_id else None
        message = f"{dag.dag_id}: run failed at {which} ({reason})"
        yield Report(
            _fingerprint(tags, task_id), tags | own | {"log_url": link}, message, {"failed_map_indexes": indexes}
        )
    if not failed:  # timed out, or marked as failed by a user
        yield Report(_fingerprint(tags, reason), tags, f"{dag.dag_id}: run failed ({reason})")


def _failed(dag: Any, run_id: str) -> dict[str, list[int]]:
    """Return the failed tasks, each with its failed map indexes (none for a task that is not mapped)."""
    states = _states(dag.dag_id, run_id)
    failed: dict[str, list[int]] = {}
    for name in (name for name, state in states.items() if state == "failed"):
        # Airflow names a mapped task instance "<task>_<index>", which may also be another task's name
        task_id, _, index = (name, "", "") if dag.has_task(name) else name.rpartition("_")
        failed.setdefault(task_id, []).extend([int(index)] if index else [])
    return {task_id: sorted(failed[task_id]) for task_id in sorted(failed)}


def _states(dag_id: str, run_id: str) -> Mapping[str, str]:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    try:
        return RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
    except Exception as error:  # noqa: BLE001 a report without task names is better than none
        log.warning("task states of the failed run are not known (%s)", type(error).__name__)
        return {}


def _batch(task: Any) -> Any:
    """Return the batch id among the arguments of a task whose arguments are rendered, if there is one."""
    arguments = [*(getattr(task, "op_args", None) or ()), *(getattr(task, "op_kwargs", None) or {}).values()]
    found = (argument["batch_id"] for argument in arguments if isinstance(argument, Mapping) and "batch_id" in argument)
    return next(found, None)


def _fingerprint(tags: Mapping[str, Any], what: str) -> list[str]:
    return ["medallion", tags["dag_id"], what]
