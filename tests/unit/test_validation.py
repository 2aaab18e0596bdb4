"""Mistakes in pipeline files are found before anything runs, all of them, in words that say what to write instead."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from include.medallion.__main__ import app
from include.medallion.config import files as pipeline_files
from include.medallion.config.checks import reserved
from include.medallion.config.checks.validation import find_checked_pipeline
from include.medallion.enrich.geocoding import CACHE_TABLE
from include.medallion.errors import SettingError
from include.medallion.lookups import leases, usage_ledger
from include.medallion.quarantine import table as quarantine_table

GOOD = """\
source: {table: staff, key: id}
gold: {table: staff}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Lend a folder of pipeline files: a function that writes one."""
    monkeypatch.setenv("MEDALLION_PIPELINES", str(tmp_path))

    def write(name, text):
        file = tmp_path / name
        file.write_text(text)
        return file

    return write


def mistakes(file):
    """Return the lines of the refusal of one file, without the file's name."""
    with pytest.raises(SettingError) as refused:
        pipeline_files.load_file(file)
    return [line.removeprefix(f"{file}: ") for line in str(refused.value).splitlines()]


def check(*files):
    """Run `check`; return its exit code and everything it prints."""
    result = CliRunner().invoke(app, ["check", *map(str, files)])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key: 5", 'source.key: 5 is a number in YAML, and this must be text: write it in quotes, "5"'),
        ("key: no", 'source.key: no is a boolean in YAML, and this must be text: write it in quotes, "no"'),
        ("key: [id, 010]", 'source.key.1: 010 is a number in YAML, and this must be text: write it in quotes, "010"'),
        ("key:", "source.key: is empty: give it a value, or remove it"),
        ("key: []", "source.key: must have at least 1 entry; add one"),
        ("key: {id: x}", "source.key: must be a list, or a single name"),
        ("key: id, read: wal", "source.read: must be one of 'xmin' or 'log'"),
        ("key: id, exclude: ['']", "source.exclude: was renamed; write columns.exclude instead"),
    ],
)
def test_a_wrong_value_is_explained_without_jargon(folder, text, expected):
    """The message says what YAML made of the value, as the file spells it, and what to write."""
    assert mistakes(folder("staff.yaml", f"source: {{table: staff, {text}}}\ngold: {{table: staff}}\n")) == [expected]


@pytest.mark.parametrize(
    ("country", "expected"),
    [
        ("NO", "in YAML an unquoted NO, OFF or N is false: put the country in quotes, such as 'NO' for Norway"),
        ("1", "1 is no country, or the name of several: use its ISO 3166-1 code. DE, DEU and Germany are all read"),
    ],
)
def test_an_unquoted_boolean_is_explained(folder, country, expected):
    """Norway is a boolean in YAML unless it is in quotes."""
    enrich = f"enrich: {{geocode: {{postcode: zip, country: {country}}}}}\n"
    assert mistakes(folder("staff.yaml", GOOD + enrich)) == [f"enrich.geocode.country: {expected}"]


def test_a_boolean_as_a_key_is_explained(folder):
    """`returns: {on: string}` names no column either."""
    function = "enrich: {function: {call: 'm:f', keys: id, returns: {on: string}}}\n"
    (told,) = mistakes(folder("staff.yaml", GOOD + function))
    assert "is a boolean in YAML" in told


def test_no_message_speaks_of_pydantic(folder):
    """Wrong types everywhere: each line says what must be written."""
    text = """\
source: [table]
enrich: {geocode: {postcode: 5, country: Atlantis, calls_per_second: fast, keep_days: 0, geocoder: bing}}
silver: T
gold: {table: "a b"}
parts: {max_parts: 1.5, rows_per_part: 0}
quarantine: {max_share: 2, min_bad_rows: -1}
deletes: maybe
schedule: [daily]
"""
    told = mistakes(folder("staff.yaml", text))
    assert len(told) == 14
    assert [
        line for line in told if not re.search(r": (must |\S+ is a number in YAML|'Atlantis' is no country)", line)
    ] == []


