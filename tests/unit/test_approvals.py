"""What a task does with the answer to its question, and how long it waits for one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from sys import path

import pytest

path.insert(0, str(Path(__file__).parents[2] / "plugins"))

from medallion_approvals import AskingOperator

from include.medallion.config.files import approval_time
from include.medallion.errors import SettingError

APPROVAL = {"approve_deletes": 1200}


@pytest.mark.parametrize(
    ("event", "approved"),
    [
        ({"chosen_options": ["Approve deletes: 1,200"]}, 1200),
        ({"chosen_options": ["Approve deletes: 900"]}, False),  # a question of before that Airflow still shows
        ({"chosen_options": ["Reject"]}, False),
        ({"error": "no response", "error_type": "timeout"}, False),
    ],
)
def test_only_the_option_that_names_what_is_approved_approves(event, approved):
    """The function runs again in any case: without the approval it fails with its own message."""
    context = {"params": {"approve_deletes": False}}
    asking = AskingOperator(
        task_id="t", python_callable=lambda: context["params"]["approve_deletes"], op_args=[], op_kwargs={}
    )
    assert asking.execute_complete(context, approval=APPROVAL, event=event) == approved


@pytest.mark.parametrize(("text", "patience"), [(None, None), ("", None), ("24", 24), ("0.5", 0.5)])
def test_the_setting_is_a_number_of_hours(text, patience):
    """Unset or empty: tasks do not ask."""
    found = approval_time({"MEDALLION_APPROVAL_HOURS": text} if text is not None else {})
    assert found == (patience and timedelta(hours=patience))


@pytest.mark.parametrize("text", ["on", "0", "-1", "nan", "inf"])
def test_another_value_is_refused(text):
    """By name, with the fix."""
    with pytest.raises(SettingError, match="MEDALLION_APPROVAL_HOURS must be a number of hours above 0"):
        approval_time({"MEDALLION_APPROVAL_HOURS": text})
