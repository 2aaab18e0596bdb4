"""Failures reach Sentry, over a real socket, without secrets and without personal data."""

import asyncio
import json
import logging
import socket
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import psycopg
import pytest
import requests
import structlog
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from airflow.sdk.execution_time import callback_supervisor, task_runner
from airflow.sdk.execution_time.comms import TaskStatesResult
from airflow.sdk.log import mask_secret
from airflow.triggers.callback import CallbackTrigger

sys.path.insert(0, str(Path(__file__).parents[2] / "plugins"))

import import_error_listener
from sentry_notifier import SentryNotifier

from include.medallion.errors import ProviderRefused, Transient
from include.medallion.redaction.events import WITHHELD
from include.sandbox.sentry import receiving

KEY = "AIzaSyA-1234567890abcdefghijklmnopqrstu"
PERSON = ("jane.doe@example.com", "1600 Pennsylvania Avenue", "20500", "Pennsylvania")
RUN = "manual__2025-01-01T00:00:00.123456+00:00"
OURS = "GOOGLE_API_KEY may not use the Geocoding API: enable it in Google's console"


@pytest.fixture
def sentry(monkeypatch, tmp_path):
    """Receive what is reported."""
    with receiving(tmp_path / "events") as receiver:
        monkeypatch.setenv("SENTRY_DSN", receiver.dsn)
        yield receiver


@pytest.fixture
def dag():
    """Return a DAG of two tasks; a mapped instance `part_1` of one has the other's name."""
    with DAG("medallion_employees", schedule=None) as dag:
        for name in ("enrich", "enrich_1"):
            PythonOperator(task_id=name, python_callable=print, op_kwargs={"window": {"batch_id": 20251122194200123}})
    return dag


class States:
    """Airflow's side of the socket on which callbacks ask for task states."""

    def __init__(self, states: dict) -> None:
        self.states = states

    def send(self, _) -> TaskStatesResult:
        """Answer."""
        return TaskStatesResult(task_states={RUN: self.states})


def instance(dag, task_id="enrich", map_index=3):
    """Return a task instance as Airflow's callbacks get it."""
    return task_runner.RuntimeTaskInstance.model_construct(
        id=uuid.uuid4(),
        dag_id=dag.dag_id,
        task_id=task_id,
        run_id=RUN,
        map_index=map_index,
        try_number=2,
        task=dag.get_task(task_id),
    )


def failed_with(dag, error):
    """Notify as Airflow does of a task's last failure."""
    SentryNotifier()({"ti": instance(dag), "dag": dag, "run_id": RUN, "exception": error})


def run_failed(dag, monkeypatch, states, reason="task_failure"):
    """Notify as Airflow does of a failed run."""
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", States(states), raising=False)
    SentryNotifier()({"ti": instance(dag), "dag": dag, "run_id": RUN, "reason": reason})


def raised(error, cause=None):
    """Return `error` with a traceback whose frames have personal data in their variables."""
    row = {"email": PERSON[0], "address": PERSON[1], "postcode": PERSON[2], "key": KEY}
    try:
        raise error from cause
    except type(error) as caught:
        assert row
        return caught


def test_task_failure_is_one_event_with_its_tags(sentry, dag):
    """Where it failed is in the tags, and the link leads to the log."""
    failed_with(dag, raised(ProviderRefused(OURS)))
    (event,) = sentry.events
    link = "http://localhost:8080/dags/medallion_employees/runs/manual__2025-01-01T00%3A00%3A00.123456%2B00%3A00"
    assert event["tags"] == {
        "dag_id": "medallion_employees",
        "task_id": "enrich",
        "run_id": RUN,
        "map_index": "3",
        "try_number": "2",
        "batch": "20251122194200123",
        "log_url": f"{link}/tasks/enrich/mapped/3?try_number=2",
    }
    assert event["contexts"]["airflow"] == event["tags"]


def test_our_message_and_the_stack_arrive(sentry, dag):
    """The report says what to do, and where it was raised."""
    failed_with(dag, raised(ProviderRefused(OURS)))
    (value,) = sentry.events[0]["exception"]["values"]
    assert (value["module"], value["type"], value["value"]) == ("include.medallion.errors", "ProviderRefused", OURS)
    assert value["stacktrace"]["frames"][-1]["function"] == "raised"


def test_task_and_run_report_one_issue(sentry, dag, monkeypatch):
    """Both callbacks of one failure have the same fingerprint."""
    failed_with(dag, raised(ProviderRefused(OURS)))
    run_failed(dag, monkeypatch, {"enrich_3": "failed"})
    assert [event["fingerprint"] for event in sentry.events] == [["medallion", "medallion_employees", "enrich"]] * 2


