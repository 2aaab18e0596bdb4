"""The tutorial and its notebook show what their commands and cells print."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from include.medallion.__main__ import app
from include.sandbox import postgres as postgres_server

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "tutorial.md").read_text("utf-8")
CONSOLE = re.findall(r"```console\n\$ (.+)\n((?:.+\n)+)```", TEXT)
"""Each command whose output is shown, with that."""


class Newcomer:
    """Somebody who follows the tutorial: what each command printed."""

    def __init__(self, dsn, silver):
        self.dsn, self.silver, self.printed, self.lines = dsn, silver, {}, iter(CONSOLE)

    def type(self, expected):
        """Run the next command of the tutorial that shows its output; return that, and what it printed now."""
        command, shown = next(self.lines)
        words = shlex.split(command)
        assert expected in words
        if words[0] == "make":
            return shown, self.query(next(word for word in words if word.startswith("SQL=")).removeprefix("SQL="))
        done = CliRunner().invoke(app, words[3:], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return shown, done.output

    def query(self, statement):
        """Return the rows of a statement in Snowflake, as `make query` prints them."""
        with closing(self.silver.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return [[d[0] for d in cursor.description], *[list(map(str, row)) for row in cursor.fetchall()]]


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory, postgres, lake, snowflake_account):
    """Create the table of the tutorial, and set what `.sandbox/env` sets."""
    postgres_server.create_database(postgres, "tutorial")
    silver, folder = replace(snowflake_account, schema="TUTORIAL"), tmp_path_factory.mktemp("pipelines")
    with psycopg.connect(postgres.uri("tutorial"), autocommit=True) as connection:
        connection.execute((DOCS / "examples" / "customers.sql").read_text("utf-8"))
    settings = {"AIRFLOW_CONN_BRONZE": postgres.uri("tutorial"), "AIRFLOW_CONN_SILVER": silver.airflow()}
    settings |= {**lake.options, "AWS_URI": f"s3://{lake.bucket}/tutorial", "MEDALLION_PIPELINES": str(folder)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        yield Newcomer(postgres.uri("tutorial"), silver)


def test_init_prints_and_writes_what_the_tutorial_shows(newcomer, monkeypatch):
    """The assumptions, and the file without its comments."""
    shown, printed = newcomer.type("init")
    assert [line for line in shown.splitlines() if line not in printed.splitlines()] == []
    (written,) = Path(re.search(r"wrote +(\S+)", printed)[1]).parent.glob("*.yaml")
    lines = [line for line in written.read_text("utf-8").splitlines(keepends=True) if not line.startswith("#")]
    assert "".join(lines) == re.search(r"```yaml\n(.+?)```", TEXT, re.DOTALL)[1]


def test_the_first_run_brings_what_the_tutorial_shows(newcomer):
    """The summary, and the rows in Snowflake."""
    shown, printed = newcomer.type("run")
    assert all(part in printed for part in shown.strip().split("; "))
    shown, rows = newcomer.type("make")
    assert rows == [re.split(r" {2,}", line.strip()) for line in shown.splitlines()]


def test_the_notebook_shows_what_its_cells_print(newcomer):
    """Run again over the table of the tutorial, each cell has the output that is stored."""
    spec = importlib.util.spec_from_file_location("notebook", DOCS / "notebook.py")
    notebook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(notebook)
    stored = json.loads(notebook.NOTEBOOK.read_text("utf-8"))
    assert notebook.execute(stored) == stored


def test_the_next_run_brings_the_changed_row_alone(newcomer):
    """One row is read, and both sinks update it."""
    statement = re.search(r'LAYER=bronze SQL="(UPDATE .+)"', TEXT)[1]
    with psycopg.connect(newcomer.dsn, autocommit=True) as connection:
        connection.execute(statement)
    shown, printed = newcomer.type("run")
    assert all(part in printed for part in shown.strip().split("; "))
