"""The settings file of the sandbox, and what the caller's environment changes in it."""

from __future__ import annotations

import json

import pytest

from include.sandbox import settings
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


def test_values_need_no_quotes(servers):
    """`env $(cat .sandbox/env) program` works: no value holds a space or a quote that a shell would split at."""
    assert not [value for value in settings.of(servers, {}, caller={}).values() if set(value) & set(" \t\n'")]


def test_silver_connection_is_json(servers):
    """Airflow can read the connection."""
    assert json.loads(settings.of(servers, {}, caller={})["AIRFLOW_CONN_SILVER"])["extra"]["port"] == 3


@pytest.mark.parametrize("name", ["SENTRY_DSN", "GOOGLE_API_KEY", "MEDALLION_SCHEDULE", "AIRFLOW_CONN_SILVER"])
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


def test_line_breaks_are_refused(tmp_path):
    """A value that would break the file's form is an error that names its key."""
    with pytest.raises(SandboxError, match="SENTRY_DSN"):
        settings.write(tmp_path, {"SENTRY_DSN": "a\nb"})


def test_missing_file_says_what_to_do(tmp_path):
    """Before the first `make up` the way out is in the message."""
    with pytest.raises(SandboxError, match="make up"):
        settings.read(tmp_path)
