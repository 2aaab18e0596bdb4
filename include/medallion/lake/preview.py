"""Print the contents of a Delta table, for a shell."""

from __future__ import annotations

import json

import pyarrow.compute as pc

from include.medallion.lake.delta import dataset, open_table
from include.medallion.lake.object_store import Lake


def preview(lake: Lake, table: str, rows: int, only: tuple[str, str] | None = None) -> None:
    """
    Print a Delta table's URI, version, row count, schema and first rows.

    Args:
        table: the table's path below the lake's root.
        rows: upper limit of rows to print.
        only: a column and the value that counted and printed rows must have; None for all rows.
    """
    opened = open_table(lake, table)
    if opened is None:
        print(f"{table}: there is no such table yet")
        return
    data, condition = dataset(lake, table, opened), pc.field(only[0]) == only[1] if only else None
    print(f"{opened.table_uri}  version {opened.version()}, {data.count_rows(filter=condition):,} rows")
    print(f"{data.schema}\n")
    for row in data.head(rows, filter=condition).to_pylist():
        print(json.dumps(row, default=str, ensure_ascii=False))
