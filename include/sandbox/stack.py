"""All servers together: up, down, and whether they run."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from include.sandbox import airflow, postgres, processes, s3, settings, snowflake
from include.sandbox import rows as sample
from include.sandbox.errors import SandboxError
from include.sandbox.postgres import Postgres
from include.sandbox.processes import Daemon
from include.sandbox.settings import Servers

ROOT = Path(__file__).parents[2]
STATE = ROOT / ".sandbox"
DAEMONS = ("postgres-bronze", "postgres-airflow", s3.NAME, snowflake.NAME)
Say = Callable[[str], None]


def up(state: Path, say: Say, rows: int, extra: dict[str, str] | None = None) -> dict[str, str]:
    """
    Start what does not run yet and return all settings.

    Args:
        state: folder of the sandbox.
        say: is told what happens, a line at a time.
        rows: how many sample employees Bronze shall hold at least.
        extra: settings to set over the others.
    """
    say("starting Postgres, S3 and the Snowflake stand-in")
    bronze, metadata = (_cluster(state, name) for name in ("bronze", "airflow"))
    with ThreadPoolExecutor() as pool:
        lake, silver = pool.submit(s3.start, state), pool.submit(snowflake.start, state)
        base = airflow.settings(state, metadata) | (extra or {})
        prepared = pool.submit(airflow.prepare, base, metadata)
        filled = pool.submit(sample.load, bronze, "bronze", rows, truth(state))
        all_settings = settings.of(Servers(bronze, lake.result(), silver.result()), base) | (extra or {})
        _let_go(state, all_settings, say)
        settings.write(state, all_settings)
        prepared.result()
        say(f"Bronze: {filled.result()} sample rows added")
    say("starting Airflow: api-server, scheduler, dag-processor, triggerer")
    airflow.start(state, all_settings)
    return all_settings


def servers(state: Path) -> Servers:
    """
    Return the servers of a sandbox that runs.

    Raises:
        SandboxError: it does not run, or not all of it.
    """
    if dead := [name for name, alive in running(state).items() if not alive]:
        raise SandboxError(f"the sandbox is not up ({', '.join(dead)}): run `make up` first")
    return Servers(postgres.start(state, "bronze"), s3.start(state), snowflake.start(state))


def truth(state: Path) -> Path:
    """Return the folder of the sample's true coordinates."""
    return state / "truth"


def down(state: Path, say: Say) -> None:
    """Stop everything; the data stays."""
    say("stopping the sandbox")
    airflow.stop(state)
    with ThreadPoolExecutor() as pool:
        stops = [pool.submit(s3.stop, state), pool.submit(snowflake.stop, state)]
        stops += [pool.submit(postgres.stop, state, name) for name in ("bronze", "airflow")]
        for stop in stops:
            stop.result()


def running(state: Path) -> dict[str, bool]:
    """Tell of each process of the sandbox whether it runs."""
    names = (*DAEMONS, *(f"airflow-{component}" for component in airflow.COMPONENTS))
    return {name: processes.running(Daemon(state, name)) is not None for name in names}


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


def _cluster(state: Path, name: str) -> Postgres:
    """Start one of two clusters: Airflow's chatter must not move the transaction ids of Bronze."""
    server = postgres.start(state, name)
    postgres.create_database(server, name)
    return server


def _let_go(state: Path, fresh: dict[str, str], say: Say) -> None:
    """Stop an Airflow that runs with other settings than those of now."""
    if airflow.running(state) and settings.read(state) != fresh:
        say("settings changed: restarting Airflow")
        airflow.stop(state)
