"""Parameters of the trigger form."""

from __future__ import annotations

from airflow.sdk import Param

SWITCH = ["boolean", "null"]
"""Type of a switch: without null, the form would mark it as required."""
PARAMS = {
    "full_refresh": Param(
        default=False,
        type=SWITCH,
        title="Full refresh",
        description="Read the whole table again and replace the tables of all sinks.",
    ),
    "max_rows": Param(
        default=None,
        type=["null", "integer"],
        minimum=1,
        title="Trial rows",
        description="Load at most this many rows; the watermark does not advance. Empty: all.",
    ),
    "refresh_lookups": Param(
        default=False,
        type=SWITCH,
        title="Refresh look-ups",
        description="Look up rows of Gold again that are PENDING or expired.",
    ),
    "replay_quarantine": Param(
        default=False,
        type=SWITCH,
        title="Replay quarantine",
        description="Read quarantined rows again from the source; those that are valid now are loaded.",
    ),
    "reload_where": Param(
        default=None,
        type=["null", "string"],
        title="Reload rows where",
        description="SQL condition: the source's rows that meet it are read again and written to all sinks.",
    ),
    "reload_keys": Param(
        default=None,
        type=["null", "string"],
        title="Reload keys",
        description="Values of the first key column, separated by commas, or a range such as 100..200: these rows are "
        "read again and written to all sinks.",
    ),
    "approve_schema_change": Param(
        default=False,
        type=SWITCH,
        title="Approve schema change",
        description="Apply a change of the table's schema that the policy stops, or that reads many rows again.",
    ),
}
