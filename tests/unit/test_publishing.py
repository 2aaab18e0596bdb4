"""The page of benchmarks is made of their results: each table in its place, and nothing else changed."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from benchmarks import publish
from benchmarks.harness.results import Question, names
from benchmarks.publish import WrongMarker, filled, places

PAGE = """# Page

<!-- bench initial-load-1M -->
old
<!-- end -->

Words between.

<!-- bench new-rows-10M -->
<!-- end -->
"""


def test_a_table_replaces_the_older_one_in_its_place():
    """The text around, and a place without a new table, stay as they are."""
    page = filled(PAGE, {"initial-load-1M": "### new\n\n| a \\1 |\n"})
    assert page == PAGE.replace("\nold\n", "\n### new\n\n| a \\1 |\n")


def test_publishing_twice_changes_nothing():
    """The same results make the same page."""
    tables = {"initial-load-1M": "one\n", "new-rows-10M": "two\n"}
    once = filled(PAGE, tables)
    assert once != PAGE
    assert filled(once, tables) == once


@pytest.mark.parametrize(
    ("page", "tables", "message"),
    [
        (PAGE, {"initial-load-10M": "x"}, "the page has no place for .'initial-load-10M'.: write <!-- bench initial"),
        (PAGE.replace("new-rows-10M", "new-rose-10M"), {}, "no benchmark writes .'new-rose-10M'."),
        (PAGE.replace("new-rows-10M", "new-rows-big"), {}, "no benchmark writes .'new-rows-big'."),
        (PAGE.replace("new-rows-10M", "initial-load-1M"), {}, "'initial-load-1M'. have two places"),
        (PAGE.replace("old\n<!-- end -->", "old"), {}, "a place begins or ends where no other does"),
        (PAGE + "<!-- end -->\n", {}, "a place begins or ends where no other does"),
    ],
    ids=["no place", "unknown question", "unknown size", "twice", "no end", "no begin"],
)
def test_a_wrong_marker_is_an_error(page, tables, message):
    """A table without a place, and a marker that no result can fill, are told of, and nothing is written."""
    with pytest.raises(WrongMarker, match=message):
        filled(page, tables)


def test_the_command_publishes_what_has_a_place(tmp_path):
    """Without names every result is published for which there is a place; others are left alone."""
    page, results = tmp_path / "page.md", tmp_path / "results"
    results.mkdir()
    page.write_text(PAGE)
    for name in ("new-rows-10M", "new-rows-100k"):
        (results / f"{name}.md").write_text(f"{name}'s table\n")
    app = publish.typer.Typer()
    app.command()(publish.main)
    shown = CliRunner().invoke(app, ["--page", str(page), "--results", str(results)])
    assert shown.output == "initial-load-1M: as it was\nnew-rows-10M: published\n"
    assert page.read_text() == PAGE.replace("10M -->\n", "10M -->\nnew-rows-10M's table\n")


@pytest.mark.parametrize("question", Question)
@pytest.mark.parametrize("size", [(10_000_000, "10M"), (100_000, "100k"), (1234, "1234")], ids=lambda s: s[1])
def test_results_of_two_sizes_stand_side_by_side(question, size):
    """A result is named by its question and its size, and that is a name that a marker may have."""
    name = names(question, size[0])
    assert name.endswith(f"-{size[1]}")
    assert places(f"<!-- bench {name} -->\n<!-- end -->") == [name]


def test_the_page_has_a_place_for_each_answer():
    """docs/performance.md has places for every question, at the sizes at which it is asked."""
    there = places(publish.PAGE.read_text())
    sizes = dict.fromkeys(Question, (1_000_000, 10_000_000))
    sizes |= {Question.WHOLE_DAG: (1_000_000,), Question.LATENCY: (10_000,)}
    sizes |= dict.fromkeys((Question.SILVER_INITIAL_LOAD, Question.SILVER_UPDATES), (1_000_000,))
    sizes |= {Question.KILLED_EXTRACT: (10_000_000,)}
    assert set(there) == {names(question, rows) for question, some in sizes.items() for rows in some}
