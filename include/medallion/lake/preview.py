"""A look into a Delta table, for a shell."""

from __future__ import annotations

import json

import pyarrow.compute as pc

from include.medallion.lake.delta import dataset, open_table
from include.medallion.lake.object_store import Lake


def preview(lake: Lake, table: str, rows: int, only: tuple[str, str] | None = None) -> None:
    """Print a table's place, version, rows, schema and first rows; of those whose column has a value, if told so."""
    found = open_table(lake, table)
    if found is None:
        print(f"{table}: there is no such table yet")
        return
    data, matching = dataset(lake, table, found), pc.field(only[0]) == only[1] if only else None
    print(f"{found.table_uri}  version {found.version()}, {data.count_rows(filter=matching):,} rows\n{data.schema}\n")
    for row in data.head(rows, filter=matching).to_pylist():
        print(json.dumps(row, default=str, ensure_ascii=False))
