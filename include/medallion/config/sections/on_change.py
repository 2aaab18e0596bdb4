"""The section of a pipeline file about `schedule: on_change`."""

from __future__ import annotations

from pydantic import Field

from include.medallion.config.sections.enrichment import Name, Settings
from include.medallion.config.values.durations import Duration


class OnChange(Settings):
    """What starts a run, with `schedule: on_change`."""

    at_least_every: Duration = Field(
        default="15m",
        description="a run starts at least this often, even if no change was noticed: 90s, 15m, 2h or 1d. Changes that "
        "are noticed late or not at all wait no longer",
    )
    channel: Name | None = Field(
        default=None,
        description="channel of PostgreSQL's NOTIFY on which the source announces changes, if it does; without one "
        "changes are noticed by polling",
    )
