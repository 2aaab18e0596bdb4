"""
What cannot be avoided: COPY thrown away, the join with known coordinates, the write of the same rows from memory.

Only these three count; what fills the memory and starts Python does not.
"""

from __future__ import annotations

import json
import sys
import time

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_postgresql import dbapi
from deltalake import write_deltalake

from include.medallion.geocoders.offline import locate
from include.medallion.geocoders.postcodes import normalise

COLUMNS = ("latitude", "longitude", "geocode_status")


def main(task: dict) -> dict:
    """Do the three, one after the other."""
    stages, cpu = {}, time.process_time()
    begun = time.perf_counter()
    query = "COPY (SELECT * FROM employees) TO STDOUT (FORMAT binary)"
    with psycopg.connect(task["source"]) as connection, connection.cursor() as cursor, cursor.copy(query) as copy:
        for _ in copy:
            pass
    stages["copy"], cpu = time.perf_counter() - begun, time.process_time() - cpu
    with dbapi.connect(task["source"]) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM employees")
        rows = cursor.fetch_arrow_table()
    known = _known(rows["postcode"])
    from_here, begun = time.process_time(), time.perf_counter()
    rows = _joined(rows, *known)
    stages["join"], begun = time.perf_counter() - begun, time.perf_counter()
    write_deltalake(task["lake"] + "/gold", rows, storage_options=task["options"])
    stages["write"] = time.perf_counter() - begun
    cpu += time.process_time() - from_here
    return {"stages": stages, "look_ups": 0, "wall": sum(stages.values()), "cpu": cpu}


def _known(postcodes: pa.ChunkedArray) -> tuple[pa.Array, pa.Table]:
    distinct = postcodes.unique()
    keys = [normalise("US", code) for code in distinct.to_pylist()]
    places = [locate(*key) if key else None for key in keys]
    columns = [
        pa.array([p and p.latitude for p in places], pa.float64()),
        pa.array([p and p.longitude for p in places], pa.float64()),
        pa.array([str(p.status) if p else "NO_POSTCODE" for p in places]),
    ]
    return distinct, pa.table(columns, COLUMNS)


def _joined(rows: pa.Table, postcodes: pa.Array, places: pa.Table) -> pa.Table:
    found = places.take(pc.index_in(rows["postcode"], postcodes))
    for name in COLUMNS:
        rows = rows.append_column(name, found[name])
    return rows


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
