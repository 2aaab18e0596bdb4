"""Settings that pipeline files share: `_defaults.yaml`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from include.medallion.config.checks.report import check_files
from include.medallion.config.checks.validation import load_files
from include.medallion.config.defaults import defaults_schema
from include.medallion.config.files import load_file, pipeline_files
from include.medallion.errors import SettingError

SCHEMA = Path(__file__).parents[2] / "docs" / "defaults.schema.json"
SHARED = """
source: {connection: northwind, schema: sales, table: "{name}", key: id}
silver: {table: "raw_{name}"}
gold: {table: "{name}"}
enrich:
  geocode: {geocoder: offline, country: US, postcode: zip, concurrency: 2}
parts: {max_parts: 3}
on_schema_change: freeze
schedule: "@hourly"
"""


@pytest.fixture
def written(tmp_path):
    """Lend a function that writes `_defaults.yaml` and customers.yaml, and returns the latter."""

    def write(shared, own=""):
        (tmp_path / "_defaults.yaml").write_text(shared)
        file = tmp_path / "customers.yaml"
        file.write_text(own)
        return file

    return write


def test_a_file_may_be_empty(written):
    """Where the shared settings say everything, a table is a file without a line."""
    made = load_file(written(SHARED))
    assert (made.source.connection, made.source.schema_, made.source.table) == ("northwind", "sales", "customers")
    assert (made.silver.table, made.gold.table, made.key) == ("raw_customers", "customers", ["id"])
    assert (made.parts.max_parts, made.schedule, made.policy_for("added")) == (3, "@hourly", "freeze")


def test_the_file_wins(written):
    """A setting of the file replaces the shared one, and leaves its neighbours."""
    made = load_file(written(SHARED, "source: {table: people}\ngold: {table: folk}\nparts: {rows_per_part: 5}\n"))
    assert (made.source.table, made.source.schema_, made.gold.table) == ("people", "sales", "folk")
    assert (made.parts.max_parts, made.parts.rows_per_part) == (3, 5)


def test_an_empty_section_is_turned_off(written):
    """`silver:` with nothing behind it: this table is not in Snowflake."""
    made = load_file(written(SHARED, "silver:\n"))
    assert (made.silver, made.gold.table) == (None, "customers")


def test_a_connection_adds_no_sink(written):
    """Shared settings of a sink without a rule for its table apply to files that have this sink."""
    shared = 'source: {key: id}\nsilver: {connection: sf}\ngold: {table: "{name}"}\n'
    assert load_file(written(shared, "source: {table: t}\n")).silver is None
    assert load_file(written(shared, "source: {table: t}\nsilver: {table: T}\n")).silver.connection == "sf"


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("", []),
        ("enrich: {geocode: }", [("zip", "US", None, 2)]),
        ("enrich: {geocode: {country_column: land}}", [("zip", None, "land", 2)]),
        ("enrich:\n- geocode: {postcode: a}\n- geocode: {postcode: b, prefix: b_}", [("a", "US", None, 2)] * 2),
    ],
)
def test_enrichments_share_their_settings(written, own, expected):
    """Each geocode of a file gets the shared settings, except the other way to say the country; none is added."""
    made = [one.geocode for one in load_file(written(SHARED, own)).enrich]
    if len(made) > 1:
        expected = [expected[0], ("b", *expected[1][1:])]
    assert [(one.postcode, one.country, one.country_column, one.concurrency) for one in made] == expected


@pytest.mark.parametrize(
    ("shared", "message"),
    [
        ("source: {tabel: x}", "_defaults.yaml: source.tabel: unknown setting"),
        ("gold: {table: everything}", "_defaults.yaml: gold.table: must hold {name}"),
        ("parts: {max_parts: 0}", "_defaults.yaml: parts.max_parts: must be 1 or more"),
        ("schedule: every minute", "_defaults.yaml: schedule: 'every minute' is no schedule"),
        ("enrich: {geocode: {country: Utopia}}", "_defaults.yaml: enrich.geocode.country: 'Utopia' is no country"),
        ("columns: {mask: {email: sha256}}", "_defaults.yaml: columns.mask: unknown setting"),
        ("name: x", "_defaults.yaml: name: unknown setting"),
        ("- a", "_defaults.yaml: must be a mapping"),
        ("a: [", "_defaults.yaml: cannot be read as YAML"),
    ],
)
def test_a_mistake_names_the_shared_file(written, shared, message):
    """The message names `_defaults.yaml` and the setting, not each pipeline file."""
    with pytest.raises(SettingError) as refused:
        load_file(written(shared, "source: {table: t, key: id}\ngold: {table: t}\n"))
    assert message in str(refused.value)


def test_a_mistake_of_both_files_says_so(written):
    """A file that is wrong only together with the shared settings: the message names both."""
    shared = "enrich: {geocode: {default_country: US}}"
    own = "source: {table: t, key: id}\ngold: {table: t}\nenrich: {geocode: {postcode: zip}}\n"
    with pytest.raises(SettingError, match=r"customers\.yaml: enrich\.geocode: .*_defaults\.yaml sets it"):
        load_file(written(shared, own))


def test_check_reports_a_shared_mistake_once(written):
    """Not once for each of the files, which are checked when it is corrected."""
    file = written("parts: {max_parts: 0}\nschedule: never", "source: {")
    (lines,) = check_files([file]).values()
    assert [line.partition("_defaults.yaml: ")[2].partition(":")[0] for line in lines] == [
        *("parts.max_parts", "schedule", "correct it first")
    ]


def test_it_is_no_pipeline(written, monkeypatch):
    """The shared file makes no DAG, and is found beside the files."""
    file = written(SHARED)
    monkeypatch.setenv("MEDALLION_PIPELINES", str(file.parent))
    assert pipeline_files() == [file]


def test_tables_of_one_name_are_still_found(written):
    """Two files whose shared rule gives one table: both are refused."""
    file = written(SHARED)
    other = file.with_name("others.yaml")
    other.write_text("gold: {table: customers}\n")
    assert {type(found) for found in load_files([file, other]).values()} == {SettingError}


def test_the_schema_file_is_that_of_the_model():
    """`python -m include.medallion schema --defaults > docs/defaults.schema.json` would change nothing."""
    assert json.loads(SCHEMA.read_text()) == defaults_schema()
