"""Command-line options of all benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from benchmarks.harness.contest import Contender
from benchmarks.harness.results import SIZES, shortly
from benchmarks.harness.servers import NotInstallable


def size(text: str) -> int:
    """Read `100k`, `1M` or `12345`."""
    if isinstance(text, int):  # the default
        return text
    try:
        return int(text[:-1]) * SIZES[text[-1]] if text[-1:] in SIZES else int(text)
    except ValueError:
        raise typer.BadParameter("a number, with k or M behind it if you like: 100k, 1M, 10M") from None


Rows = Annotated[int, typer.Option(parser=size, metavar="100k|1M|10M", help="rows in the table")]
Changed = Annotated[
    int | None, typer.Option(parser=size, metavar="10k", help="rows that are new or changed; default: 1 % of the table")
]
Rounds = Annotated[int, typer.Option(min=1, help="how often each contender has its turn")]
Only = Annotated[list[str] | None, typer.Option(help="this contender (may be repeated); default: all")]


def chosen(contenders: Sequence[Contender], only: list[str] | None, rows: int) -> list[Contender]:
    """Return the contenders of these names, all if none is named; leave out who cannot do so many rows, and say so."""
    if unknown := set(only or ()) - {c.name for c in contenders}:
        raise typer.BadParameter(f"no contender {sorted(unknown)}: there are {[c.name for c in contenders]}")
    asked = [c for c in contenders if (not only or c.name in only) and _is_installed(c)]
    for contender in (c for c in asked if not c.able(rows)):
        most = shortly(contender.limit.rows)
        print(f"{contender.name} is left out above {most} rows: {contender.limit.reason}", flush=True)
    if not (able := [c for c in asked if c.able(rows)]):
        raise typer.BadParameter(f"no contender is left that can do {rows:,} rows")
    return able


def _is_installed(contender: Contender) -> bool:
    try:
        contender.python()
    except NotInstallable as e:
        print(f"{contender.name} is left out: {e}", flush=True)
        return False
    return True
