"""Schedules: a preset of Airflow's, a cron expression, whenever the source changed, or none."""

from __future__ import annotations

from datetime import UTC, datetime

MANUAL = "manual"
ON_CHANGE = "on_change"
_PRESETS = frozenset(
    {"@once", "@continuous", "@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly", MANUAL, ON_CHANGE}
)
"""What Airflow knows besides cron expressions (airflow.sdk.definitions.timetables), and our own words."""


def check_schedule(schedule: str) -> str:
    """
    Return a schedule that Airflow accepts and that comes due some time.

    Raises:
        ValueError: it is neither a preset nor a cron expression, or names a date that never occurs.
    """
    if schedule in _PRESETS:
        return schedule
    from croniter import croniter  # noqa: PLC0415 (Airflow parses cron expressions with it; presets need no library)

    try:
        croniter(schedule, datetime.now(UTC)).get_next()
    except (ValueError, ArithmeticError, LookupError, TypeError):
        raise ValueError(
            f"{schedule!r} is no schedule that Airflow accepts: write a cron expression of five fields, e.g. "
            f'"*/5 * * * *", or one of {", ".join(sorted(_PRESETS))}'
        ) from None
    return schedule
