"""
polars as its documentation shows it: `read_database_uri` through ADBC; `write_delta` merges what a cursor finds.

It sees no deleted row and no row whose `updated_at` did not change, and keeps nothing but the Delta table.
"""

from __future__ import annotations

import json
import sys


def main(task: dict) -> dict:
    """Bring what changed to Gold."""
    import polars as pl
    from deltalake import DeltaTable

    name, place, options = task.get("table", "employees"), task["lake"] + "/gold", task["options"]
    rows = f"SELECT * FROM {name}"
    if not DeltaTable.is_deltatable(place, storage_options=options):
        pl.read_database_uri(rows, task["source"], engine="adbc").write_delta(place, storage_options=options)
        return {"stages": {}, "look_ups": 0}
    cursor = pl.scan_delta(place, storage_options=options).select("updated_at").max().collect().item()
    changed = pl.read_database_uri(f"{rows} WHERE updated_at > '{cursor}'", task["source"], engine="adbc")
    if len(changed):
        how = {"predicate": "s.id = t.id", "source_alias": "s", "target_alias": "t"}
        merge = changed.write_delta(place, mode="merge", storage_options=options, delta_merge_options=how)
        merge.when_matched_update_all().when_not_matched_insert_all().execute()
    return {"stages": {}, "look_ups": 0}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
