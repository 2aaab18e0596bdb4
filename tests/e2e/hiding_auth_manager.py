"""An auth manager of Airflow's with permissions for each DAG: `outsider` may not see the DAG of people."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

HIDDEN_FROM_OUTSIDER = "medallion_people"


class HidingAuthManager(SimpleAuthManager):
    """Airflow's simple one, which knows roles only, with one exception."""

    def is_authorized_dag(self, *, user: Any, details: Any = None, **how: Any) -> bool:
        """Decide as the simple one does, but hide one DAG from one user."""
        hidden = details is not None and details.id == HIDDEN_FROM_OUTSIDER and user.username == "outsider"
        return not hidden and super().is_authorized_dag(user=user, details=details, **how)
