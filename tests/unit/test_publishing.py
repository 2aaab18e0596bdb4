"""Benchmark results are published as generated files, one each, which docs/performance.md links to."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from benchmarks import publish
from benchmarks.harness.results import Question, is_name, names
from benchmarks.publish import MARK, PublishError, page, published, read

PERFORMANCE = publish.PUBLISHED.parent / "performance.md"
WIDE = """### new rows: rows 1,000

| contender | seconds of wall time | seconds of CPU time | peak memory, MB | files read | files written | look-ups |
|---|--:|--:|--:|--:|--:|--:|
| medallion | 1.00 [0.90-1.10] | 0.50 | 300 | 1 | 2 |  |
| dlt | void: rows differ |

- medallion: a 1

2026
"""
TRANSPOSED = f"""{MARK}

# new rows: rows 1,000

| contender | medallion |
|---|--:|
| seconds of wall time | 1.00 |
| seconds of wall time, range | 0.90-1.10 |
| seconds of CPU time | 0.50 |
| peak memory, MB | 300 |
| files read | 1 |
| files written | 2 |
| look-ups |  |

- dlt: void: rows differ

- medallion: a 1

2026
"""


def test_a_result_that_no_contender_reached_lists_the_reasons():
    """Its table has no column of figures."""
    text = page(
        "### new rows: rows 1,000\n\n" + "| contender | " + "seconds | " * 12 + "\n|---|\n| dlt | void: rows differ |\n"
    )
    assert "- dlt: void: rows differ" in text.splitlines()


def publishing(pages, results, *arguments):
    """Run the command on these folders."""
    app = publish.typer.Typer()
    app.command()(publish.main)
    return CliRunner().invoke(app, [*arguments, "--pages", str(pages), "--results", str(results)])


@pytest.fixture
def results(tmp_path):
    """Return a folder of three results."""
    folder = tmp_path / "results"
    folder.mkdir()
    for name in ("initial-load-1M", "new-rows-10M", "new-rows-100k"):
        (folder / f"{name}.md").write_text(f"### {name}'s title\n\nfigures\n")
    return folder


@pytest.fixture
def pages(tmp_path):
    """Return a folder of two published pages."""
    folder = tmp_path / "pages"
    folder.mkdir()
    for name in ("new-rows-10M", "latency-10k"):
        (folder / f"{name}.md").write_text("an older page\n")
    return folder


def test_a_wide_table_is_transposed():
    """A line for each measure: a diff shows what changed; a contender without figures has empty cells."""
    assert page(WIDE) == TRANSPOSED


def test_a_narrow_table_stays():
    """A table whose lines are short is published as it is."""
    table = "| a | b |\n|---|--:|\n| 1 | 2 |\n"
    assert page(f"### title\n\n{table}") == f"{MARK}\n\n# title\n\n{table}"


def test_long_text_is_wrapped():
    """Text and list items become lines of at most 100 columns; nothing is lost."""
    text = page(f"### title\n\n- medallion: {'imports 1.00, ' * 20}\n\n{'dlt-x 1.0, ' * 20}\n")
    assert max(map(len, text.splitlines())) <= publish.WIDTH
    assert (text.split().count("imports"), text.split().count("dlt-x")) == (20, 20)
    assert re.search(r"\n- medallion: .*\n  \S", text)


def test_without_names_the_published_results_are_renewed(pages, results):
    """Results that are not published stay out, and pages that were not measured again stay as they are."""
    shown = publishing(pages, results)
    assert shown.output == "latency-10k: not measured again\nnew-rows-10M: published\n"
    assert {file.name: file.read_text() for file in pages.iterdir()} == {
        "latency-10k.md": "an older page\n",
        "new-rows-10M.md": f"{MARK}\n\n# new-rows-10M's title\n\nfigures\n",
    }


def test_a_named_result_is_published(pages, results):
    """A result that is named gets a page of its own; the others stay as they are."""
    publishing(pages, results, "initial-load-1M")
    assert (pages / "initial-load-1M.md").read_text() == f"{MARK}\n\n# initial-load-1M's title\n\nfigures\n"
    assert (pages / "new-rows-10M.md").read_text() == "an older page\n"


def test_publishing_twice_changes_nothing(pages, results):
    """The same results make the same pages."""
    publishing(pages, results)
    once = {file: file.read_bytes() for file in pages.iterdir()}
    publishing(pages, results)
    assert {file: file.read_bytes() for file in pages.iterdir()} == once


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("new-rose-10M", "no benchmark writes 'new-rose-10M'"),
        ("new-rows-big", "no benchmark writes 'new-rows-big'"),
        ("../../README", "no benchmark writes"),
        ("new-rows-1M", "does not exist: run the benchmark first"),
    ],
    ids=["unknown question", "unknown size", "a path", "not measured"],
)
def test_a_result_that_does_not_exist_is_an_error(results, name, message):
    """The message names the result and the fix."""
    with pytest.raises(PublishError, match=message):
        read(results, name)


def test_a_page_that_no_benchmark_writes_is_an_error(pages):
    """A page under an unknown name would never be renewed."""
    (pages / "notes.md").write_text("by hand\n")
    with pytest.raises(PublishError, match=r"no benchmark writes \['notes'\]"):
        published(pages)


@pytest.mark.parametrize("question", Question)
@pytest.mark.parametrize("size", [(10_000_000, "10M"), (100_000, "100k"), (1234, "1234")], ids=lambda s: s[1])
def test_results_of_two_sizes_are_published_side_by_side(question, size):
    """A result is named by its question and its size, and a page may have that name."""
    name = names(question, size[0])
    assert name.endswith(f"-{size[1]}")
    assert is_name(name)


def test_every_question_is_published():
    """docs/benchmarks has a page for each question, at the sizes at which it is asked, and nothing else."""
    sizes = dict.fromkeys(Question, (1_000_000, 10_000_000))
    sizes |= dict.fromkeys((Question.WHOLE_DAG, Question.DELETED_ROWS), (1_000_000,)) | {Question.LATENCY: (10_000,)}
    sizes |= dict.fromkeys((Question.SILVER_INITIAL_LOAD, Question.SILVER_UPDATES), (1_000_000,))
    sizes |= {Question.KILLED_EXTRACT: (10_000_000,), Question.CORRECTNESS: (8,)}
    assert set(published()) == {names(question, rows) for question, some in sizes.items() for rows in some}


@pytest.mark.parametrize("name", published())
def test_published_pages_are_generated_and_readable_in_a_diff(name):
    """Each page begins with the mark that says so, and no line of it is longer than 140 characters."""
    text = (publish.PUBLISHED / f"{name}.md").read_text()
    assert text.startswith(f"{MARK}\n\n# ")
    assert max(map(len, text.splitlines())) <= 140


def test_the_performance_page_links_to_every_published_page():
    """docs/performance.md links to each generated page, and holds no generated table itself."""
    text = PERFORMANCE.read_text()
    assert set(re.findall(r"\]\(benchmarks/([^)]+)\.md\)", text)) == set(published())
    assert "<!-- " not in text


def test_the_performance_page_is_short():
    """docs/performance.md has at most 1,500 words."""
    assert len(PERFORMANCE.read_text().split()) <= 1500
