"""The pipeline file: short by default, and every mistake is reported with file, field and fix."""

import re

import pytest
import yaml

from include.medallion.config import files as pipeline_files
from include.medallion.config.checks import error_messages
from include.medallion.errors import SettingError

FILE = pipeline_files.PIPELINES / "employees.yaml"


REQUIRED = {"source": {"table": "employees", "key": "id"}}


@pytest.fixture
def written(tmp_path):
    """Lend a function that writes employees.yaml with changes (dotted field: value; None removes it)."""

    def write(name="staff.yaml", **changes):
        document = yaml.safe_load(FILE.read_text())
        for field, value in changes.items():
            *way, last = field.split("__")
            block = document
            for step in way:
                block = block[step]
            if value is None:
                del block[last]
            else:
                block[last] = value
        file = tmp_path / name
        file.write_text(yaml.safe_dump(document))
        return file

    return write


def complaints(file):
    """Return the lines of the error message, and assert that each names the file."""
    with pytest.raises(SettingError) as refused:
        pipeline_files.load_file(file)
    lines = str(refused.value).splitlines()
    assert all(line.startswith(f"{file}: ") for line in lines)
    return [line.removeprefix(f"{file}: ") for line in lines]


def test_the_shipped_file_is_short_and_right():
    """A table of the user's own takes fewer than 20 lines."""
    assert len(FILE.read_text().splitlines()) < 20
    assert pipeline_files.load_file(FILE).dag_id == "medallion_employees"


def test_the_name_is_the_files(written):
    """Nothing in the file repeats its name."""
    assert pipeline_files.load_file(written("sales_people.yaml")).name == "sales_people"


def test_one_key_column_needs_no_list(written):
    """A name and a list of one name mean the same."""
    assert pipeline_files.load_file(written(source__key=["id"])) == pipeline_files.load_file(written(source__key="id"))


def test_a_missing_source_is_reported(written):
    """The only required section is named."""
    assert complaints(written(source=None)) == ["source: is required; add it"]


@pytest.mark.parametrize("section", ["enrich", "silver", "gold"])
def test_enrichment_and_either_sink_are_optional(written, section):
    """A file without one of these sections is valid."""
    made = pipeline_files.load_file(written(**{section: None}))
    assert not getattr(made, section)


def test_a_pipeline_without_enrichment_adds_no_columns(written):
    """Nothing is read for an enrichment, nothing is added, and nothing expires."""
    made = pipeline_files.load_file(written(enrich=None))
    assert (made.enrichment_columns, made.added_columns, made.ages) == ([], [], False)


def test_a_pipeline_without_any_sink_is_refused(written):
    """The message names the sections, one of which is required."""
    assert complaints(written(silver=None, gold=None)) == [
        "(the whole file): the pipeline has no sink: add silver, gold or sinks"
    ]


def test_look_ups_expire_only_in_a_pipeline_with_gold(written):
    """The daily refresh reads Gold, so it does not apply to a pipeline without it."""
    assert pipeline_files.load_file(written()).ages
    assert not pipeline_files.load_file(written(gold=None)).ages


def test_sinks_of_the_user_may_be_the_only_ones(written):
    """A sink is module:function and free settings, which reach it unchanged."""
    search = {"open": "include.sinks.search:open_sink", "settings": {"url": "http://search", "shards": [1, 2]}}
    made = pipeline_files.load_file(written(silver=None, gold=None, sinks={"search": search}))
    assert made.sinks["search"].model_dump() == search