def test_run_names_the_killed_indexes(sentry, dag, monkeypatch):
    """A killed task is known by its map index only; what it took along is not reported."""
    states = {"enrich_12": "failed", "enrich_2": "failed", "enrich_3": "success", "enrich_1": "upstream_failed"}
    run_failed(dag, monkeypatch, states)
    (event,) = sentry.events
    assert event["message"] == "medallion_employees: run failed at enrich[2, 12] (task_failure)"
    assert event["tags"]["map_index"] == "2,12"
    assert event["contexts"]["airflow"]["failed_map_indexes"] == [2, 12]


def test_index_and_task_of_one_name_are_told_apart(sentry, dag, monkeypatch):
    """`enrich_1` is the task of that name if the DAG has one."""
    run_failed(dag, monkeypatch, {"enrich_1": "failed", "enrich_2": "failed"})
    assert [event["fingerprint"][-1] for event in sentry.events] == ["enrich", "enrich_1"]


def test_run_without_failed_task_is_reported(sentry, dag, monkeypatch):
    """A run that timed out has only skipped tasks."""
    run_failed(dag, monkeypatch, {"enrich_1": "skipped"}, reason="timed_out")
    assert [event["fingerprint"][-1] for event in sentry.events] == ["timed_out"]


def test_lost_process_is_reported_without_exception(sentry, dag):
    """If the worker died too, Airflow has no exception to show."""
    SentryNotifier()({"ti": instance(dag), "dag": dag, "run_id": RUN})
    (event,) = sentry.events
    assert event["message"].startswith("medallion_employees.enrich: the task's process was lost")
    assert event["fingerprint"] == ["medallion", "medallion_employees", "enrich"]


def leaky():
    """Exceptions of libraries, as they quote rows and URLs."""
    url = f"https://maps.googleapis.com/maps/api/geocode/json?key={KEY}&address=1600+Pennsylvania+Avenue+20500"
    response = requests.Response()
    response.status_code, response.url, response.reason = 403, url, "Forbidden"
    detail = "DETAIL:  Key (email, address)=(jane.doe@example.com, 1600 Pennsylvania Avenue 20500) already exists."
    unique = psycopg.errors.UniqueViolation(f"duplicate key value\n{detail}")
    refused = requests.HTTPError(f"403 Client Error: Forbidden for url: {url}", response=response)
    noted = ValueError("bad value")
    noted.add_note(f"row: {PERSON} {KEY}")
    ours = Transient(f"no answer to {url} for {PERSON[0]} at {PERSON[1]}, DC {PERSON[2]}")
    return [unique, refused, noted, ours, ExceptionGroup(str(PERSON), [unique, KeyError(PERSON[0])])]


@pytest.mark.parametrize("error", leaky(), ids=lambda error: type(error).__name__)
def test_nothing_leaks(sentry, dag, error):
    """Neither messages, causes, notes nor local variables carry the key or a person's data out."""
    failed_with(dag, raised(error))
    failed_with(dag, raised(Transient("the source is away"), cause=error))
    sent = json.dumps(sentry.events)
    assert len(sentry.events) == 2
    assert [leak for leak in (KEY, *PERSON) if leak in sent] == []


def test_codes_of_a_driver_arrive(sentry, dag):
    """Instead of the message that quotes the row: the SQLSTATE."""
    failed_with(dag, raised(leaky()[0]))
    assert sentry.events[0]["exception"]["values"][0]["value"] == f"SQLSTATE 23505, {WITHHELD}"


def test_secrets_are_hidden_by_value(sentry, dag, monkeypatch):
    """The environment's secrets, and what Airflow masks in its own logs."""
    monkeypatch.setenv("SOME_API_TOKEN", "of-no-known-shape")
    mask_secret("from-a-connection")
    failed_with(dag, raised(Transient("got of-no-known-shape and from-a-connection")))
    assert sentry.events[0]["exception"]["values"][0]["value"] == "got *** and ***"


def test_events_say_nothing_of_the_machine(sentry, dag):
    """No host name, modules, arguments or breadcrumbs."""
    failed_with(dag, raised(Transient("x")))
    known = {"event_id", "timestamp", "platform", "level", "sdk", "fingerprint", "environment", "tags", "contexts"}
    assert set(sentry.events[0]) == known | {"exception"}


@pytest.mark.parametrize("dsn", [None, "", "  "])
def test_without_dsn_nothing_happens(monkeypatch, dag, caplog, dsn):
    """No report, no line in the log."""
    monkeypatch.delenv("SENTRY_DSN", raising=False)
    if dsn is not None:
        monkeypatch.setenv("SENTRY_DSN", dsn)
    failed_with(dag, raised(Transient("x")))
    assert caplog.records == []


