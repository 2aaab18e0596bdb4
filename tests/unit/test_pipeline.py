"""The pipeline file: short in the usual case; every mistake is reported with file, field and fix."""

import re

import pytest
import yaml

from include.medallion.config import files as pipeline_files
from include.medallion.errors import SettingError

FILE = pipeline_files.PIPELINES / "employees.yaml"


@pytest.fixture
def written(tmp_path):
    """Return a function that writes employees.yaml with changes (dotted field: value; None removes it)."""

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
        file.write_text(yaml.safe_dump(document, sort_keys=False))
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


@pytest.mark.parametrize("setting", ["source", "source__table", "silver__table", "gold__table"])
def test_a_missing_setting_is_reported(written, setting):
    """The message names each setting without a default that is missing."""
    assert complaints(written(**{setting: None})) == [f"{setting.replace('__', '.')}: is required; add it"]


@pytest.mark.parametrize(
    ("without", "steps"),
    [
        ((), ["load_silver", "write_gold"]),
        (("silver",), ["write_gold"]),
        (("gold",), ["load_silver"]),
        (("enrich",), ["load_silver", "write_gold"]),
    ],
)
def test_enrichment_and_each_sink_are_optional(written, without, steps):
    """A pipeline has the steps of the sinks that its file has."""
    made = pipeline_files.load_file(written(**dict.fromkeys(without)))
    assert list(made.sink_steps.values()) == steps
    assert bool(made.enrich) == ("enrich" not in without)


def test_a_pipeline_without_a_sink_is_refused(written):
    """Rows need somewhere to go; the message names the three sections that would do."""
    (line,) = complaints(written(silver=None, gold=None))
    assert "has no sink: add silver, gold or sinks" in line


def test_sinks_of_the_users_own_come_after_the_built_in_ones(written):
    """Each has a step of its own, in the order of the file."""
    made = pipeline_files.load_file(
        written(sinks={"two": {"open": "a.b:c"}, "one": {"open": "a:d", "settings": {"x": 1}}})
    )
    assert list(made.sink_steps.items())[2:] == [("two", "write_two"), ("one", "write_one")]
    assert made.sinks["one"].settings == {"x": 1}


@pytest.mark.parametrize(
    ("sinks", "reason"),
    [
        ({"gold": {"open": "a:b"}}, "['gold'] are built in"),
        ({"toy": {"open": "a.b"}}, "sinks.toy.open: "),
        ({"My Toy": {"open": "a:b"}}, "sinks.My Toy"),
        ({"toy": {}}, "sinks.toy.open: is required"),
    ],
)
def test_a_wrong_sink_is_reported(written, sinks, reason):
    """A sink needs a name of its own, which is part of a task id, and module:function."""
    (line,) = complaints(written(sinks=sinks))
    assert reason in line


@pytest.mark.parametrize(
    ("section", "former", "current"),
    [
        ("parts", "at_once", "max_parallel_parts"),
        ("quarantine", "tolerate", "min_bad_rows"),
        ("enrich__geocode", "attempts", "max_attempts"),
    ],
)
def test_a_former_name_of_a_setting_is_reported_with_its_current_one(written, section, former, current):
    """A file that was written for an earlier version needs no search in the documents."""
    changes = {f"{section}__{former}": 3} if "__" in section else {section: {former: 3}}
    wanted = f"{section.replace('__', '.')}.{former}: was renamed; write {current} instead"
    assert complaints(written(**changes)) == [wanted]


@pytest.mark.parametrize("field", ["tabel", "source__colour", "enrich__geocode__zip", "quarantine"])
def test_an_unknown_setting_is_reported(written, field):
    """A misspelt setting is an error, not a default: at every depth."""
    changes = {field: "x"} if field != "quarantine" else {field: {"share": 1}}
    wanted = field.replace("__", ".") if field != "quarantine" else "quarantine.share"
    assert complaints(written(**changes)) == [
        f"{wanted}: unknown setting; remove it or check its spelling (docs/pipeline.schema.json)"
    ]


def test_all_mistakes_are_reported_at_once(written):
    """One run of the check is enough to fix a file."""
    lines = complaints(written(source__table=None, silver__table="", gold__table="a b"))
    assert [line.split(":")[0] for line in lines] == ["source.table", "silver.table", "gold.table"]


