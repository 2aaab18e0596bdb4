"""
When Airflow starts the runs of a pipeline; with `schedule: on_change`, whenever its source changed.

The trigger runs in Airflow's triggerer. It must never end or raise: Airflow would start it again at once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetOrTimeSchedule, AssetWatcher, BaseHook, DeltaTriggerTimetable
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from include.medallion.config.pipeline import Pipeline
from include.medallion.config.values.durations import parse_duration
from include.medallion.errors import MedallionError
from include.medallion.model.log_range import slot_name

if TYPE_CHECKING:
    from include.medallion.bronze.watch.watcher import Watcher

SECONDS_TO_RETRY, MAX_SECONDS_TO_RETRY = 1, 60


def changes(pipeline: Pipeline) -> Asset:
    """Return the asset that has an event whenever the source of a pipeline changed."""
    source = pipeline.source
    trigger = SourceChanged(
        pipeline=pipeline.name,
        read=source.read,
        connection=source.connection,
        schema=source.schema_,
        table=source.table,
        publication=source.publication_name,
        channel=pipeline.on_change.channel or "",
    )
    return Asset(f"changes_{pipeline.name}", watchers=[AssetWatcher(f"changes_{pipeline.name}", trigger)])


def on_change(pipeline: Pipeline) -> AssetOrTimeSchedule:
    """Return the schedule of a pipeline that runs whenever its source changed, and from time to time."""
    safety_net = DeltaTriggerTimetable(parse_duration(pipeline.on_change.at_least_every))
    return AssetOrTimeSchedule(timetable=safety_net, assets=[changes(pipeline)])


class SourceChanged(BaseEventTrigger):
    """
    Fires when a run of a pipeline has to start.

    Args:
        settings: of the pipeline, as `changes` gives them.
    """

    def __init__(self, **settings: str) -> None:
        super().__init__()
        self.settings = settings

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer makes the same trigger of."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self.settings

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each run that has to start; a lost connection is opened again."""
        watcher, seconds = None, SECONDS_TO_RETRY
        while True:
            try:
                watcher = watcher or self._watcher()
                async for reason in watcher.reasons(await self._uri()):
                    seconds = SECONDS_TO_RETRY
                    yield TriggerEvent({"reason": reason})
            except MedallionError as e:
                self.log.warning("the source of pipeline %s is not watched: %s", self.settings["pipeline"], e)
            except Exception as e:  # noqa: BLE001 (see above; the message may quote a connection)
                self.log.warning("the source of pipeline %s is not watched: %s", self.settings["pipeline"], type(e))
            await asyncio.sleep(seconds)
            seconds = min(seconds * 2, MAX_SECONDS_TO_RETRY)

    def _watcher(self) -> Watcher:
        from include.medallion.bronze.watch.watcher import Watched, Watcher
        from include.medallion.lake.root_uri import check_root

        names = ("connection", "schema", "table", "publication", "channel")
        is_logged = self.settings["read"] == "log"
        slot = slot_name(self.settings["pipeline"], check_root(os.environ.get("AWS_URI"))) if is_logged else ""
        return Watcher(Watched(**{name: self.settings[name] for name in names}, slot=slot))

    async def _uri(self) -> str:
        from include.medallion.config.connection_info import ConnectionInfo, libpq_uri

        c = await BaseHook.aget_connection(self.settings["connection"])
        return libpq_uri(ConnectionInfo(c.host, c.port, c.login, c.password, c.schema, c.extra_dejson))
