"""
Real servers for tests, started once per session from the sandbox's own modules.

`bronze_dsn`, `lake_uri` and `silver` are fresh for each test: an empty
database, an empty prefix, an empty schema.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from include.sandbox import postgres as postgres_server
from include.sandbox import s3, snowflake
from include.sandbox.postgres import Postgres
from include.sandbox.s3 import Lake
from include.sandbox.snowflake import Snowflake

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.register_profile("long", deadline=None, max_examples=300)  # pytest --hypothesis-profile=long: to hunt faults
settings.load_profile("untimed")
serial = count(1)
AIRFLOW = ("tests/e2e/", "tests/chaos/test_chaos_run")
LONG = ("airflow", "tests/integration/test_any_history.py")
"""What takes longest, whatever its number of tests."""
FOLDERS = ("integration", "chaos", "contract", "dags", "unit")
"""Folders of tests, the slowest first."""


def pytest_configure(config):
    """Give Airflow a home of the session's own: it reads, and writes, the user's one as soon as it is imported."""
    home = TemporaryDirectory(prefix="airflow-home-")
    os.environ["AIRFLOW_HOME"] = home.name
    config.add_cleanup(home.cleanup)


class ByFile(LoadScopeScheduling):
    """Deal tests out to several testers file by file; all that boots an Airflow is one file to it."""

    def _split_scope(self, nodeid):
        return scope(nodeid)


def scope(nodeid: str) -> str:
    """Return what one tester runs as a whole: a file, or all that boots an Airflow."""
    file = nodeid.partition("::")[0]
    return "airflow" if file.startswith(AIRFLOW) else file


def pytest_collection_modifyitems(items):
    """
    Put what takes long first, so that no tester ends with a long file while the others have nothing left.

    Folders are in the order of FOLDERS; in a folder, a file with more tests comes first.
    """
    sizes = Counter(scope(item.nodeid) for item in items)
    rank = {folder: number for number, folder in enumerate(FOLDERS)}

    def place(item):
        unit = scope(item.nodeid)
        if unit in LONG:
            return LONG.index(unit), 0, ""
        return len(LONG) + rank.get(unit.split("/")[1], len(rank)), -sizes[unit], unit

    items.sort(key=place)


def pytest_xdist_make_scheduler(config, log):
    """Choose how tests are dealt out (`-n 2`)."""
    config.option.loadscopereorder = False  # the order of the tests counts
    return ByFile(config, log)


@pytest.fixture(scope="session")
def sandbox_state(tmp_path_factory) -> Iterator[Path]:
    """Make the folder of this session's servers."""
    state = tmp_path_factory.mktemp("sandbox")
    yield state
    postgres_server.discard(state)


@pytest.fixture(scope="session")
def postgres(sandbox_state) -> Iterator[Postgres]:
    """Start one Postgres cluster with logical replication, as quick as it can be."""
    yield postgres_server.start(sandbox_state, "tests", durable=False)
    postgres_server.stop(sandbox_state, "tests")


@pytest.fixture
def bronze_dsn(postgres) -> str:
    """Return the URI of an empty database."""
    name = f"bronze_{next(serial)}"
    postgres_server.create_database(postgres, name)
    return postgres.uri(name)


@pytest.fixture(scope="session")
def lake(sandbox_state) -> Iterator[Lake]:
    """Start an S3 server with one bucket; `lake.options` are delta-rs's storage options."""
    yield s3.start(sandbox_state)
    s3.stop(sandbox_state)


@pytest.fixture
def lake_uri(lake) -> str:
    """Return an `s3://` prefix with nothing below it."""
    return f"s3://{lake.bucket}/test-{next(serial)}"


@pytest.fixture(scope="session")
def snowflake_account(sandbox_state) -> Iterator[Snowflake]:
    """Start the Snowflake stand-in; this process trusts its certificate."""
    with pytest.MonkeyPatch.context() as patch:
        account = snowflake.start(sandbox_state)
        _trust_only_the_last(account.bundle)
        for key, value in account.environment.items():
            patch.setenv(key, value)
        yield account
        snowflake.stop(sandbox_state)


def _trust_only_the_last(bundle: Path) -> None:
    """Leave out the public authorities: each connection reads all of the file."""
    _, begin, last = bundle.read_text().rpartition("-----BEGIN CERTIFICATE-----")
    bundle.write_text(begin + last)


@pytest.fixture(scope="session")
def drop_schema(snowflake_account) -> Iterator[Callable[[str], None]]:
    """Return a function that drops a schema; one that a connection of a test has locked stays."""
    from snowflake.connector.errors import DatabaseError  # tests without Snowflake need not load it

    def drop(name: str) -> None:
        with suppress(DatabaseError):
            cursor.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")

    with closing(snowflake_account.connect()) as connection, connection.cursor() as cursor:
        yield drop


@pytest.fixture
def silver(snowflake_account, drop_schema) -> Iterator[Snowflake]:
    """Return the account with an empty schema as its default: `silver.connect()`, `silver.airflow()`."""
    account = replace(snowflake_account, schema=f"SILVER_{next(serial)}")
    yield account
    drop_schema(account.schema)  # each statement of the stand-in takes longer with every table that there is


@pytest.fixture
def snowflake_connect(silver) -> Callable:
    """Return a function that opens a new connection to this test's schema."""
    return silver.connect
