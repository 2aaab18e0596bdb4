"""What the shell's commands `init` and `plan` do besides their work: print it, and choose the exit code."""

from __future__ import annotations

import os

import typer

from include.medallion.config.files import pipelines_folder
from include.medallion.onboarding.init import Order, init
from include.medallion.ops.command import failures_in_one_line
from include.medallion.redaction.library_errors import redact_library_errors


def write_pipeline_files(pattern: str, connection: str, name: str, *, force: bool) -> list[str]:
    """
    Write a pipeline file for each table that a pattern names, and print what was found.

    Returns:
        The names of the pipelines that were written, at least one.

    Raises:
        typer.Exit: 1 if none was written or a person must act, 75 if a retry may help.
    """
    written = []
    with failures_in_one_line(), redact_library_errors():
        for outcome in init(pattern, Order(connection, pipelines_folder(), force, name), os.environ):
            print(*outcome.lines, sep="\n", flush=True)
            written += [outcome.pipeline] if outcome.pipeline else []
    if not written:
        raise typer.Exit(1)
    return written
