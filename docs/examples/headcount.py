"""
A DAG that runs when the `employees` pipeline has written to Gold, and prints how many employees each department has.

Copy it into your DAG folder. The asset of a sink is named `<sink>_<pipeline>`; its event carries the run's summary.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import Asset, dag, task

GOLD = Asset("gold_employees")


@dag(schedule=[GOLD], catchup=False, tags=["medallion"])
def headcount() -> None:
    """Wire the DAG."""

    @task
    def count(triggering_asset_events: Any = None) -> dict[str, int]:
        """Read Gold once, however many runs have written to it since the last time."""
        import pyarrow.compute as pc
        from deltalake import DeltaTable

        print(f"Gold was written by batches {[event.extra['batch_id'] for event in triggering_asset_events[GOLD]]}")
        options = {key: value for key, value in os.environ.items() if key.startswith("AWS_") and key != "AWS_URI"}
        gold = DeltaTable(f"{os.environ['AWS_URI']}/employees_enriched", storage_options=options).to_pyarrow_dataset()
        live = gold.to_table(columns=["department_id"], filter=pc.field("_deleted_at").is_null())
        departments = live.group_by("department_id").aggregate([([], "count_all")]).to_pylist()
        return {str(row["department_id"]): row["count_all"] for row in departments}

    count()


headcount()
