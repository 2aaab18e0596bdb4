"""What Airflow's own database knows of the runs of pipelines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from airflow.models.dagrun import DagRun
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from include.medallion.page.overview import DagState


def dag_states(session: Session, dag_ids: Iterable[str], now: datetime) -> dict[str, DagState]:
    """
    Return the state of each DAG, also of one that never ran.

    Each query is answered from an index, so that it does not depend on how many runs there are.
    """
    wanted = [*dag_ids]
    of_ours = DagRun.dag_id.in_(wanted)
    newest_successes = select(DagRun.dag_id, func.max(DagRun.start_date)).where(of_ours, DagRun.state == "success")
    last_success = dict(session.execute(newest_successes.group_by(DagRun.dag_id)).tuples().all())
    newest = select(func.max(DagRun.id)).where(of_ours).group_by(DagRun.dag_id)
    last_state = dict(session.execute(select(DagRun.dag_id, DagRun.state).where(DagRun.id.in_(newest))).tuples().all())
    recent = DagRun.run_after >= now - timedelta(days=1)
    failed = select(DagRun.dag_id, func.count()).where(of_ours, DagRun.state == "failed", recent)
    failures = dict(session.execute(failed.group_by(DagRun.dag_id)).tuples().all())
    return {
        dag_id: DagState(
            last_success.get(dag_id),
            str(last_state[dag_id]) if dag_id in last_state else None,
            failures.get(dag_id, 0),
        )
        for dag_id in wanted
    }
