"""The README's commands, links, pipeline file and output are those of this repository."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

from include.sandbox import rows
from tests.documents import named_tests

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TEXT = README.read_text()
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", flags=re.MULTILINE | re.DOTALL)
PROSE = FENCE.sub("", TEXT)
LINES = [line.strip() for _, block in FENCE.findall(TEXT) for line in block.replace("\\\n", " ").splitlines()]
COMMANDS = [*LINES, *re.findall(r"(?<!`)`([^`\n]+)`(?!`)", PROSE)]
LINKS = re.findall(r"\]\(([^)\s]+)\)", PROSE)
OPERATORS = {"&&", "||", "|", ";", ">", ">>", "<"}


def commands(word: str) -> list[list[str]]:
    """Return the commands, in blocks and in the text, that call a program: from its name on, to their end."""
    lines = [_words(line) for line in COMMANDS]
    starts = [(words, i) for words in lines for i, name in enumerate(words) if Path(name).name == word]
    return [list(takewhile(lambda part: part not in OPERATORS, words[i:])) for words, i in starts]


def _words(line: str) -> list[str]:
    """Split a line as a shell does; nothing if it cannot be one of a shell's."""
    try:
        return shlex.split(line.removeprefix("$ "), comments=True)
    except ValueError:
        return []


def modules() -> list[tuple[str, ...]]:
    """Return what follows `python -m`."""
    return [tuple(words[2:]) for name in ("python", "python3") for words in commands(name) if words[1:2] == ["-m"]]


def makefile() -> str:
    """Return the Makefile."""
    return (ROOT / "Makefile").read_text()


def anchors(file: Path) -> set[str]:
    """Return the names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+?) *$", file.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def guarantees() -> list[str]:
    """Return the items of the first list whose items link to tests, each with its wrapped lines."""
    items = re.findall(r"^(?:[-*]|\d+\.) +(.*(?:\n(?!\n|[-*] |\d+\.|#).*)*)", PROSE, flags=re.MULTILINE)
    return list(takewhile(lambda i: "](tests/" in i, (i for i in items[_first(items) :])))


def _first(items: list[str]) -> int:
    return next((i for i, item in enumerate(items) if "](tests/" in item), len(items))


def shown_files() -> list[tuple[str, str]]:
    """Return each YAML block with the pipeline file that was linked last before it."""
    found = re.finditer(
        r"\]\((?P<file>[^)\s]+\.yaml)\)|^ *```yaml\n(?P<block>.*?)^ *```", TEXT, re.MULTILINE | re.DOTALL
    )
    files, pairs = [], []
    for match in found:
        if match["file"]:
            files.append(match["file"])
        else:
            pairs.append((files[-1] if files else "", match["block"]))
    return pairs


def shown_rows() -> list[dict[str, str]]:
    """Return the rows that the README's query of Gold prints."""
    (lines,) = [block.replace("\\\n", " ").splitlines() for kind, block in FENCE.findall(TEXT) if kind == "console"]
    heads, *values = [re.split(r" {2,}", line.strip()) for line in lines[1:]]
    return [dict(zip(heads, cells, strict=True)) for cells in values]


@pytest.mark.parametrize("words", commands("make"), ids=" ".join)
def test_make_targets_exist(words):
    """Each `make` command names targets, and sets variables, that the Makefile has."""
    targets = set(re.findall(r"^([.a-z-]+):", makefile(), flags=re.MULTILINE))
    assert {word for word in words[1:] if "=" not in word and not word.startswith("-")} <= targets
    for variable in (word.partition("=")[0] for word in words[1:] if "=" in word):
        assert re.search(rf"^{variable} \?=|\$\$?[({{]?{variable}\b", makefile(), flags=re.MULTILINE), variable


@pytest.mark.parametrize("words", [words for words in modules() if words[0].startswith("include.")], ids=" ".join)
def test_python_commands_exist(words):
    """Each `python -m include...` names a program, a command of it, and options that its help knows."""
    module, *rest = words
    command = [word for word in rest[:1] if re.fullmatch(r"[a-z]+(-[a-z]+)*", word) and _has_commands(module)]
    shown = _help(module, *command)
    assert [word for word in rest if word.startswith("--") and word.partition("=")[0] not in shown] == []


@pytest.mark.parametrize(("file", "block"), shown_files(), ids=lambda text: text.partition("\n")[0])
def test_a_pipeline_file_that_is_shown_is_the_file_that_is_linked(file, block):
    """A YAML block is the whole text of the pipeline file that the README links before it."""
    assert block == (ROOT / file).read_text()


def test_the_file_to_copy_is_shown():
    """The pipeline file that a newcomer copies for a table of his own is one that the README shows."""
    (copied,) = {words[1] for words in commands("cp")}
    assert copied in dict(shown_files())


@pytest.mark.parametrize("row", shown_rows(), ids=lambda row: row["id"])
def test_the_output_that_is_shown_is_what_the_pipeline_writes(row):
    """A row that is shown has the postcode of the sandbox's table, and what the offline geocoder finds for it."""
    employee = rows.block(0)[0].slice(int(row["id"]) - 1, 1).to_pylist()[0]
    assert row["postcode"] == str(employee["postcode"])
    nothing = {"status": "NO_POSTCODE", "latitude": None, "longitude": None}
    found = _located(employee["postcode"]) if employee["postcode"] else nothing
    shown = {name.removeprefix("geocode_"): str(row[name]) for name in ("latitude", "longitude", "geocode_status")}
    assert shown == {name: str(found[name]) for name in shown}


@pytest.mark.parametrize("link", [link for link in LINKS if not link.startswith(("http:", "https:", "mailto:"))])
def test_links_resolve(link):
    """Each link into the repository leads to a file, and to a heading if it names one."""
    target, _, anchor = link.partition("#")
    file = ROOT / target if target else README
    assert file.exists()
    if anchor and file.suffix == ".md":
        assert anchor in anchors(file)


def test_there_are_five_guarantees():
    """The README's guarantees are five, each with a link to a test."""
    assert len(guarantees()) == 5


@pytest.mark.parametrize("guarantee", guarantees())
def test_guarantees_link_to_existing_tests(guarantee):
    """A guarantee's links lead to files of tests, and a test that it names is one of that file."""
    for name, target in re.findall(r"\[([^\]]+)\]\((tests/[^)\s#]+)[^)]*\)", guarantee):
        existing = named_tests(ROOT / target)
        assert existing
        assert set(re.findall(r"test_\w+(?!\w*\.py)", name.replace(Path(target).stem, ""))) <= existing


def _located(postcode: str) -> dict:
    program = [sys.executable, "-m", "include.medallion.geocoders", postcode, "--geocoder", "offline", "--json"]
    return json.loads(subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def _has_commands(module: str) -> bool:
    return "COMMAND" in _help(module)


def _help(*words: str) -> str:
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
    program = [sys.executable, "-m", *words, "--help"]
    done = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
