"""
A DAG that runs when the `employees` pipeline has written to Gold, and prints how many employees each department has.

Copy it into your DAG folder. The asset of a sink is named `<sink>_<pipeline>`; its event carries the run's summary.
"""

from __future__ import annotations

import os

from airflow.sdk import Asset, dag, task

GOLD = Asset("gold_employees")


@dag(schedule=[GOLD], catchup=False, tags=["medallion"])
def headcount() -> None:
    """Wire the DAG."""

    @task
    def count(triggering_asset_events: dict | None = None) -> dict[int, int]:
        """Read Gold once, however many runs have written to it since the last time."""
        import duckdb
        from deltalake import DeltaTable

        runs = [event.extra["batch_id"] for event in (triggering_asset_events or {}).get(GOLD, [])]
        print(f"Gold was written by batches {runs}")
        options = {key: value for key, value in os.environ.items() if key.startswith("AWS_") and key != "AWS_URI"}
        table = DeltaTable(f"{os.environ['AWS_URI']}/employees_enriched", storage_options=options)
        live = duckdb.from_arrow(table.to_pyarrow_dataset()).filter("_deleted_at IS NULL")
        return dict(live.aggregate("department_id, count(*)").fetchall())

    count()


headcount()
