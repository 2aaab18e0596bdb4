"""
The page's HTTP API and its static files, mounted at /medallion by plugins/medallion_page.py.

Every request needs a login of Airflow's. A user sees the pipelines whose DAG he may read; rows of Gold need the right
to trigger the DAG, too, and `MEDALLION_PAGE_DATA=on`. No request waits for the lake longer than a few seconds.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag, requires_access_view
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from medallion_connections import lake

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError
from include.medallion.page import rows as gold_rows
from include.medallion.page.background import Background
from include.medallion.page.details import details
from include.medallion.page.overview import dag_id, overview
from include.medallion.page.pipelines import load_pipelines
from include.medallion.page.snapshot import Snapshot, read_snapshot
from include.ui.airflow_runs import dag_states

STATIC = Path(__file__).parent / "static"
MAX_AGE, FIRST_WAIT, ROWS_WAIT = 15.0, 5.0, 20.0
"""Seconds: age of what is shown; wait for the very first reading; wait for rows of Gold."""
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'self'; base-uri 'none'; object-src 'none'"
)

app = FastAPI(
    title="Medallion",
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
    dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
)
app.mount("/static", StaticFiles(directory=STATIC), name="static")


def _read(previous: Snapshot | None) -> Snapshot:
    load_pipelines()  # 200 files take a second the first time
    return read_snapshot(lake(), previous)


SNAPSHOTS = Background(_read, MAX_AGE)


@lru_cache(1)
def _pool() -> ThreadPoolExecutor:
    """Return the threads that read rows of Gold: a lake that hangs takes these, and no others."""
    return ThreadPoolExecutor(2, thread_name_prefix="medallion-rows")


def find_pipeline(dag_id: str) -> Pipeline:
    """Return the pipeline of a DAG, or answer 404: also where its file is broken."""
    found = load_pipelines().get(dag_id.removeprefix("medallion_"))
    if not isinstance(found, Pipeline) or not dag_id.startswith("medallion_"):
        raise HTTPException(404, str(found) if found else f"{dag_id} is no pipeline of Medallion's")
    return found


def visible_rows(pipeline: Annotated[Pipeline, Depends(find_pipeline)]) -> Pipeline:
    """Return the pipeline, or answer 403: the page does not show rows."""
    try:
        shown = gold_rows.shows_data(os.environ)
    except SettingError as e:
        raise HTTPException(500, str(e)) from None
    if not shown:
        raise HTTPException(403, f"rows are off: set {gold_rows.SETTING}=on where the api-server runs")
    return pipeline


PipelineDep = Annotated[Pipeline, Depends(find_pipeline)]
RowsDep = Annotated[Pipeline, Depends(visible_rows)]
READS_RUNS = Depends(requires_access_dag("GET", DagAccessEntity.RUN))
TRIGGERS_RUNS = Depends(requires_access_dag("POST", DagAccessEntity.RUN))


@app.middleware("http")
async def add_headers(request: Request, call_next: Any) -> Response:
    """Let the page load nothing from elsewhere, and no other site embed it."""
    response: Response = await call_next(request)
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    if "/api/" in request.url.path:
        response.headers["Cache-Control"] = "no-store"
    return response


@app.get("/view")
def view() -> FileResponse:
    """Return the page, which reads the API below; what that needs is read while the browser loads scripts."""
    SNAPSHOTS.newest(0)
    return FileResponse(STATIC / "index.html")


@app.get("/api/overview")
def read_overview(user: GetUserDep, session: SessionDep) -> dict:
    """Return a line for each pipeline that the user may see."""
    now, pipelines = datetime.now(UTC), load_pipelines()
    snapshot, problem = _snapshot()
    readable = get_auth_manager().get_authorized_dag_ids(user=user, method="GET", session=session)
    states = dag_states(session, readable & {dag_id(name) for name in pipelines}, now)
    lines = overview(snapshot, pipelines, states, os.environ, now)
    return {"pipelines": lines, "as_of": snapshot.as_of, "problem": problem}


@app.get("/api/dags/{dag_id}", dependencies=[READS_RUNS])
def read_pipeline(dag_id: str, pipeline: PipelineDep, user: GetUserDep, session: SessionDep) -> dict:
    """Return what the page of a pipeline shows."""
    snapshot, problem = _snapshot()
    now = datetime.now(UTC)
    (line,) = overview(snapshot, {pipeline.name: pipeline}, dag_states(session, [dag_id], now), os.environ, now)
    may_trigger = get_auth_manager().is_authorized_dag(
        method="POST", access_entity=DagAccessEntity.RUN, details=DagDetails(id=dag_id), user=user
    )
    facts = {"may_trigger": may_trigger, "data": gold_rows.shows_data(os.environ) and may_trigger}
    return {**details(snapshot, pipeline), **facts, "line": line, "as_of": snapshot.as_of, "problem": problem}


@app.get("/api/dags/{dag_id}/rows", dependencies=[READS_RUNS, TRIGGERS_RUNS])  # noqa: FAST003 (`find_pipeline` takes it)
def read_rows(pipeline: RowsDep) -> dict:
    """Return some rows of Gold."""
    return _bounded(gold_rows.preview, pipeline)


@app.get("/api/dags/{dag_id}/map", dependencies=[READS_RUNS, TRIGGERS_RUNS])  # noqa: FAST003
def read_map(pipeline: RowsDep) -> dict:
    """Return where sampled rows of Gold lie."""
    return _bounded(gold_rows.density, pipeline)


def _snapshot() -> tuple[Snapshot, str | None]:
    snapshot, problem = SNAPSHOTS.newest(FIRST_WAIT)
    if snapshot is None:
        raise HTTPException(503, f"{problem or 'nothing was read yet'}. Airflow's own pages are not affected")
    return snapshot, problem


def _bounded(read: Any, pipeline: Pipeline) -> dict:
    """Return what `read` returns of Gold, or answer 503 if it takes too long or fails."""
    try:
        return _pool().submit(lambda: read(lake(), pipeline)).result(ROWS_WAIT)
    except Exception as e:  # noqa: BLE001 (whatever failed, the page says so)
        raise HTTPException(503, f"Gold cannot be read ({type(e).__name__})") from None
