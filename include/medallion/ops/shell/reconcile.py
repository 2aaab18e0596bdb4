"""Commands of the shell that compare, repair and reload; `__main__` registers them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from include.medallion.ops.shell.opened import opened

Name = Annotated[str, typer.Argument(metavar="PIPELINE", help="name of a pipeline file")]
RepairOption = Annotated[
    Literal["off", "missing", "all"] | None,
    typer.Option(help="what to read again and write; default: as the pipeline file says"),
]


def reload(
    name: Name,
    where: Annotated[str | None, typer.Option(help="SQL condition that the rows meet")] = None,
    keys: Annotated[str | None, typer.Option(help="values of the first key column: 7,9 or 100..200")] = None,
) -> None:
    """Read chosen rows of the source again and write them to all sinks, over any version there."""
    from include.medallion.steps.run import run
    from include.medallion.steps.run_options import parse_reload
    from include.medallion.steps.summary.row_counts import summary_line

    with opened(name) as (pipeline, connections):
        summary = run(pipeline, connections, parse_reload(where, keys))
        print(summary_line(summary) if summary else "the source has no such row")


def reconcile(
    name: Name,
    approve_deletes: Annotated[bool, typer.Option(help="delete however large a share of the rows")] = False,
    repair: RepairOption = None,
    values: Annotated[bool, typer.Option(help="compare the values of all rows; goes on where it stopped")] = False,
    accept_source: Annotated[bool, typer.Option(help="go on with a source that was promoted or restored")] = False,
) -> None:
    """Compare source and sinks, apply deletes of the source to every sink, and repair rows that differ."""
    from include.medallion.model.differences import check_nothing_lost, summary_line
    from include.medallion.ops.reconcile import reconcile as compare
    from include.medallion.runs.record import record_reconcile

    with opened(name) as (pipeline, connections):
        options = {"approve_deletes": approve_deletes, "values": values, "accept": accept_source}
        report = compare(pipeline, connections, repair=repair, **options)
        print(summary_line(report) if report else "a sink holds nothing yet: nothing to compare")
        if report:
            record_reconcile(connections.lake, report)
            check_nothing_lost(report)