@pytest.mark.parametrize(
    ("sinks", "message"),
    [
        ({"search": {}}, "sinks.search.open: is required; add it"),
        ({"search": {"open": "no_function"}}, "sinks.search.open: must be module:function"),
        ({"search": {"open": "a:b", "url": "x"}}, "sinks.search.url: unknown setting"),
        ({"Search!": {"open": "a:b"}}, "sinks.Search!: must begin with a lower-case letter"),
        ({"gold": {"open": "a:b"}}, "(the whole file): sinks: ['gold'] are built in; give your sinks other names"),
    ],
)
def test_a_wrong_sink_of_the_user_is_reported(written, sinks, message):
    """Function, settings and name of a sink are checked without importing it."""
    (reported,) = complaints(written(sinks=sinks))
    assert reported.startswith(message)


RENAMED = [(section, old, new) for section, settings in error_messages.RENAMED.items() for old, new in settings.items()]


@pytest.mark.parametrize(("section", "old", "new"), RENAMED)
def test_a_former_name_of_a_setting_is_refused_with_the_current_one(written, section, old, new):
    """A file written for an earlier version says for each setting what to write, and nothing else."""
    valid = {"geocode": {"postcode": "zip", "country": "US"}, "function": FUNCTION}
    if section in valid:
        settings = {name: value for name, value in valid[section].items() if name != new}
        file, path = written(enrich={section: {**settings, old: FUNCTION.get(new, 5)}}), f"enrich.{section}"
    else:
        file, path = written(**{section: {**REQUIRED.get(section, {}), old: 5}}), section
    assert complaints(file) == [f"{path}.{old}: was renamed; write {new} instead"]


@pytest.mark.parametrize("field", ["tabel", "source__colour", "enrich__geocode__zip", "quarantine"])
def test_an_unknown_setting_is_reported(written, field):
    """A misspelt setting is an error, not a default: at every depth."""
    changes = {field: "x"} if field != "quarantine" else {field: {"share": 1}}
    wanted = field.replace("__", ".") if field != "quarantine" else "quarantine.share"
    assert complaints(written(**changes)) == [
        f"{wanted}: unknown setting; remove it or check its spelling (docs/pipeline.schema.json)"
    ]


def test_all_mistakes_are_reported_at_once(written):
    """One check is enough to fix a file."""
    reported = complaints(written(source__table=None, silver__table="", gold__table="a b"))
    assert [line.split(":")[0] for line in reported] == ["source.table", "silver.table", "gold.table"]


@pytest.mark.parametrize("changes", [{"country": None}, {"country_column": "land"}])
def test_both_countries_or_neither_are_refused(written, changes):
    """A country comes from one place; the message names the two settings."""
    (reported,) = complaints(written(**{f"enrich__geocode__{k}": v for k, v in changes.items()}))
    assert reported.startswith("enrich.geocode: set exactly one of country")
    assert "country_column" in reported


@pytest.mark.parametrize("country", ["US", "usa", "United States", 840, "Vereinigte Staaten"])
def test_a_country_may_be_spelled_in_any_way(written, country):
    """ISO codes and names in any language give one country."""
    assert pipeline_files.load_file(written(enrich__geocode__country=country)).enrich[0].geocode.country == "US"


@pytest.mark.parametrize(
    ("country", "fix"),
    [
        (False, "'NO' for Norway"),
        (True, "in quotes"),
        ("Germny", r"did you mean Germany \(DE\)"),
        ("Congo", "Kinshasa"),
        ("Korea", "South Korea"),
        ("Atlantis", "DE, DEU and Germany"),
        ("", "DE, DEU and Germany"),
        (["US"], "DE, DEU and Germany"),
    ],
)
@pytest.mark.parametrize("field", ["country", "default_country"])
def test_a_wrong_country_comes_with_a_fix(written, field, country, fix):
    """YAML's false for an unquoted NO, a misspelled name and a name of two countries are explained."""
    other = {"country_column": "land"} if field == "default_country" else {}
    (message,) = complaints(written(enrich__geocode={"postcode": "zip", field: country, **other}))
    assert message.startswith(f"enrich.geocode.{field}: ")
    assert re.search(fix, message)


