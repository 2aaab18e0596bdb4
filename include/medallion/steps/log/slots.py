"""Slots that nobody needs, or that keep too much of the log, are dropped: they would fill the source's disk."""

from __future__ import annotations

from include.medallion.bronze.log.slot import MEGABYTE, Slot, drop_slot, find_slot, find_slots
from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.config.connections import Connections
from include.medallion.config.files import pipeline_files, pipeline_name, valid_pipelines
from include.medallion.config.pipeline import Pipeline
from include.medallion.model.log_range import slot_name, slot_prefix
from include.medallion.model.window import Window
from include.medallion.staging.records.log_position import forget_log_position, read_log_position


def describe_slot(pipeline: Pipeline, connections: Connections, window: Window) -> list[str]:
    """Return a line about the pipeline's slot, and how the next run reads; none if there is no slot."""
    if pipeline.source.read != "log":
        return []
    with bronze_connection.connect(connections.bronze, pipeline.source.connection) as connection:
        slot = find_slot(connection, slot_name(pipeline.name, connections.lake.root))
    how = "reads the log" if window.log else "reads by transaction id"
    return [f"slot    {slot.name} keeps {slot.retained:,} bytes of the log; the next run {how}"] if slot else []


def drop_unneeded_slots(pipeline: Pipeline, connections: Connections, *, paused: bool = False) -> list[str]:
    """
    Drop the pipeline's slot if it is not used any more, is paused, or keeps more than `max_slot_lag_mb` of the log.

    Slots of pipelines of this lake whose file is gone are dropped too, if they are on the same server. The next run of
    a pipeline whose slot was dropped reads by transaction id and creates another.

    Args:
        paused: the pipeline does not run, so its slot only grows.

    Returns:
        Names of the slots that were dropped.

    Raises:
        SettingError: the role may not.
        Transient: another session uses a slot.
    """
    lake, source = connections.lake, pipeline.source
    if source.read != "log" and read_log_position(lake, pipeline.name) is None:
        return []
    mine = slot_name(pipeline.name, lake.root)
    with bronze_connection.connect(connections.bronze, source.connection) as connection:
        found = find_slots(connection, slot_prefix(lake.root))
        unused = {slot.name for slot in found if slot.name == mine and (paused or _is_unneeded(pipeline, slot))}
        dropped = sorted(unused | ({slot.name for slot in found} - _slots_of_files(lake.root) - {mine}))
        for name in dropped:
            drop_slot(connection, source, name)
    if mine in dropped or source.read != "log":
        forget_log_position(lake, pipeline.name)
    return dropped


def _is_unneeded(pipeline: Pipeline, slot: Slot) -> bool:
    return pipeline.source.read != "log" or slot.lost or slot.retained > pipeline.source.max_slot_lag_mb * MEGABYTE


def _slots_of_files(lake_root: str) -> set[str]:
    """Return the slots that pipelines may use: those of a file with mistakes too."""
    unused = {pipeline.name for pipeline in valid_pipelines() if pipeline.source.read != "log"}
    return {slot_name(name, lake_root) for name in map(pipeline_name, pipeline_files()) if name not in unused}
