"""
Show the page of pipelines in Airflow's UI: in the navigation, and in a tab of each DAG and run.

Every component loads plugins, so this one imports nothing: the page's application is imported in the api-server, by the
first request to it, after the server has started its workers.
"""

from __future__ import annotations

from asyncio import to_thread
from importlib import import_module
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

PREFIX, NAME = "/medallion", "Medallion"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Hand a request to the page's application (ASGI)."""
    module = await to_thread(import_module, "include.ui.app")
    await module.app(scope, receive, send)


def external_view(destination: str, route: str, query: str = "", **more: str) -> dict[str, Any]:
    """Return where Airflow's UI shows the page."""
    href = f"{PREFIX}/view{query}"
    return {"name": NAME, "href": href, "destination": destination, "url_route": route, **more}


class MedallionPagePlugin(AirflowPlugin):
    """Register the page."""

    name = "medallion_page"
    external_views: ClassVar[list[dict[str, Any]]] = [
        external_view("nav", "medallion", category="browse"),
        external_view("dag", "medallion-dag", "?dag_id={DAG_ID}"),
        external_view("dag_run", "medallion-run", "?dag_id={DAG_ID}&run_id={RUN_ID}"),
    ]
    fastapi_apps: ClassVar[list[dict[str, Any]]] = [{"app": application, "url_prefix": PREFIX, "name": NAME.lower()}]
