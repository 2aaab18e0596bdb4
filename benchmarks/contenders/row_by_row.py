"""A row at a time into lists, a look-up for each, a data frame, an append: how such jobs are often written at first."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import psycopg
from deltalake import write_deltalake

from include.medallion.geocoders.location import Status
from include.medallion.geocoders.offline import locate
from include.medallion.geocoders.postcodes import normalise


def main(task: dict) -> dict:
    """Append the rows above the largest id that was seen; knows nothing of updates."""
    kept = Path(task["state"], "last.txt")
    last = int(kept.read_text()) if kept.exists() else 0
    with psycopg.connect(task["source"]) as connection:
        cursor = connection.execute("SELECT * FROM employees WHERE id > %s", [last])
        names = [column.name for column in cursor.description]
        columns = {name: [] for name in [*names, "latitude", "longitude", "geocode_status"]}
        look_ups = 0
        for row in cursor.fetchall():
            for name, value in zip(names, row, strict=True):
                columns[name].append(value)
            key = normalise("US", row[names.index("postcode")])
            place = locate(*key) if key else None
            look_ups += place is not None
            columns["latitude"].append(place and place.latitude)
            columns["longitude"].append(place and place.longitude)
            columns["geocode_status"].append(str(place.status if place else Status.NO_POSTCODE))
    if columns["id"]:
        frame = pd.DataFrame(columns)
        write_deltalake(task["lake"] + "/gold", frame, mode="append", storage_options=task["options"])
        kept.write_text(str(max(columns["id"])))
    return {"stages": {}, "look_ups": look_ups}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
