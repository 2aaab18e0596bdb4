"""Measure what a kill costs a first load: `extract` is killed, and the DAG nevertheless brings every row."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import typer
from deltalake import DeltaTable
from pyarrow import fs

from benchmarks.harness import equality
from benchmarks.harness.deployment import Deployment, deployed, kill_task, run
from benchmarks.harness.options import Rows
from benchmarks.harness.results import Question, keep
from include.medallion.bronze.checkpoint import Checkpoint
from include.medallion.lake.object_store import Lake, filesystem
from include.medallion.staging.records.documents import read_document

NAME = "employees_0"
SECONDS_TO_WAIT = 600


@dataclass
class Killed:
    """What was staged when the task was killed."""

    seconds: float = 0.0  # since the run began
    chunks: int = 0
    done: list[int] = field(default_factory=list)
    files: dict[str, object] = field(default_factory=dict)  # of the chunks that were done: when each was written


def main(
    rows: Rows = 1_000_000,
    share: Annotated[float, typer.Option(min=0, max=1, help="of the chunks staged at the kill")] = 0.6,
) -> None:
    """Load a table through the real Airflow, kill `extract` on its way, and compare the result with the source."""
    killed = Killed()
    with deployed(rows, 1) as there:
        lake = Lake(there.settings["AWS_URI"], there.servers.lake.options)
        found = run(there, NAME, partial(_kill, there, lake, share, killed))
        if found["tries"]["extract"] < 2:
            raise RuntimeError("the kill came after extract had ended: use more rows or a smaller --share")
        kept = [key for key, moment in killed.files.items() if _moment(lake, key) == moment]
        columns, truth = equality.of_source(there.servers)
        table = DeltaTable(lake.table(NAME), storage_options=dict(lake.options))
        equal = equality.of_gold(table, columns) == truth
    about = {"run": found, "chunks": killed.chunks, "done": len(killed.done), "kept": len(kept), "equal": equal}
    keep(Question.KILLED_EXTRACT, rows, about, _table(rows, found, killed, kept, equal))


def _kill(there: Deployment, lake: Lake, share: float, killed: Killed) -> None:
    """Wait until a share of the chunks is staged, and kill the task."""
    begun, deadline = time.perf_counter(), time.monotonic() + SECONDS_TO_WAIT
    while not (reached := _reached(lake)) or len(reached.files) < share * reached.layout.chunks:
        if time.monotonic() > deadline:
            raise RuntimeError("extract did not come that far: a table of one chunk (128 MB) writes no checkpoint")
        time.sleep(0.02)
    kill_task(there)
    killed.seconds, killed.chunks = time.perf_counter() - begun, reached.layout.chunks
    killed.done = sorted(reached.files)
    ends = tuple(f"-{chunk:04d}.parquet" for chunk in killed.done)
    killed.files = {key: _moment(lake, key) for key in _staged(lake) if key.endswith(ends)}


def _reached(lake: Lake) -> Checkpoint | None:
    found = [key for key in _staged(lake) if key.endswith("checkpoint.json")]
    return read_document(lake, found[0], Checkpoint) if found else None


def _staged(lake: Lake) -> list[str]:
    folder = fs.FileSelector(lake.path(f"_staging/{NAME}"), allow_not_found=True, recursive=True)
    return [file.path.removeprefix(lake.path("")) for file in filesystem(lake).get_file_info(folder)]


def _moment(lake: Lake, key: str) -> object:
    return filesystem(lake).get_file_info(lake.path(key)).mtime


def _table(rows: int, found: dict, killed: Killed, kept: list[str], equal: bool) -> str:
    tries = ", ".join(f"{task} {number}" for task, number in found["tries"].items() if number > 1)
    seconds = ", ".join(f"{task} {taken:.1f}" for task, taken in found["tasks"].items())
    lines = [
        f"### killed extract: rows {rows:,}",
        "",
        "| | |",
        "|---|--:|",
        f"| killed (SIGKILL) after | {killed.seconds:.1f} s, {len(killed.done)} of {killed.chunks} chunks staged |",
        f"| files of these chunks that the retry left as they were | {len(kept)} of {len(killed.files)} |",
        f"| the whole run, with the pause before the retry | {found['wall']:.0f} s |",
        f"| memory of all task processes together, at most | {found['peak_mb']:,.0f} MB |",
        f"| Gold equals the source, row by row | {'yes' if equal else 'NO'} |",
        "",
        f"Tries: {tries}. Seconds in each task (its last try): {seconds}",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
