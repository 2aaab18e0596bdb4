"""
An extract in a process that is killed on its way, as if its machine had died.

    python -m tests.integration.kill_extract < ARGUMENTS

The arguments are a JSON object: the pipeline, how to reach source and lake, the window, and the number of chunks after
which the process is killed.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

from pydantic import TypeAdapter

from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.lake.object_store import open_lake
from include.medallion.model.window import Window
from include.medallion.steps.extract import extract

ROOT = Path(__file__).parents[2]
WINDOW = TypeAdapter(Window)


class KillAfter(logging.Handler):
    """Kills its process when the log says that so many chunks are staged."""

    def __init__(self, chunks: int) -> None:
        super().__init__()
        self.chunks = chunks

    def emit(self, record: logging.LogRecord) -> None:
        """Look at the number of chunks, the first of the record's arguments."""
        if isinstance(record.args, tuple) and record.args and record.args[0] == self.chunks:
            os.kill(os.getpid(), signal.SIGKILL)


def kill_extract(table, window, after):
    """Run `extract` for a `OneTable` in a process of its own that is killed when `after` chunks are staged."""
    lake = table.connections.lake
    arguments = {
        "pipeline": table.pipeline.model_dump_json(by_alias=True),
        "dsn": table.dsn,
        "lake": [lake.root, dict(lake.options)],
        "window": WINDOW.dump_python(window, mode="json"),
        "after": after,
    }
    command = [sys.executable, "-m", "tests.integration.kill_extract"]
    ended = subprocess.run(command, input=json.dumps(arguments), text=True, cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL


def main() -> None:
    """Run `extract` until the process is killed."""
    arguments = json.load(sys.stdin)
    log = logging.getLogger("include.medallion.bronze.extract")
    log.addHandler(KillAfter(arguments["after"]))
    log.setLevel("INFO")
    pipeline = Pipeline.model_validate_json(arguments["pipeline"])
    connections = Connections(arguments["dsn"], None, open_lake(*arguments["lake"]), {})
    extract(pipeline, connections, WINDOW.validate_python(arguments["window"]))


if __name__ == "__main__":
    main()