def test_a_default_country_needs_a_country_column(written):
    """A country for rows without one makes no sense beside one for all rows."""
    (message,) = complaints(written(enrich__geocode__default_country="DE"))
    assert "set country_column" in message


def test_a_country_column_alone_is_right(written):
    """Each row may name its own country; the column is read before the postcode."""
    made = pipeline_files.load_file(written(enrich__geocode={"postcode": "zip", "country_column": "land"}))
    assert made.enrichment_columns == ["land", "zip"]


def test_two_enrichments_that_add_the_same_columns_are_refused(written):
    """The message suggests a prefix."""
    (reported,) = complaints(written(enrich=[{"geocode": {"postcode": "zip", "country": "US"}}] * 2))
    assert "give a geocode a prefix" in reported


def test_a_later_enrichment_reads_what_an_earlier_one_adds(written):
    """Only columns of the source are asked of it, each once, in order."""
    place = {"geocode": {"postcode": "zip", "country": "US", "prefix": "home_"}}
    office = {"function": {**FUNCTION, "keys": ["home_latitude", "home_longitude", "team", "zip"]}}
    made = pipeline_files.load_file(written(enrich=[place, office]))
    assert made.enrichment_columns == ["zip", "team"]
    assert made.added_columns[:2] == ["home_latitude", "home_longitude"]


def test_a_function_with_a_budget_needs_a_status_column(written):
    """Without it, rows over the budget could not be found."""
    (reported,) = complaints(written(enrich={"function": {**FUNCTION, "max_calls_per_run": 5}}))
    assert reported.startswith("enrich.function: set status_prefix")


def test_a_mistake_in_a_list_is_reported_with_its_place(written):
    """Of several enrichments the message names the one."""
    good = {"geocode": {"postcode": "zip", "country": "US"}}
    (reported,) = complaints(written(enrich=[good, {"geocode": {**good["geocode"], "prefix": "No!"}}]))
    assert reported.startswith("enrich.1.geocode.prefix: ")


FUNCTION = {"call": "module:function", "keys": "a", "returns": {"b": "string"}}


@pytest.mark.parametrize("enrich", [{}, {"geocode": {"postcode": "zip", "country": "US"}, "function": FUNCTION}])
def test_both_enrichments_or_neither_are_refused(written, enrich):
    """A pipeline adds columns in one way."""
    assert complaints(written(enrich=enrich)) == ["enrich: set exactly one of geocode and function"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source__key", []),
        ("source__table", ""),
        ("source__table", "x" * 64),
        ("source__read", "wal"),
        ("enrich__geocode__geocoder", "gogle"),
        ("enrich__geocode__calls_per_second", 0),
        ("enrich__geocode__keep_days", 0),
        ("enrich__geocode__max_calls_per_run", -1),
        ("gold__table", "../elsewhere"),
        ("silver__table", ["T"]),
        ("quarantine", {"max_share": 1.5}),
        ("parts", {"max_parts": 1025}),
    ],
)
def test_a_wrong_value_is_reported_with_its_field(written, field, value):
    """The message names the field, and says what it should be."""
    (reported,) = complaints(written(**{field: value}))
    wanted = ".".join([field.replace("__", "."), *(value if isinstance(value, dict) else ())])
    assert re.match(rf"{re.escape(wanted)}(\.\d+)?: must ", reported), reported


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"call": "module.function"}, "call"),
        ({"returns": {}}, "returns"),
        ({"returns": {"b": "number"}}, "returns.b"),
        ({"keys": []}, "keys"),
    ],
)
def test_a_wrong_function_is_reported(written, change, field):
    """A function needs module:function, keys, and columns of known types."""
    (reported,) = complaints(written(enrich={"function": FUNCTION | change}))
    assert reported.startswith(f"enrich.function.{field}: ")