def unreachable(caplog, dag):
    """Notify; return how long that took, and what was logged."""
    caplog.set_level(logging.INFO)
    started = time.monotonic()
    failed_with(dag, raised(Transient("x")))
    return time.monotonic() - started, [record.getMessage() for record in caplog.records]


@contextmanager
def black_hole():
    """Accept connections, never answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=8) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("dsn", ["nonsense", "http://127.0.0.1/1", "ftp://key@127.0.0.1/1"])
def test_wrong_dsn_is_one_warning(monkeypatch, dag, caplog, dsn):
    """A setting that cannot work is said once and harms nothing; the DSN is not printed."""
    monkeypatch.setenv("SENTRY_DSN", dsn)
    seconds, lines = unreachable(caplog, dag)
    assert seconds < 5
    assert lines == ["not reported to Sentry (BadDsn): the failure is in the task's log only"]


def test_refused_connection_is_one_warning(monkeypatch, dag, caplog):
    """Sentry is down: said once, at once."""
    with black_hole() as port:
        pass
    monkeypatch.setenv("SENTRY_DSN", f"http://key@127.0.0.1:{port}/1")
    seconds, lines = unreachable(caplog, dag)
    assert seconds < 5
    assert lines == ["not reported to Sentry (network): the failure is in the task's log only"]


def test_silent_server_costs_the_flush_at_most(monkeypatch, dag, caplog):
    """Sentry accepts and never answers: the callback returns before Airflow kills it."""
    with black_hole() as port:
        monkeypatch.setenv("SENTRY_DSN", f"http://key@127.0.0.1:{port}/1")
        seconds, lines = unreachable(caplog, dag)
    assert 5 <= seconds < 15
    assert lines == ["not reported to Sentry (no answer in 5 s): the failure is in the task's log only"]


def test_refusing_server_is_one_warning(monkeypatch, dag, caplog, sentry):
    """Sentry answers, but does not take the event."""
    monkeypatch.setenv("SENTRY_DSN", sentry.dsn.replace("/1", "/not/a/project/1"))
    assert unreachable(caplog, dag)[1] == ["not reported to Sentry (status_404): the failure is in the task's log only"]


def test_states_that_cannot_be_read_harm_nothing(sentry, dag, monkeypatch, caplog):
    """The run's failure is reported though its tasks are not known."""
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", None, raising=False)
    SentryNotifier()({"dag": dag, "run_id": RUN, "reason": "task_failure"})
    assert sentry.events[0]["fingerprint"] == ["medallion", "medallion_employees", "task_failure"]


MISSED = {
    "dag_run": {"dag_id": "medallion_employees", "dag_run_id": RUN},
    "deadline": {"deadline_time": "2025-01-01T00:10:00Z"},
}


def test_deadline_is_reported_from_the_executor(sentry):
    """As Airflow runs a SyncCallback."""
    log = structlog.get_logger()
    path = "sentry_notifier.SentryNotifier"
    done, _ = callback_supervisor.execute_callback(path, {"context": MISSED}, None, None, log)
    assert done
    assert sentry.events[0]["message"] == "medallion_employees: deadline missed"


def test_deadline_is_reported_from_the_triggerer(sentry):
    """As Airflow runs an AsyncCallback."""

    async def run():
        return [e async for e in CallbackTrigger("sentry_notifier.SentryNotifier", {"context": MISSED}).run()]

    assert asyncio.run(run())[-1].payload["state"] == "success"
    assert sentry.events[0]["tags"] == {"dag_id": "medallion_employees", "run_id": RUN}


def test_import_error_is_reported(sentry):
    """Our advice arrives; the file's source lines do not."""
    text = (
        'Traceback (most recent call last):\n  File "/d/medallion.py", line 9, in <module>\n'
        f"    load(\"{KEY}\")\ninclude.medallion.errors.SettingError: employees.yaml: add 'source'\n"
    )
    import_error_listener.on_new_dag_import_error("/d/medallion.py", text)
    (event,) = sentry.events
    assert event["fingerprint"] == ["medallion", "import", "medallion.py"]
    assert event["exception"]["values"][0]["value"] == "employees.yaml: add 'source'"
    assert KEY not in json.dumps(event)


def test_listener_is_registered_by_its_plugin():
    """Airflow finds the hook in the module that the plugin names."""
    (listener,) = import_error_listener.ImportErrorPlugin.listeners
    assert listener.on_new_dag_import_error is import_error_listener.on_new_dag_import_error


def test_receiver_shows_and_keeps_events(sentry, dag):
    """Over HTTP, and as files that a restarted receiver reads."""
    failed_with(dag, raised(Transient("x")))
    with urlopen(f"http://127.0.0.1:{sentry.server_port}/_events") as answer:
        assert json.load(answer) == sentry.events
    with receiving(sentry.folder) as again:
        assert again.events == sentry.events
