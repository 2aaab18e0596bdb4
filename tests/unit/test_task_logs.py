"""A failed task's log ends with the reason, and what Airflow logs of the failure is folded."""

from __future__ import annotations

import logging

import pytest
from medallion_logs import log_reason, readable_failures

from include.medallion.errors import SettingError, Unforeseen


@pytest.fixture
def lines(caplog):
    """Return a function that gives the lines logged so far, with their level."""
    caplog.set_level(logging.INFO, "airflow.task.medallion")
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_failure_opens_a_group_for_the_frames(lines):
    """What Airflow logs next, a page of frames, belongs to a group that is closed at first."""
    with pytest.raises(SettingError, match="no such table"), readable_failures():
        raise SettingError("no such table")
    assert lines() == [("INFO", "::group::where it failed")]


def test_an_error_of_a_library_is_redacted_as_before(lines):
    """Quoted values do not pass."""
    with pytest.raises(Unforeseen) as raised, readable_failures():
        raise ValueError("no row 'Smith'")
    assert "Smith" not in str(raised.value)


def test_the_reason_is_the_end_of_the_log(lines):
    """The callback closes Airflow's group and ours, and says the reason in one sentence."""
    log_reason({"exception": SettingError("AWS_URI is not set")})
    assert lines() == [*[("INFO", "::endgroup::")] * 2, ("ERROR", "SettingError: AWS_URI is not set")]


def test_a_foreign_reason_is_redacted(lines):
    """An exception that no block of ours has seen is described without quoted values."""
    log_reason({"exception": ValueError("no row 'Smith'")})
    assert "Smith" not in lines()[-1][1]
    assert lines()[-1][1].startswith("builtins.ValueError")


def test_a_killed_process_has_no_reason(lines):
    """A callback without an exception, in another process than the task's, says nothing."""
    log_reason({})
    assert lines() == []
