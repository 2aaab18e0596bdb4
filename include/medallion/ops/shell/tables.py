"""The commands that show rows of the lake's tables: `gold`, `quarantine`, `usage`."""

from __future__ import annotations

from typing import Annotated

import typer

from include.medallion.ops.shell.opened import opened

Name = Annotated[str, typer.Argument(metavar="PIPELINE", help="name of a pipeline file")]
Rows = Annotated[int, typer.Option(min=0, help="rows to show")]


def gold(name: Name, rows: Rows = 5) -> None:
    """Show the Gold table: version, rows, schema, the first rows."""
    from include.medallion.lake.preview import preview

    with opened(name) as (pipeline, connections):
        preview(connections.lake, pipeline.gold_table, rows)


def quarantine(name: Name, rows: Rows = 5) -> None:
    """Show the quarantined rows, with their reasons."""
    from include.medallion.lake.preview import preview
    from include.medallion.quarantine.table import TABLE

    with opened(name) as (_, connections):
        preview(connections.lake, TABLE, rows, only=("pipeline", name))


def usage(name: Name) -> None:
    """Show the usage ledger of a pipeline: paid calls by provider, day and batch."""
    from include.medallion.lake.preview import preview
    from include.medallion.lookups.usage_ledger import TABLE

    with opened(name) as (_, connections):
        preview(connections.lake, TABLE, rows=1000, only=("pipeline", name))
