"""All servers together: up, down, and whether they run."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from include.sandbox import airflow, postgres, processes, s3, settings, snowflake
from include.sandbox import rows as sample
from include.sandbox.errors import SandboxError
from include.sandbox.postgres import Postgres
from include.sandbox.processes import Daemon
from include.sandbox.settings import Servers

ROOT = Path(__file__).parents[2]
STATE = ROOT / ".sandbox"
SERVERS = ("postgres-bronze", s3.NAME, snowflake.NAME)
AIRFLOW = ("postgres-airflow", *(f"airflow-{component}" for component in airflow.COMPONENTS))
Say = Callable[[str], None]


def up(state: Path, say: Say, rows: int, extra: dict[str, str] | None = None) -> dict[str, str]:
    """
    Start what does not run yet and return all settings.

    Args:
        state: folder of the sandbox.
        say: is called with each line of progress.
        rows: minimum number of sample employees in Bronze.
        extra: settings that override the others.
    """
    say("starting Postgres, S3 and the Snowflake stand-in")
    metadata = _cluster(state, "airflow")
    with ThreadPoolExecutor() as pool:
        started = pool.submit(_start_servers, state, say, rows)
        base = airflow.settings(state, metadata) | (extra or {})
        prepared = pool.submit(airflow.prepare, base, metadata)
        all_settings = settings.of(started.result(), base) | (extra or {})
        _let_go(state, all_settings, say)
        settings.write(state, all_settings)
        prepared.result()
    say("starting Airflow: api-server, scheduler, dag-processor, triggerer")
    airflow.start(state, all_settings)
    return all_settings


def serve(state: Path, say: Say, rows: int) -> dict[str, str]:
    """Start source and sinks without Airflow and return the settings; those of an Airflow that runs are kept."""
    say("starting Postgres, S3 and the Snowflake stand-in")
    started = _start_servers(state, say, rows)
    if airflow.running(state):
        return settings.read(state)
    chosen = settings.of(started, {"PYTHONPATH": str(ROOT)})
    settings.write(state, chosen)
    return chosen


def servers(state: Path) -> Servers:
    """
    Return the running servers of a sandbox.

    Raises:
        SandboxError: not all of them run.
    """
    _require(state, SERVERS, "make servers` or `make up")
    return Servers(postgres.start(state, "bronze"), s3.start(state), snowflake.start(state))


def require_airflow(state: Path) -> None:
    """
    Check that the servers and Airflow run.

    Raises:
        SandboxError: not all of them run.
    """
    _require(state, (*SERVERS, *AIRFLOW), "make up")


def truth(state: Path) -> Path:
    """Return the folder of the sample's true coordinates."""
    return state / "truth"


def down(state: Path, say: Say, keep: Collection[str] = ()) -> None:
    """Stop all processes but those named in `keep`; the data stays."""
    if keep and not {name for name, alive in running(state).items() if alive} - set(keep):
        return
    say("stopping what was started" if keep else "stopping the sandbox")
    if not set(AIRFLOW) & set(keep):
        airflow.stop(state)
    stops = {
        "postgres-bronze": partial(postgres.stop, state, "bronze"),
        "postgres-airflow": partial(postgres.stop, state, "airflow"),
        s3.NAME: partial(s3.stop, state),
        snowflake.NAME: partial(snowflake.stop, state),
    }
    with ThreadPoolExecutor() as pool:
        for stopped in [pool.submit(stop) for name, stop in stops.items() if name not in keep]:
            stopped.result()


def running(state: Path) -> dict[str, bool]:
    """Return for each process of the sandbox whether it runs."""
    return {name: processes.running(Daemon(state, name)) is not None for name in (*SERVERS, *AIRFLOW)}


def slots(state: Path) -> list[str]:
    """Return a line for each replication slot of the sandbox's Bronze, if that runs: the slots of `read: log`."""
    if not running(state)["postgres-bronze"]:
        return []
    server = postgres.start(state, "bronze")
    return [f"slot {name} keeps {kept:,} bytes of the log" for name, kept in postgres.kept_by_slots(server).items()]


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """
    Hold the sandbox for one command that starts or stops it.

    Raises:
        SandboxError: another command holds it.
    """
    state.mkdir(parents=True, exist_ok=True)
    with (state / "command.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SandboxError("another `make demo` or `make up` of this clone is at work") from None
        yield


def _start_servers(state: Path, say: Say, rows: int) -> Servers:
    """Start source and sinks, and load the sample rows."""
    bronze = _cluster(state, "bronze")
    with ThreadPoolExecutor() as pool:
        lake, silver = pool.submit(s3.start, state), pool.submit(snowflake.start, state)
        say(f"Bronze: {sample.load(bronze, 'bronze', rows, truth(state)):,} sample rows added")
        return Servers(bronze, lake.result(), silver.result())


def _cluster(state: Path, name: str) -> Postgres:
    """Start one of two clusters: Airflow's chatter must not move the transaction ids of Bronze."""
    server = postgres.start(state, name)
    postgres.create_database(server, name)
    return server


def _require(state: Path, names: Collection[str], command: str) -> None:
    alive = running(state)
    if dead := [name for name in names if not alive[name]]:
        raise SandboxError(f"the sandbox is not up ({', '.join(dead)}): run `{command}` first")


def _let_go(state: Path, fresh: dict[str, str], say: Say) -> None:
    """Stop an Airflow that runs with other settings than those of now."""
    if airflow.running(state) and settings.read(state) != fresh:
        say("settings changed: restarting Airflow")
        airflow.stop(state)
