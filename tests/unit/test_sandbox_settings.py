"""The settings file of the sandbox, and what the caller's environment changes in it."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.sandbox import settings, stack
from include.sandbox.errors import SandboxError
from include.sandbox.postgres import Postgres
from include.sandbox.s3 import Lake
from include.sandbox.snowflake import Snowflake


@pytest.fixture
def servers(tmp_path):
    """Describe servers that do not run."""
    return settings.Servers(
        Postgres("127.0.0.1", 1, "postgres", "p"),
        Lake("http://127.0.0.1:2", "key", "secret"),
        Snowflake(port=3, password="s", bundle=tmp_path / "ca.pem"),
    )


def test_file_is_read_as_it_was_written(tmp_path, servers):
    """Every setting survives the way through the file."""
    chosen = settings.of(servers, {"AIRFLOW_HOME": "/a=b"}, caller={})
    settings.write(tmp_path, chosen)
    assert settings.read(tmp_path) == chosen


def test_file_is_private(tmp_path, servers):
    """Nobody else on the machine can read the passwords."""
    settings.write(tmp_path, settings.of(servers, {}, caller={}))
    assert (tmp_path / "env").stat().st_mode & 0o077 == 0


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    )
)
def test_any_value_is_read_as_it_was_written(tmp_path_factory, chosen):
    """Quotes, spaces, line breaks and wildcards in values survive the file."""
    state = tmp_path_factory.mktemp("state")
    settings.write(state, chosen)
    assert settings.read(state) == chosen


def test_a_shell_reads_the_file(tmp_path):
    """`set -a; . .sandbox/env` exports values with wildcards, spaces, quotes and line breaks unchanged."""
    values = {"A": "* * * * *", "B": 'it\'s "$HOME"', "C": "/a folder/b", "D": "two\nlines", "E": "", "F": "`id`"}
    settings.write(tmp_path, values)
    script = f"set -a; . '{tmp_path}/env'; set +a; env -0"
    shown = subprocess.run(["sh", "-c", script], env={}, capture_output=True, text=True, check=True).stdout
    assert values.items() <= dict(line.split("=", 1) for line in shown.split("\0") if line).items()


def test_a_file_of_an_earlier_version_is_read(tmp_path):
    """Values that were written without quotes keep the quotes that are part of them."""
    (tmp_path / "env").write_text('A={"b": "c d"}\nE=\n')
    assert settings.read(tmp_path) == {"A": '{"b": "c d"}', "E": ""}


def test_a_name_that_no_shell_can_set_is_refused(tmp_path):
    """The message names the variable."""
    with pytest.raises(SandboxError, match="AIRFLOW_CONN_MY-DB"):
        settings.write(tmp_path, {"AIRFLOW_CONN_MY-DB": "postgres://"})


def test_silver_connection_is_json(servers):
    """Airflow can read the connection."""
    assert json.loads(settings.of(servers, {}, caller={})["AIRFLOW_CONN_SILVER"])["extra"]["port"] == 3


@pytest.mark.parametrize(
    "name", ["SENTRY_DSN", "GOOGLE_API_KEY", "MEDALLION_SCHEDULE", "AIRFLOW_CONN_SILVER", "AIRFLOW_CONN_NORTHWIND"]
)
def test_callers_choice_wins(servers, name):
    """A setting that points elsewhere on purpose is kept."""
    assert settings.of(servers, {}, caller={name: "mine"})[name] == "mine"


def test_callers_aws_account_is_left_alone(servers):
    """Keys of an AWS account that happen to be in the shell are not used for the sandbox's S3."""
    assert settings.of(servers, {}, caller={"AWS_ACCESS_KEY_ID": "mine"})["AWS_ACCESS_KEY_ID"] == "key"


def test_callers_lake_comes_with_its_keys(servers):
    """Who names a lake of their own has all `AWS_*` settings kept."""
    mine = {"AWS_URI": "s3://mine/lake", "AWS_SESSION_TOKEN": "t"}
    assert settings.of(servers, {}, caller=mine).items() >= mine.items()


def test_foreign_airflow_stays_outside(monkeypatch):
    """Another Airflow's settings in the shell do not reach ours."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    assert "AIRFLOW__CORE__EXECUTOR" not in settings.process_environment({})


def pipeline(source: str = "bronze", silver: str = "silver") -> SimpleNamespace:
    """Describe a pipeline by its connections."""
    return SimpleNamespace(source=SimpleNamespace(connection=source), silver=SimpleNamespace(connection=silver))


def test_only_the_sandboxs_bronze_has_the_sample(servers):
    """A table of the same name in the user's own Postgres is not taken for it."""
    own = settings.of(servers, {}, caller={})
    mine = settings.of(servers, {}, caller={"AIRFLOW_CONN_BRONZE": "postgres://mine"})
    assert settings.is_sample(own, servers, pipeline())
    assert not settings.is_sample(mine, servers, pipeline())
    assert not settings.is_sample(own, servers, pipeline("northwind"))


def test_a_pipeline_names_its_connections():
    """Each with the variable that defines it."""
    assert settings.connections(pipeline("north", "snow")) == {
        "north": "AIRFLOW_CONN_NORTH",
        "snow": "AIRFLOW_CONN_SNOW",
    }


def test_what_the_shell_sets_since_the_start_is_noticed(servers):
    """A connection or key that was exported after `make up` is not what Airflow runs with."""
    chosen = settings.of(servers, {}, caller={"GOOGLE_API_KEY": "k"})
    caller = {"GOOGLE_API_KEY": "k", "AIRFLOW_CONN_NORTHWIND": "postgres://mine", "AWS_ACCESS_KEY_ID": "other"}
    assert settings.stale(chosen, caller) == ["AIRFLOW_CONN_NORTHWIND"]
    assert settings.with_callers(chosen, caller)["AIRFLOW_CONN_NORTHWIND"] == "postgres://mine"
    assert settings.stale(settings.with_callers(chosen, caller), caller) == []


def test_missing_file_says_what_to_do(tmp_path):
    """Before the first `make up` the way out is in the message."""
    with pytest.raises(SandboxError, match="make up"):
        settings.read(tmp_path)


def test_a_plan_before_the_first_start_says_what_is_missing(tmp_path):
    """Settings that only the sandbox has would be named without a word about it."""
    program = "from include.sandbox import stack, __main__ as main; from pathlib import Path; import sys; "
    program += "stack.STATE = Path(sys.argv[1]); main.app(['medallion', 'plan', 'employees'])"
    environment = {"AIRFLOW_CONN_BRONZE": "postgres://x@localhost/x"}
    command = [sys.executable, "-c", program, tmp_path]
    done = subprocess.run(command, env=environment, cwd=stack.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "make up" in done.stderr.splitlines()[0]
    assert "AIRFLOW_CONN_SILVER is not set" in done.stderr
