"""
DuckDB's Postgres scanner and delta-rs, the shortest script that does the work: copy, then merge what a cursor finds.

It sees no deleted row and no row whose `updated_at` did not change, and keeps nothing but the Delta table.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(task: dict) -> dict:
    """Bring what changed to Gold."""
    import duckdb
    import duckdb_extension_postgres_scanner
    from deltalake import DeltaTable, write_deltalake

    name, place, options = task.get("table", "employees"), task["lake"] + "/gold", task["options"]
    folder = Path(duckdb_extension_postgres_scanner.__file__).parent
    engine = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    engine.execute(f"LOAD '{next(folder.rglob('*.duckdb_extension'))}'")
    engine.execute(f"ATTACH '{task['source']}' AS source (TYPE postgres, READ_ONLY)")
    rows = f"SELECT * FROM source.public.{name}"
    if not DeltaTable.is_deltatable(place, storage_options=options):
        write_deltalake(place, engine.execute(rows).to_arrow_reader(), storage_options=options)
        return {"stages": {}, "look_ups": 0}
    table = DeltaTable(place, storage_options=options)
    engine.register("gold", table.to_pyarrow_dataset())
    (cursor,) = engine.execute("SELECT max(updated_at)::varchar FROM gold").fetchone()
    changed = engine.execute(f"{rows} WHERE updated_at > '{cursor}'").to_arrow_table()
    if changed.num_rows:
        merge = table.merge(changed, "source.id = target.id", source_alias="source", target_alias="target")
        merge.when_matched_update_all().when_not_matched_insert_all().execute()
    return {"stages": {}, "look_ups": 0}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
