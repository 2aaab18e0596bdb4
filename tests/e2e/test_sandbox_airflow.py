"""The sandbox's Airflow runs a DAG, and says why one fails."""

from __future__ import annotations

import ipaddress
import os

import psutil
import pytest

from include.sandbox import client, one_run, processes, stack
from include.sandbox.errors import SandboxError
from include.sandbox.processes import Daemon

pytestmark = pytest.mark.timeout(900)  # the first test of a session boots everything
DAG = """
from airflow.sdk import dag, task

@dag(dag_id="probe")
def probe():
    @task
    def enrich(part):
        if part:
            raise ValueError("part %d is broken" % part)

    @task
    def commit():
        return {"read": 7}

    BODY

probe()
"""


@pytest.fixture
def run(deployment, api):
    """Lend a function that runs the probe with this body: the client, the run's id and how it ended."""
    file = deployment.project / "dags" / "probe.py"

    def triggered(body):
        file.write_text(DAG.replace("BODY", body))
        client.await_dag(api, "probe", deployment.project)
        run_id = client.trigger(api, "probe", {})
        return api, run_id, client.watch(api, "probe", run_id, print, seconds=120)

    yield triggered
    file.unlink()


def test_run_succeeds_and_returns_its_summary(run):
    """What task `commit` returns is the run's summary."""
    api, run_id, state = run("commit()")
    assert (state, client.summary(api, "probe", run_id)) == ("success", {"read": 7})


def test_failed_part_is_named_with_its_reason(run):
    """Of a failed run one sees which mapped task it was, and the exception."""
    api, run_id, state = run("enrich.expand(part=[0, 3]) >> commit()")
    (failure,) = client.failures(api, "probe", run_id)
    assert state == "failed"
    assert failure.startswith("enrich[1] failed")
    assert "part 3 is broken" in failure


def test_broken_file_is_reported(run):
    """A DAG file that cannot be imported is an error with Airflow's reason, not an old version's run."""
    with pytest.raises(client.SandboxError, match="NameError: name 'no_such_thing'"):
        run("no_such_thing()")


def test_a_missing_connection_is_refused_before_a_run(api, deployment):
    """The message names the variable to export; a connection that Airflow stores itself is enough."""
    pipeline = deployment.pipeline("employees")
    lost = pipeline.model_copy(update={"source": pipeline.source.model_copy(update={"connection": "northwind"})})
    one_run.require_connections(api, pipeline, deployment.settings)
    with pytest.raises(SandboxError, match=r"uses connection northwind.* export AIRFLOW_CONN_NORTHWIND"):
        one_run.require_connections(api, lost, deployment.settings)
    api.call("POST", "connections", json={"connection_id": "northwind", "conn_type": "postgres"})
    one_run.require_connections(api, lost, deployment.settings)
    api.call("DELETE", "connections/northwind")


def test_all_processes_run(deployment):
    """Four servers and four components of Airflow make the sandbox."""
    assert list(stack.running(deployment.state).values()) == [True] * 8


def test_nothing_listens_beyond_this_machine(deployment):
    """Every listening socket of every process of the sandbox is on loopback."""
    daemons = [processes.running(Daemon(deployment.state, name)) for name in stack.running(deployment.state)]
    family = {process.pid for daemon in daemons for process in (daemon, *daemon.children(recursive=True))}
    sockets = [socket for socket in psutil.net_connections("inet") if socket.pid in family]
    addresses = {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}
    assert addresses
    assert [address for address in addresses if not ipaddress.ip_address(address).is_loopback] == []


def test_rows_are_there(deployment):
    """Bronze holds as many sample rows as were asked for, from the first on."""
    rows = deployment.sql("SELECT count(*), min(id), max(id) FROM employees WHERE id <= 300")
    assert rows == [(300, 1, 300)]


def test_the_callers_process_is_left_as_it_was(deployment):
    """Starting the sandbox changes no variable of the process that starts it."""
    assert "AIRFLOW_PASSWORD" not in os.environ
