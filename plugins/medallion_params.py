"""The form of a manual trigger."""

from __future__ import annotations

from airflow.sdk import Param

PARAMS = {
    "full_refresh": Param(
        default=False,
        type="boolean",
        title="Full refresh",
        description="Read the whole table again and replace both sinks.",
    ),
    "max_rows": Param(
        default=None,
        type=["null", "integer"],
        minimum=1,
        title="Trial rows",
        description="Load at most so many rows and leave the watermark. Empty: all.",
    ),
    "refresh_lookups": Param(
        default=False,
        type="boolean",
        title="Refresh look-ups",
        description="Ask anew for PENDING and too old answers of the rows in Gold.",
    ),
    "replay_quarantine": Param(
        default=False,
        type="boolean",
        title="Replay quarantine",
        description="Read the rows in quarantine again; those that are good now arrive.",
    ),
}
