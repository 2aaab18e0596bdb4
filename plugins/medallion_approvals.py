"""
Tasks that ask a person in Airflow, where something needs an approval, in place of failing.

`MEDALLION_APPROVAL_HOURS` turns it on: the task waits so long, without a worker, for an answer under *Required
Actions*. An approval covers what was asked and no more: it is tied to the option that was chosen, which names it.
Without an approval the task runs once more, and fails as it does without the setting.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NoReturn

from airflow.providers.standard.decorators.python import _PythonDecoratedOperator
from airflow.sdk.bases.decorator import task_decorator_factory
from medallion_defaults import REPORT

from include.medallion.config.files import approval_time
from include.medallion.errors import NeedsApproval

log = logging.getLogger("airflow.task.medallion")
REJECT = "Reject"
LONGEST_OPTION = 200


class AskingOperator(_PythonDecoratedOperator):
    """Runs a function as `@task` does; if it needs an approval, the task waits for one."""

    def execute(self, context: Any) -> Any:
        """Run the function."""
        try:
            return super().execute(context)
        except NeedsApproval as error:
            patience = approval_time(os.environ)
            if not (patience and error.approval):
                raise
            self._ask(context, error, patience)

    def execute_complete(self, context: Any, approval: dict[str, int | str], event: Mapping[str, Any]) -> Any:
        """Run the function again after an answer or a timeout."""
        chosen = event.get("chosen_options", [])
        log.info("answer: %s, of %s", chosen or event.get("error"), event.get("responded_by_user"))
        if chosen == [_option(approval)]:
            context["params"] = {**context["params"], **approval}
        return super().execute(context)

    def _ask(self, context: Any, error: NeedsApproval, patience: timedelta) -> NoReturn:
        from airflow.sdk.exceptions import TaskAwaitingInput
        from airflow.sdk.execution_time.hitl import upsert_hitl_detail

        log.info("::endgroup::")  # of the failure
        log.warning("waiting for an approval until %s UTC: %s", f"{datetime.now(UTC) + patience:%Y-%m-%d %H:%M}", error)
        REPORT.notify({**context, "exception": error})
        upsert_hitl_detail(
            ti_id=context["ti"].id,
            subject=f"Medallion: {context['ti'].dag_id} {context['ti'].task_id} asks",
            body=f"{error}.\n\nAn approval covers this and no more. If it is rejected, the task fails.",
            options=[_option(error.approval), REJECT],
            params={},
        )
        raise TaskAwaitingInput(method_name="execute_complete", kwargs={"approval": error.approval}, timeout=patience)


def _option(approval: Mapping[str, int | str]) -> str:
    """Return the option that approves: it names the parameters, and with them what the approval covers."""
    values = (f"{value:,}" if isinstance(value, int) else value for value in approval.values())
    words = (f"{name.replace('_', ' ').capitalize()}: {value}" for name, value in zip(approval, values, strict=True))
    return ", ".join(words)[:LONGEST_OPTION]


asking_task = partial(task_decorator_factory, decorated_operator_class=AskingOperator)
"""In place of `@task`, with parentheses, for a function that may need an approval."""
