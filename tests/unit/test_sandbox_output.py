"""What the sandbox prints: rows as JSON lines, and what a run left in each layer."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from include.medallion.config import files as pipeline_files
from include.sandbox import layers, query, summary
from include.sandbox.errors import SandboxError
from include.sandbox.json_lines import json_lines

ROOT = Path(__file__).parents[2]
EMPLOYEES = pipeline_files.load_file(ROOT / "include" / "pipelines" / "employees.yaml")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (2**70, 2**70),
        (1.5, 1.5),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
        (Decimal("1.50"), "1.50"),
        (date(2020, 1, 2), "2020-01-02"),
        (datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC), "2020-01-02T03:04:05+00:00"),
        (time(3, 4, 5), "03:04:05"),
        (timedelta(hours=1), "1:00:00"),
        (b"\x00\xff", "00ff"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"a": [Decimal(1), b"\x01"]}, {"a": ["1", "01"]}),
        ("Zürich", "Zürich"),
    ],
    ids=repr,
)
def test_a_value_is_json_or_text(value, shown):
    """Types that JSON lacks become text; the others stay as they are."""
    (line,) = json_lines((["v"], [(value,)]))
    assert json.loads(line) == {"v": shown}


def test_each_row_is_a_line():
    """An answer without rows has no lines."""
    assert list(json_lines((["id"], [(1,), (2,)]))) == ['{"id": 1}', '{"id": 2}']
    assert list(json_lines((["id"], []))) == []


def test_no_column_is_lost_to_another_of_the_same_name():
    """A join that returns two columns `id` shows both."""
    assert json.loads(next(json_lines((["id", "id"], [(1, 2)])))) == {"id": 1, "id_2": 2}


def test_an_unknown_format_is_refused():
    """The message lists the formats there are."""
    with pytest.raises(SandboxError, match="FORMAT=xml: choose one of text, json"):
        query.formatter("xml")


def test_an_unknown_layer_is_refused():
    """The message lists the layers there are."""
    with pytest.raises(SandboxError, match="LAYER=tin: choose one of bronze, silver, gold"):
        query.ask("tin", EMPLOYEES, {}, "SELECT 1")


def test_the_server_that_is_asked_is_named_without_its_password():
    """Bronze is the pipeline's own connection."""
    environ = {"AIRFLOW_CONN_BRONZE": "postgres://me:secret@db.example:5432/northwind"}
    asked = query.server("bronze", EMPLOYEES, environ)
    assert asked == "connection bronze of pipeline employees, at db.example"


def test_a_layer_that_cannot_be_asked_says_why():
    """The run has ended well: a connection that only Airflow knows, or a lake that is gone, is no failure of it."""
    found = list(layers.layers(EMPLOYEES, {"AWS_URI": "file:///nowhere"}))
    assert [line.split()[0] for line in found] == ["Bronze", "Silver", "Gold"]
    reasons = ("AIRFLOW_CONN_BRONZE", "AIRFLOW_CONN_SILVER", "not counted")
    assert all(reason in line for reason, line in zip(reasons, found, strict=True))


def test_hints_name_the_tables_of_the_pipeline():
    """After a run of another pipeline nothing speaks of `employees`."""
    other = EMPLOYEES.model_copy(update={"name": "customers", "gold": EMPLOYEES.gold.model_copy(update={"table": "c"})})
    hints = "\n".join(summary.hints(other, is_sample=False))
    assert "PIPELINE=customers LAYER=gold" in hints
    assert "UPDATE employees" not in hints


def test_no_hint_changes_a_table_of_the_users():
    """A table called employees in the user's own database is only read."""
    assert "UPDATE" in "\n".join(summary.hints(EMPLOYEES, is_sample=True))
    assert "UPDATE" not in "\n".join(summary.hints(EMPLOYEES, is_sample=False))