@pytest.mark.parametrize("changes", [{"country": None}, {"country_column": "land"}])
def test_both_countries_or_neither_are_refused(written, changes):
    """A country comes from one place; the message names the two settings."""
    (line,) = complaints(written(**{f"enrich__geocode__{k}": v for k, v in changes.items()}))
    assert line.startswith("enrich.geocode: set exactly one of country")
    assert "country_column" in line


def test_a_country_column_alone_is_right(written):
    """Each row may name its own country; the column is read before the postcode."""
    made = pipeline_files.load_file(written(enrich__geocode={"postcode": "zip", "country_column": "land"}))
    assert made.enrichment_columns == ["land", "zip"]


def test_an_empty_list_of_enrichments_is_none(written):
    """It means the same as no `enrich`."""
    assert pipeline_files.load_file(written(enrich=[])) == pipeline_files.load_file(written(enrich=None))


def test_two_enrichments_cannot_add_the_same_columns(written):
    """The message names the fix: a prefix."""
    (line,) = complaints(written(enrich=[{"geocode": {"postcode": "zip", "country": "US"}}] * 2))
    assert "give a geocode a prefix" in line


def test_a_later_enrichment_reads_what_an_earlier_one_adds(written):
    """Only columns of the source are asked of it, each once, in order."""
    place = {"geocode": {"postcode": "zip", "country": "US", "prefix": "home_"}}
    office = {"function": {**FUNCTION, "keys": ["home_latitude", "home_longitude", "team", "zip"]}}
    made = pipeline_files.load_file(written(enrich=[place, office]))
    assert made.enrichment_columns == ["zip", "team"]
    assert made.added_columns[:2] == ["home_latitude", "home_longitude"]


def test_a_function_with_a_budget_needs_a_status(written):
    """Rows that are over the budget can only be found by their status."""
    (line,) = complaints(written(enrich={"function": {**FUNCTION, "max_calls_per_run": 5}}))
    assert line.startswith("enrich.function: set status_prefix")


def test_a_mistake_in_a_list_is_reported_with_its_place(written):
    """Of several enrichments the message names the one."""
    good = {"geocode": {"postcode": "zip", "country": "US"}}
    (line,) = complaints(written(enrich=[good, {"geocode": {**good["geocode"], "prefix": "No!"}}]))
    assert line.startswith("enrich.1.geocode.prefix: ")


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
        ("source__read", "log"),
        ("enrich__geocode__country", "usa"),
        ("enrich__geocode__geocoder", "gogle"),
        ("enrich__geocode__calls_per_second", 0),
        ("enrich__geocode__keep_days", 31),
        ("enrich__geocode__max_calls_per_run", -1),
        ("gold__table", "../elsewhere"),
        ("silver__table", ["T"]),
        ("quarantine", {"max_share": 1.5}),
        ("parts", {"max_parts": 1025}),
    ],
)
def test_a_wrong_value_is_reported_with_its_field(written, field, value):
    """The message names the field, and says what it should be."""
    (line,) = complaints(written(**{field: value}))
    wanted = ".".join([field.replace("__", "."), *(value if isinstance(value, dict) else ())])
    assert re.match(rf"{re.escape(wanted)}(\.\d+)?: \S+ should ", line), line


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
    (line,) = complaints(written(enrich={"function": FUNCTION | change}))
    assert line.startswith(f"enrich.function.{field}: ")


@pytest.mark.parametrize("column", ["id", "postcode"])
def test_a_column_that_is_needed_cannot_be_excluded(written, column):
    """Key and enrichment columns must leave the source; the message names the column and the setting."""
    (line,) = complaints(written(source__exclude=[column]))
    assert f"source.exclude names columns that the pipeline needs: ['{column}']" in line


@pytest.mark.parametrize("text", ["source: [", "- a\n- b", "", "just words"])
def test_what_is_no_mapping_is_reported(tmp_path, text):
    """A file that is no YAML, or another kind of document, is refused by name."""
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(SettingError, match=r"broken\.yaml: (cannot be read as YAML|must be a mapping with source)"):
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
