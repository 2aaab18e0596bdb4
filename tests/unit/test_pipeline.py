"""The pipeline file: short when all is usual, and every mistake is told with file, field and fix."""

import re

import pytest
import yaml

from include.medallion.config import files as pipeline_files
from include.medallion.errors import SettingError

FILE = pipeline_files.PIPELINES / "employees.yaml"


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
    """Return the lines of the refusal, and assert that each names the file."""
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


@pytest.mark.parametrize("block", ["source", "enrich", "silver", "gold"])
def test_a_missing_block_is_told(written, block):
    """Each block without a default is asked for by name."""
    assert complaints(written(**{block: None})) == [f"{block}: is required; add it"]


@pytest.mark.parametrize("field", ["tabel", "source__colour", "enrich__geocode__zip", "quarantine"])
def test_an_unknown_setting_is_told(written, field):
    """A misspelt setting is an error, not a default: at every depth."""
    changes = {field: "x"} if field != "quarantine" else {field: {"share": 1}}
    wanted = field.replace("__", ".") if field != "quarantine" else "quarantine.share"
    assert complaints(written(**changes)) == [
        f"{wanted}: unknown setting; remove it or check its spelling (docs/pipeline.schema.json)"
    ]


def test_all_mistakes_are_told_at_once(written):
    """One run of the check is enough to mend a file."""
    told = complaints(written(source__table=None, silver__table="", gold__table="a b"))
    assert [line.split(":")[0] for line in told] == ["source.table", "silver.table", "gold.table"]


@pytest.mark.parametrize("changes", [{"country": None}, {"country_column": "land"}])
def test_both_countries_or_neither_are_refused(written, changes):
    """A country comes from one place; the message names the two settings."""
    (told,) = complaints(written(**{f"enrich__geocode__{k}": v for k, v in changes.items()}))
    assert told.startswith("enrich.geocode: set exactly one of country")
    assert "country_column" in told


def test_a_country_column_alone_is_right(written):
    """Each row may name its own country; the column is read before the postcode."""
    made = pipeline_files.load_file(written(enrich__geocode={"postcode": "zip", "country_column": "land"}))
    assert made.enrichment_columns == ["land", "zip"]


@pytest.mark.parametrize("enrich", [[], [{"geocode": {"postcode": "zip", "country": "US"}}] * 2])
def test_enrichments_add_something_and_nothing_twice(written, enrich):
    """An empty list, and two that add the same columns, are told; a prefix would help."""
    (told,) = complaints(written(enrich=enrich))
    assert told.startswith("enrich: ") if not enrich else "give a geocode a prefix" in told


def test_a_later_enrichment_reads_what_an_earlier_one_adds(written):
    """Only columns of the source are asked of it, each once, in order."""
    place = {"geocode": {"postcode": "zip", "country": "US", "prefix": "home_"}}
    office = {"function": {**FUNCTION, "keys": ["home_latitude", "home_longitude", "team", "zip"]}}
    made = pipeline_files.load_file(written(enrich=[place, office]))
    assert made.enrichment_columns == ["zip", "team"]
    assert made.added_columns[:2] == ["home_latitude", "home_longitude"]


def test_a_function_with_a_budget_tells_which_rows_wait(written):
    """Without a status nobody could find the rows that are over the budget."""
    (told,) = complaints(written(enrich={"function": {**FUNCTION, "max_calls_per_run": 5}}))
    assert told.startswith("enrich.function: set track")


def test_a_mistake_in_a_list_is_told_with_its_place(written):
    """Of several enrichments the message names the one."""
    good = {"geocode": {"postcode": "zip", "country": "US"}}
    (told,) = complaints(written(enrich=[good, {"geocode": {**good["geocode"], "prefix": "No!"}}]))
    assert told.startswith("enrich.1.geocode.prefix: ")


FUNCTION = {"call": "module:function", "keys": "a", "adds": {"b": "string"}}


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
        ("source__read", "log"),
        ("enrich__geocode__country", "usa"),
        ("enrich__geocode__geocoder", "gogle"),
        ("enrich__geocode__calls_per_second", 0),
        ("enrich__geocode__keep_days", 31),
        ("enrich__geocode__max_calls_per_run", -1),
        ("gold__table", "../elsewhere"),
        ("silver__table", ["T"]),
        ("quarantine", {"max_share": 1.5}),
        ("parts", {"most": 1025}),
    ],
)
def test_a_wrong_value_is_told_with_its_field(written, field, value):
    """The message names the field, and says what it should be."""
    (told,) = complaints(written(**{field: value}))
    wanted = ".".join([field.replace("__", "."), *(value if isinstance(value, dict) else ())])
    assert re.match(rf"{re.escape(wanted)}(\.\d+)?: must ", told), told


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"call": "module.function"}, "call"),
        ({"adds": {}}, "adds"),
        ({"adds": {"b": "number"}}, "adds.b"),
        ({"keys": []}, "keys"),
    ],
)
def test_a_wrong_function_is_told(written, change, field):
    """A function needs module:function, keys, and columns of known types."""
    (told,) = complaints(written(enrich={"function": FUNCTION | change}))
    assert told.startswith(f"enrich.function.{field}: ")


@pytest.mark.parametrize("column", ["id", "postcode"])
def test_a_column_that_is_needed_cannot_be_excluded(written, column):
    """Key and enrichment columns must leave the source; the message names the column and the setting."""
    (told,) = complaints(written(source__exclude=[column]))
    assert f"source.exclude names columns that the pipeline needs: ['{column}']" in told


@pytest.mark.parametrize("text", ["source: [", "- a\n- b", "", "just words"])
def test_what_is_no_mapping_is_told(tmp_path, text):
    """A file that is no YAML, or another kind of document, is refused by name."""
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(SettingError, match=r"broken\.yaml: (cannot be read as YAML|must be a mapping with source)"):
        pipeline_files.load_file(file)


def test_a_file_that_is_no_text_is_told(tmp_path):
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
