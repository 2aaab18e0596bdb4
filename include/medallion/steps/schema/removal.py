"""Remove what earlier runs kept of columns that are excluded or masked now."""

from __future__ import annotations

from include.medallion.lake.object_store import Lake
from include.medallion.quarantine.table import remove_entries
from include.medallion.staging.removal import finish_removal, remove_batches, scheduled_removal


def remove_old_values(lake: Lake, pipeline: str, held: int) -> str | None:
    """
    Remove scheduled batches and quarantine entries, if every sink holds the batch that replaced their values.

    Args:
        held: the newest batch that every sink holds.

    Returns:
        What was removed, for the run's summary; None if nothing was to be removed.
    """
    before = scheduled_removal(lake, pipeline)
    if before is None or held < before:
        return None
    entries = remove_entries(lake, pipeline, before)
    batches = remove_batches(lake, pipeline, before)
    finish_removal(lake, pipeline)
    return (
        f"earlier values removed from the sinks, {batches:,} staged batches and {entries:,} quarantine entries; older "
        "versions of Delta tables keep them until they are vacuumed, Snowflake until its Time Travel ends"
    )