def test_an_empty_list_of_enrichments_is_none(folder):
    """A pipeline needs no enrichment, however that is written."""
    assert pipeline_files.load_file(folder("staff.yaml", GOOD + "enrich: []\n")).enrich == []


@pytest.mark.parametrize(
    "text",
    ["gold: {table: a}\ngold: {table: b}", "gold: {table: a, table: b}", "parts: &x {max_parts: 1, max_parts: 2}"],
)
def test_a_key_that_is_set_twice_is_refused_with_its_lines(folder, text):
    """YAML would take the last one silently."""
    told = mistakes(folder("staff.yaml", f"source: {{table: staff, key: id}}\n{text}\n"))
    assert re.fullmatch(r"line \d: (gold|table|max_parts) is set again, first in line \d: remove one of them", told[0])


def test_a_file_that_contains_itself_is_refused(folder):
    """An alias may close a circle: the search for repeated keys still ends."""
    assert mistakes(folder("staff.yaml", "source: &a {key: *a, table: x}\ngold: {table: a}\n"))


@pytest.mark.parametrize(
    "name",
    [
        "locations",
        "quarantine",
        "lookups_f",
        "places",
        "lookup_leases",
        "lookup_usage",
        "_staging",
        "_x",
        ".",
        "..",
        "Quarantine",
    ],
)
def test_a_reserved_gold_table_is_refused(folder, name):
    """Other pipelines would fail, or lose what is in it."""
    (told,) = mistakes(folder("staff.yaml", f"source: {{table: staff, key: id}}\ngold: {{table: {name}}}\n"))
    assert told.startswith(f"gold.table: {name} is reserved")


def test_every_shared_table_of_the_lake_is_reserved():
    """The names in the code that writes them are those that are refused."""
    for name in (CACHE_TABLE, quarantine_table.TABLE, leases.TABLE, usage_ledger.TABLE, "lookups_my_function"):
        with pytest.raises(ValueError, match="is reserved"):
            reserved.check_gold_table(name)


@pytest.mark.parametrize("name", ["_MEDALLION_BATCHES", "_x", ".", "..", "' '", "PUBLIC.STAFF", "DB.PUBLIC.STAFF"])
def test_a_silver_table_that_is_reserved_or_qualified_is_refused(folder, name):
    """The ledger is Medallion's; a schema belongs into the connection, not into a quoted name."""
    (told,) = mistakes(folder("staff.yaml", f"source: {{table: staff, key: id}}\nsilver: {{table: {name}}}\n"))
    assert told.startswith("silver.table: ")


@pytest.mark.parametrize("name", ["reconcile", "maintenance", "refresh"])
def test_a_pipeline_named_like_one_of_our_dags_is_refused(folder, name):
    """Its DAG would take the place of Medallion's own."""
    (told,) = mistakes(folder(f"{name}.yaml", GOOD))
    assert told.startswith(f"the name of the file, without its ending, must not be {name}: medallion_{name} is one of")


@pytest.mark.parametrize("stem", ["Staff", "1st", "ärger"])
def test_a_file_whose_name_is_no_pipelines_is_refused(folder, stem):
    """The message speaks of the file's name, which is in no field."""
    (told,) = mistakes(folder(f"{stem}.yaml", GOOD))
    assert told.startswith("the name of the file, without its ending, must begin with a lower-case letter")


@pytest.mark.parametrize("schedule", ["every minute", "* * * *", "61 * * * *", "@dayly", "0 0 30 2 *", "daily", ""])
def test_a_schedule_that_airflow_rejects_is_refused(folder, schedule):
    """Airflow would refuse the DAG, or never find its next run."""
    (told,) = mistakes(folder("staff.yaml", f"{GOOD}schedule: '{schedule}'\n"))
    assert told.startswith("schedule: ")
    assert "*/5 * * * *" in told


@pytest.mark.parametrize(
    "schedule",
    ["*/5 * * * *", "@daily", "@continuous", "manual", "@once", "@quarterly", "0 8-18 * * MON-FRI", "0 0 29 2 *"],
)
def test_a_schedule_that_airflow_accepts_is_accepted(folder, schedule):
    """Presets, cron expressions, and none at all."""
    assert pipeline_files.load_file(folder("staff.yaml", f"{GOOD}schedule: '{schedule}'\n")).schedule == schedule


