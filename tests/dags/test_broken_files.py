"""A pipeline file with a mistake becomes a DAG that says so, under its own id; every other DAG is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dags.parsing import parse

ROOT = Path(__file__).parents[2]
OURS = {"medallion_reconcile", "medallion_refresh", "medallion_maintenance"}
GOOD = "source: {table: staff, key: id}\ngold: {table: %s}\n"


@pytest.fixture(scope="module")
def parsed(tmp_path_factory):
    """Parse `dags/` with a folder of pipeline files, most of them bad, and with a bad MEDALLION_SCHEDULE."""
    folder = tmp_path_factory.mktemp("pipelines")
    files = {
        "good.yaml": GOOD % "good",
        "never.yaml": GOOD % "never" + "schedule: every minute\n",
        "reconcile.yaml": GOOD % "mine",
        "a-b.yaml": GOOD % "ab",
        "a_b.yaml": GOOD % "other",
        "one.yaml": GOOD % "shared",
        "two.yaml": GOOD % "shared",
        f"{'x' * 240}.yaml": "source: [",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    environment = {"MEDALLION_PIPELINES": str(folder)}
    cases = {"files": environment, "schedule": environment | {"MEDALLION_SCHEDULE": "every minute"}}
    return parse(cases, tmp_path_factory.mktemp("airflow"))


def test_no_mistake_stops_the_parsing(parsed):
    """Airflow reports no import error, whatever the files hold."""
    assert [result["errors"] for result in parsed.values()] == [{}, {}]


def test_every_name_has_a_dag(parsed):
    """Medallion's own DAGs are there, and each pipeline's, also that of a file that is named like one of ours."""
    expected = {"good", "never", "reconcile.yaml", "a_b", "one", "two", "x" * 200}
    assert set(parsed["files"]["dags"]) == OURS | {f"medallion_{name}" for name in expected}
    assert "reconcile" in parsed["files"]["dags"]["medallion_reconcile"]["tasks"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("never", "never.yaml: schedule: 'every minute' is no schedule that Airflow accepts"),
        ("reconcile.yaml", "medallion_reconcile is one of Medallion's own DAGs"),
        ("a_b", "all of them describe pipeline a_b"),
        ("one", "all of them write to table shared of gold"),
        ("two", "all of them write to table shared of gold"),
        ("x" * 200, "cannot be read as YAML"),
    ],
)
def test_the_dag_of_a_bad_file_says_what_is_wrong(parsed, name, reason):
    """Its documentation names the file and the field; its one task fails with the same message."""
    broken = parsed["files"]["dags"][f"medallion_{name}"]
    assert reason in broken["doc"]
    assert broken["order"] == ["read_pipeline_file"]


def test_a_good_file_is_left_alone(parsed):
    """Beside them a good pipeline has its tasks."""
    assert parsed["files"]["dags"]["medallion_good"]["order"] == ["open_window", "extract", "write_gold", "commit"]


def test_a_bad_schedule_of_the_environment_is_named_by_every_pipeline(parsed):
    """No DAG vanishes; each says which variable is wrong, and waits for a trigger."""
    good = parsed["schedule"]["dags"]["medallion_good"]
    assert "MEDALLION_SCHEDULE: 'every minute' is no schedule" in good["doc"]
    assert good["schedule"] is None
    assert set(parsed["schedule"]["dags"]) >= OURS
