"""What every command of the shell does: open the pipeline, and print a failure in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from include.medallion.errors import MedallionError, Refused
from include.medallion.redaction.library_errors import redact_library_errors

if TYPE_CHECKING:
    from include.medallion.config.connections import Connections
    from include.medallion.config.pipeline import Pipeline
    from include.medallion.model.window import Window

TEMPORARY_FAILURE = 75  # sysexits.h: try again later


@contextmanager
def opened(name: str) -> Iterator[tuple[Pipeline, Connections]]:
    """
    Open a pipeline's connections for a command; a failure in it is printed in one line.

    Raises:
        typer.Exit: 1 if a person must act, 75 if a retry may help.
    """
    from include.medallion.config.checks.validation import find_checked_pipeline
    from include.medallion.config.connections import open_connections
    from include.medallion.ops.shell.pandas_import import spare_pandas

    with failures_in_one_line(), redact_library_errors():
        pipeline = find_checked_pipeline(name)
        spare_pandas(pipeline)
        yield pipeline, open_connections(pipeline, os.environ)


@contextmanager
def opened_batch(name: str, batch_id: int) -> Iterator[tuple[Pipeline, Connections, Window]]:
    """Open a pipeline's connections as `opened` does, and read the window of a staged batch."""
    from include.medallion.staging.archive import read_window

    with opened(name) as (pipeline, connections):
        yield pipeline, connections, read_window(connections.lake, name, batch_id)


@contextmanager
def failures_in_one_line() -> Iterator[None]:
    """Print a failure in one line: exit 1 if a person must act, 75 if a retry may help. Imports are done by then."""
    from include.medallion.ops.shell.quick_start import end_imports

    end_imports()
    try:
        yield
    except MedallionError as e:
        print(f"{type(e).__name__}: {e}", file=sys.stderr)
        raise typer.Exit(1 if isinstance(e, Refused) else TEMPORARY_FAILURE) from None