def test_a_schedule_of_the_environment_is_checked_too(monkeypatch):
    """It overrides every file's; the message names the variable."""
    monkeypatch.setenv("MEDALLION_SCHEDULE", "every minute")
    with pytest.raises(SettingError, match=r"^MEDALLION_SCHEDULE: 'every minute' is no schedule"):
        pipeline_files.airflow_schedule()


def test_check_names_files_that_describe_one_pipeline(folder):
    """`a-b` and `a_b` are one DAG: both files are reported, the third is good."""
    folder("a-b.yaml", GOOD)
    folder("a_b.yaml", GOOD.replace("gold: {table: staff}", "gold: {table: other}"))
    folder("c.yaml", GOOD.replace("gold: {table: staff}", "gold: {table: third}"))
    code, told = check()
    assert code == 1
    assert told.count("all of them describe pipeline a_b") == 2
    assert "c.yaml: good" in told


@pytest.mark.parametrize("sink", ["gold: {table: shared}", "silver: {table: shared}"])
def test_check_names_files_that_write_to_one_table(folder, sink):
    """The message names both files and the table."""
    for name in ("one.yaml", "two.yaml"):
        folder(name, f"source: {{table: staff, key: id}}\n{sink}\n")
    code, told = check()
    assert code == 1
    assert len(re.findall(r"one\.yaml, .*two\.yaml: all of them write to table shared", told, re.IGNORECASE)) == 2


def test_a_pipeline_that_shares_a_table_is_not_run(folder):
    """A shell refuses it as `check` does."""
    for name in ("one.yaml", "two.yaml"):
        folder(name, GOOD)
    with pytest.raises(SettingError, match=r"all of them write to table staff"):
        find_checked_pipeline("one")


def test_a_name_that_two_files_have_finds_neither(folder):
    """A task does not guess which of them is meant."""
    folder("a-b.yaml", GOOD)
    folder("a_b.yaml", GOOD)
    with pytest.raises(SettingError, match=r"all of them describe pipeline a_b"):
        pipeline_files.find_pipeline("a_b")


def test_check_reports_all_mistakes_of_all_files(folder):
    """One run of `check` is enough, whatever is wrong with the first file."""
    folder("a.yaml", "source: [")
    folder("b.yaml", "- a list")
    folder("c.yaml", GOOD + "silver: {table: 5}\ncolour: red\n")
    folder("d.yaml", GOOD.replace("staff}", "staff, key: x}"))
    folder("e.yaml", GOOD)
    code, told = check()
    assert code == 1
    assert {*re.findall(r"(?m)^\S*/(\w)\.yaml: ", told)} == {"a", "b", "c", "d", "e"}
    assert "e.yaml: good" in told


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("no_such_module:f", "ModuleNotFoundError"),
        ("json:no_such_function", "AttributeError"),
        ("string:digits", "is a str, no function"),
    ],
)
def test_check_imports_functions(folder, call, reason):
    """A function that cannot be called is found before a run pays for anything."""
    enrich = f"enrich: {{function: {{call: '{call}', keys: id, returns: {{x: string}}}}}}\n"
    code, told = check(folder("staff.yaml", GOOD + enrich))
    assert code == 1
    assert f"enrich.0.function.call: {call}" in told
    assert reason in told


def test_check_imports_sinks(folder):
    """A sink of the user's own is imported too."""
    code, told = check(folder("staff.yaml", GOOD + "sinks: {mine: {open: 'no_such_module:f'}}\n"))
    assert code == 1
    assert "sinks.mine.open: no_such_module:f cannot be imported" in told


def test_a_module_with_a_mistake_is_reported_not_raised(folder, tmp_path, monkeypatch):
    """Importing runs the user's code, which may fail in any way."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "module_with_a_mistake.py").write_text("1 / 0")
    function = "enrich: {function: {call: 'module_with_a_mistake:f', keys: id, returns: {x: string}}}\n"
    code, told = check(folder("staff.yaml", GOOD + function))
    assert code == 1
    assert "ZeroDivisionError" in told
