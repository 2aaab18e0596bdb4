"""
Put results into the page: each between `<!-- bench NAME -->` and `<!-- end -->`, where it replaces the older table.

    PYTHONPATH=. .venv/bin/python benchmarks/publish.py [NAME ...]

NAME is that of a file in `.sandbox/bench/results`, such as `initial-load-1M`. Without names: every result for which
the page has a place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.harness.results import RESULTS, is_name
from benchmarks.harness.servers import ROOT

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- bench {} -->", "<!-- end -->"
BLOCK = re.compile(r"<!-- bench (?P<name>\S+) -->\n(?P<table>((?!<!-- ).)*)<!-- end -->", re.DOTALL)


class WrongMarker(Exception):
    """The page and the results do not fit; the message names the marker and the cure."""


def main(
    names: Annotated[list[str] | None, typer.Argument(help="results; default: all with a place in the page")] = None,
    page: Annotated[Path, typer.Option(help="the page")] = PAGE,
    results: Annotated[Path, typer.Option(help="where the results are")] = RESULTS,
) -> None:
    """Fill the page's places with the newest results, and say what was left as it was."""
    text = page.read_text()
    there = places(text)
    wanted = names or [name for name in there if (results / f"{name}.md").exists()]
    page.write_text(filled(text, {name: (results / f"{name}.md").read_text() for name in wanted}))
    for name in there:
        print(f"{name}: {'published' if name in wanted else 'as it was'}")


def places(page: str) -> list[str]:
    """
    Return the names of a page's places, from top to bottom.

    Raises:
        WrongMarker: a name that no benchmark writes, one that is there twice, or a place without an end.
    """
    there = [block["name"] for block in BLOCK.finditer(page)]
    if not page.count("<!-- bench ") == page.count(END) == len(there):
        raise WrongMarker(f"a place begins or ends where no other does: each table stands between its marker and {END}")
    if unknown := [name for name in there if not is_name(name)]:
        raise WrongMarker(f"no benchmark writes {unknown}: correct the name in the page's marker")
    if twice := sorted(name for name in set(there) if there.count(name) > 1):
        raise WrongMarker(f"{twice} have two places: delete one of each")
    return there


def filled(page: str, tables: Mapping[str, str]) -> str:
    """
    Return the page with these tables in their places; the same tables once more change nothing.

    Raises:
        WrongMarker: as `places`, or the page has no place for a table.
    """
    if missing := sorted(set(tables) - set(places(page))):
        raise WrongMarker(f"the page has no place for {missing}: write {BEGIN.format(missing[0])} and {END} into it")
    return BLOCK.sub(lambda found: _block(found, tables), page)


def _block(place: re.Match, tables: Mapping[str, str]) -> str:
    name = place["name"]
    return f"{BEGIN.format(name)}\n{tables[name].rstrip()}\n{END}" if name in tables else place[0]


if __name__ == "__main__":
    typer.run(main)
