"""
What the Delta log says of batches: the position of the table, and the lines of a commit that name its batch.

Four transaction lines of the Delta protocol
(https://github.com/delta-io/delta/blob/master/PROTOCOL.md#transaction-identifiers) say what the table holds: the newest
batch, the newest batch of this source, the transaction id up to which it holds the source, and the fingerprint of the
schema that it has. delta-rs records them
but lets a replay through, so they are read before every commit; two writers of the same line conflict, and the second
reads them again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import DeltaError

from include.medallion.config.pipeline import Pipeline
from include.medallion.gold.restored import find_restored, newest_lines
from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake
from include.medallion.model.window import Position, Window

SINK = "gold"


def read_position(lake: Lake, pipeline: Pipeline, table: DeltaTable, source: str) -> Position | None:
    """
    Return what an opened table holds: None for nothing, or a position of another source.

    A table that was restored to an older version holds what that version did, whatever its transaction lines say. One
    whose rows another program replaced holds nothing that can be relied on: its position begins at transaction 0.
    """
    lines = newest_lines(lake, pipeline.gold_table, table)
    if _line(pipeline.name) in lines:  # nothing was written after the batch; deltalake reads the log for each line
        return _named_position(lines.get, pipeline.name, source)
    position = _named_position(table.transaction_version, pipeline.name, source)
    restored = find_restored(lake, pipeline.gold_table, table) if position else None
    if position is None or restored is None:
        return position
    nothing = replace(position, upto=0)
    if restored.version is None:
        return nothing
    try:
        older = delta.at_version(lake, pipeline.gold_table, restored.version)
    except DeltaError:  # that version's log was cleaned up
        return nothing
    return _named_position(older.transaction_version, pipeline.name, source)


def _named_position(line: Callable[[str], int | None], pipeline: str, source: str) -> Position | None:
    newest = line(_line(pipeline))
    if newest is None:
        return None
    upto = line(_line(pipeline, source, "upto"))
    if upto is None or line(_line(pipeline, source)) != newest:
        return Position("another source", 0, newest)
    return Position(source, upto, newest, line(_line(pipeline, "schema")) or 0)


def names_batch(table: DeltaTable, window: Window) -> bool:
    """Return whether the log names this batch or a newer one."""
    return (table.transaction_version(_line(window.pipeline)) or 0) >= window.batch_id


def commit_properties(window: Window) -> CommitProperties:
    """
    Return what a commit says of its batch. One that does not advance the watermark leaves no transaction line.

    A lost race must be decided again on the refreshed table, so delta-rs's own retries are off.
    """
    lines = [
        Transaction(_line(window.pipeline), window.batch_id),
        Transaction(_line(window.pipeline, window.source), window.batch_id),
        Transaction(_line(window.pipeline, window.source, "upto"), window.upto),
        Transaction(_line(window.pipeline, "schema"), window.schema),
    ]
    about = {"medallion.batch": str(window.batch_id), "medallion.mode": str(window.mode)}
    return CommitProperties(
        about, max_commit_retries=0, app_transactions=lines if window.mode.advances_watermark else []
    )


def withdraw_properties(window: Window) -> CommitProperties:
    """Return what the commit says that withdraws rows before a batch is applied: it leaves no transaction line."""
    about = {"medallion.batch": str(window.batch_id), "medallion.mode": "withdraw"}
    return CommitProperties(about, max_commit_retries=0)


def _line(*names: str) -> str:
    return "/".join(("medallion", *names))
