"""What every benchmark can be told on its command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from benchmarks.harness.contest import Contender

SIZES = {"k": 1_000, "M": 1_000_000}


def size(text: str) -> int:
    """Read `100k`, `1M` or `12345`."""
    if isinstance(text, int):  # the default
        return text
    try:
        return int(text[:-1]) * SIZES[text[-1]] if text[-1:] in SIZES else int(text)
    except ValueError:
        raise typer.BadParameter("a number, with k or M behind it if you like: 100k, 1M, 10M") from None


Rows = Annotated[int, typer.Option(parser=size, metavar="100k|1M|10M", help="rows in the table")]
Rounds = Annotated[int, typer.Option(min=1, help="how often each contender has its turn")]
Only = Annotated[list[str] | None, typer.Option(help="this contender (may be repeated); default: all")]


def chosen(contenders: Sequence[Contender], only: list[str] | None) -> list[Contender]:
    """Return the contenders of these names; all if none is named."""
    if unknown := set(only or ()) - {c.name for c in contenders}:
        raise typer.BadParameter(f"no contender {sorted(unknown)}: there are {[c.name for c in contenders]}")
    return [c for c in contenders if not only or c.name in only]