@pytest.mark.parametrize("column", ["id", "postcode"])
def test_a_column_that_is_needed_cannot_be_excluded(written, column):
    """Key and enrichment columns must leave the source; the message names the column and the setting."""
    (reported,) = complaints(written(columns={"exclude": [column]}))
    assert f"columns.exclude names columns that the pipeline needs: ['{column}']" in reported


@pytest.mark.parametrize("text", ["source: [", "- a\n- b", "", "just words"])
def test_what_is_no_mapping_is_reported(tmp_path, text):
    """A file that is no YAML, or another kind of document, is refused by name."""
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(SettingError, match=r"broken\.yaml: (cannot be read as YAML|must be a mapping with source)"):
        pipeline_files.load_file(file)


def test_a_view_needs_a_name_of_its_own(tmp_path):
    """The view of living rows cannot replace the table that it reads."""
    file = tmp_path / "people.yaml"
    file.write_text("source: {table: a, key: id}\nsilver: {table: PEOPLE, live_view: people}\n")
    with pytest.raises(SettingError, match=r"silver.*live_view has the name of the table.*PEOPLE_LIVE"):
        pipeline_files.load_file(file)


def test_a_tab_is_reported_as_one(tmp_path):
    """YAML's own message names the character only."""
    file = tmp_path / "broken.yaml"
    file.write_text("source:\n\ttable: a\n")
    with pytest.raises(SettingError, match="indent with blanks"):
        pipeline_files.load_file(file)


def test_a_file_that_is_no_text_is_reported(tmp_path):
    """Bytes that are no UTF-8 are a mistake in the file like any other."""
    file = tmp_path / "broken.yaml"
    file.write_bytes(b"source: \xff\xfe")
    with pytest.raises(SettingError, match=r"broken\.yaml: cannot be read as YAML"):
        pipeline_files.load_file(file)


def test_files_are_those_of_the_folder_that_is_set(written, tmp_path, monkeypatch):
    """MEDALLION_PIPELINES names the folder; .yaml and .yml count, in the order of their names."""
    monkeypatch.setenv("MEDALLION_PIPELINES", str(tmp_path))
    written("b.yaml")
    written("a.yml")
    (tmp_path / "notes.txt").write_text("no pipeline")
    assert [file.name for file in pipeline_files.pipeline_files()] == ["a.yml", "b.yaml"]
    assert pipeline_files.find_pipeline("a").name == "a"


def test_a_folder_that_is_not_there_is_refused(tmp_path, monkeypatch):
    """Without the message Airflow would show no DAG, and nobody would know why."""
    monkeypatch.setenv("MEDALLION_PIPELINES", str(tmp_path / "gone"))
    with pytest.raises(SettingError, match=r"there is no folder .*gone: set MEDALLION_PIPELINES"):
        pipeline_files.pipeline_files()


def test_an_unknown_pipeline_is_refused_with_those_there_are(written, tmp_path, monkeypatch):
    """The message lists the names one could have meant."""
    monkeypatch.setenv("MEDALLION_PIPELINES", str(tmp_path))
    written("staff.yaml")
    with pytest.raises(SettingError, match=r"no pipeline 'stuff'.*\['staff'\]"):
        pipeline_files.find_pipeline("stuff")


@pytest.mark.parametrize(
    ("schedule", "environment", "expected"),
    [
        (None, None, "* * * * *"),
        ("@daily", None, "@daily"),
        ("manual", None, None),
        ("@daily", "manual", None),
        ("manual", "@hourly", "@hourly"),
    ],
)
def test_the_schedule_is_the_environments_then_the_files(written, monkeypatch, schedule, environment, expected):
    """MEDALLION_SCHEDULE wins over the file, the file over every minute; manual is none."""
    monkeypatch.delenv("MEDALLION_SCHEDULE", raising=False)
    if environment:
        monkeypatch.setenv("MEDALLION_SCHEDULE", environment)
    file = written(schedule=schedule) if schedule else written()
    assert pipeline_files.airflow_schedule(pipeline_files.load_file(file).schedule) == expected
