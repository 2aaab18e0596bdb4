"""Airflow's REST API, as far as starting a run and watching it needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from include.medallion.config.files import pipelines_folder
from include.sandbox.errors import SandboxError

Say = Callable[[str], None]
ENDED = ("success", "failed")
# states that only say that a task waits
QUIET = {None, "none", "scheduled", "queued"}
# what an outcome of reading a file must be younger than the file, to be surely of that version
MARGIN = timedelta(seconds=1)
ASK_AGAIN = 5  # seconds: an outcome within the margin after a change does not count
SOURCES = ("dags", "include", "plugins")
_SOURCE_FILES = {".py", ".yaml", ".yml", ".sql"}


@dataclass(frozen=True)
class Api:
    """A session of a logged-in user."""

    url: str
    session: requests.Session

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """
        Return the JSON of a response; None if there is no such thing.

        Raises:
            SandboxError: Airflow refused; with its answer.
        """
        response = self.session.request(method, f"{self.url}/api/v2/{path}", timeout=30, **arguments)
        if response.status_code == requests.codes.not_found:
            return None
        if not response.ok:
            raise SandboxError(f"Airflow answers {response.status_code} to {method} {path}: {response.text[:500]}")
        return response.json() if response.content else None


def login(settings: Mapping[str, str]) -> Api:
    """Log in with the sandbox's user."""
    url, session = settings["AIRFLOW_URL"], requests.Session()
    credentials = {"username": settings["AIRFLOW_USER"], "password": settings["AIRFLOW_PASSWORD"]}
    try:
        answer = session.post(f"{url}/auth/token", json=credentials, timeout=30)
        answer.raise_for_status()
    except requests.RequestException as e:
        raise SandboxError(f"Airflow does not let us in at {url}: {e}; run `make up`") from None
    session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return Api(url, session)


def await_dag(api: Api, dag_id: str, root: Path, seconds: float = 90) -> None:
    """
    Wait until Airflow knows the DAG as the files below `root` describe it now, and let it run.

    Raises:
        SandboxError: the file cannot be imported, or no file defines such a DAG; with Airflow's reason.
    """
    asked, again, deadline = None, 0.0, time.monotonic() + seconds
    while not ((dag := api.call("GET", f"dags/{dag_id}/details")) and _current(dag, root)):
        if dag and (dag["last_parsed_time"] != asked or time.monotonic() > again):
            asked, again = dag["last_parsed_time"], time.monotonic() + ASK_AGAIN
            with suppress(SandboxError):  # a request that waits already
                api.call("PUT", f"parseDagFile/{dag['file_token']}")
        if reasons := import_errors(api, since=_newest(root) + 2 * MARGIN):
            raise SandboxError(f"Airflow cannot import the DAG file:\n{reasons}")
        if time.monotonic() > deadline:
            raise SandboxError(f"Airflow knows no DAG {dag_id!r} after {seconds:.0f} s")
        time.sleep(0.5)
    if dag["is_paused"]:
        api.call("PATCH", f"dags/{dag_id}", json={"is_paused": False})


def import_errors(api: Api, since: datetime) -> str:
    """Return the ends of the stack traces of DAG files that could not be imported since then."""
    found = api.call("GET", "importErrors")["import_errors"]
    fresh = [e for e in found if datetime.fromisoformat(e["timestamp"]) > since]
    return "\n".join(f"{e['filename']}:\n{_end(e['stack_trace'].splitlines(), 6)}" for e in fresh)


def trigger(api: Api, dag_id: str, conf: Mapping[str, Any]) -> str:
    """Start a run and return its id."""
    return api.call("POST", f"dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": dict(conf)})["dag_run_id"]


def watch(api: Api, dag_id: str, run_id: str, say: Say, seconds: float) -> str:
    """Print each change of a task's state until the run has ended; return how it ended."""
    begun, seen = time.monotonic(), {}
    while True:
        # the run first: what the tasks did before it ended is then still printed
        state = api.call("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"]
        for task in tasks(api, dag_id, run_id):
            if task["state"] not in QUIET and seen.get(name(task)) != task["state"]:
                seen[name(task)] = task["state"]
                say(f"{time.monotonic() - begun:6.1f} s  {name(task):<16} {task['state']}")
        if state in ENDED:
            return state
        if time.monotonic() - begun > seconds:
            raise SandboxError(f"run {run_id} has not ended after {seconds:.0f} s: see {api.url}")
        time.sleep(0.3)


def tasks(api: Api, dag_id: str, run_id: str) -> list[dict]:
    """Return the task instances of a run, mapped ones each."""
    path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances"
    return sorted(api.call("GET", path, params={"limit": 1000})["task_instances"], key=lambda t: t["start_date"] or "~")


def name(task: Mapping) -> str:
    """Return a task's id, with the index of a mapped one."""
    return task["task_id"] + (f"[{task['map_index']}]" if task["map_index"] >= 0 else "")


def summary(api: Api, dag_id: str, run_id: str) -> dict | None:
    """Return what task `commit` returned; None if it did not run."""
    path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/commit/xcomEntries/return_value"
    entry = api.call("GET", path, params={"deserialize": "true"})
    return entry and entry["value"]


def failures(api: Api, dag_id: str, run_id: str) -> Iterator[str]:
    """Yield, of each failed task, the name and the end of its log."""
    for task in tasks(api, dag_id, run_id):
        if task["state"] == "failed":
            path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
            log = api.call("GET", path, params={"map_index": task["map_index"]}) or {"content": []}
            lines = [line for event in log["content"] for line in _lines(event)]
            yield f"{name(task)} failed on try {task['try_number']}:\n{_end(lines, 15)}"


def _lines(event: Any) -> Iterator[str]:
    if not isinstance(event, Mapping):
        yield str(event)
        return
    if str(event.get("event", "")).startswith("::"):
        return  # a fold of the log viewer
    yield f"{event.get('level', '')} {event.get('event', '')}".strip()
    for error in event.get("error_detail") or ():
        frames = error.get("frames") or ()
        yield from (f"  {f['filename']}:{f['lineno']} in {f['name']}" for f in frames[-3:])
        yield f"  {error.get('exc_type')}: {error.get('exc_value')}"


def _end(lines: list[str], most: int) -> str:
    return "\n".join(f"  | {line}" for line in lines[-most:])


def _current(dag: Mapping, root: Path) -> bool:
    """Return whether the last parse began after the last change; its time is that of its end."""
    if dag["is_stale"] or not dag["last_parsed_time"]:
        return False
    took = timedelta(seconds=dag["last_parse_duration"] or 0)
    return datetime.fromisoformat(dag["last_parsed_time"]) - took > _newest(root) + MARGIN


def _newest(root: Path) -> datetime:
    """Return when a file that a DAG can depend on was changed last."""
    folders = [*(root / folder for folder in SOURCES), pipelines_folder()]
    files = (file for folder in folders for file in folder.rglob("*") if file.suffix in _SOURCE_FILES)
    return datetime.fromtimestamp(max((file.stat().st_mtime for file in files), default=0), UTC)
