"""After good and bad runs, no secret and no personal datum lies where it should not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import psycopg
import pytest
from psycopg import sql

from . import people
from .deployment import text

pytestmark = pytest.mark.timeout(900)  # the first test of a session boots everything
PLANTED = {
    "key": people.GOOGLE_KEY,
    "email": people.EMAIL,
    "address": people.ADDRESS,
    "name": people.NAME,
    "found": "SW1A 1AA",
    "failing": people.FAILING[1],
    "unreadable": people.UNREADABLE[1],
    "refused": people.REFUSED[1],
}


def forms(planted: str) -> set[str]:
    """Return the spellings under which something may hide."""
    plain = {planted, planted.replace(" ", ""), quote(planted, safe=""), quote_plus(planted), json.dumps(planted)[1:-1]}
    return plain | {form.encode().hex() for form in plain} | {base64.b64encode(planted.encode()).decode().rstrip("=")}


def found(content: str) -> list[str]:
    """Return which of the planted things a text holds, in any case and form."""
    folded = content.casefold()
    return [name for name, planted in PLANTED.items() if any(form.casefold() in folded for form in forms(planted))]


def task_logs(deployment) -> Iterator[str]:
    """Yield what tasks, callbacks and the parsing of DAG files wrote."""
    for file in (deployment.state / "airflow" / "logs").rglob("*"):
        if file.is_file():
            yield f"{file}\n{file.read_text(errors='replace')}"


def component_logs(deployment) -> Iterator[str]:
    """Yield what Airflow's components wrote."""
    for file in (deployment.state / "logs").glob("airflow-*.log"):
        yield f"{file}\n{file.read_text(errors='replace')}"


def metadata(deployment) -> Iterator[str]:
    """Yield every table of Airflow's database as text: XCom, rendered fields, asset events, stores, logs and all."""
    dsn = deployment.settings["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("postgresql+psycopg2:", "postgresql:")
    with psycopg.connect(dsn) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            rows = connection.execute(sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier(table)))
            yield "\n".join([table, *(row[0] for row in rows)])


def sentry(deployment) -> Iterator[str]:
    """Yield what Sentry received."""
    yield json.dumps(deployment.sentry.events, ensure_ascii=False)


def delta_logs(deployment) -> Iterator[str]:
    """Yield the commits of all Delta tables, and checkpoints made for the purpose, decoded."""
    for name in ("people", "clash", "locations", "quarantine"):
        if table := deployment.table(name):
            table.create_checkpoint()
    for name, read in deployment.objects().items():
        if "/_delta_log/" in name:
            yield text(read()) if name.endswith(".parquet") else read().decode()


def object_names(deployment) -> Iterator[str]:
    """Yield the names of all objects in the bucket."""
    yield "\n".join(deployment.objects())


# where to search, and what must be found there if the search works
PLACES = {
    task_logs: ["medallion_people", "Returned value was", "load_silver", "check GOOGLE_API_KEY"],
    component_logs: ["medallion_people"],
    metadata: ["medallion_people", "rendered_task_instance_fields", "batch_id", "silver_people", "watermark"],
    sentry: ["medallion_people", "ProviderRefused", "Transient"],
    delta_logs: ["medallion/people", '"numRecords', "'minReaderVersion'", "locations"],
    object_names: ["_lookups", "_staging/people/", "/quarantine/", "_last_checkpoint"],
}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_nothing_planted_is_found(deployment, failed, recovered, refused, clash, place):
    """Neither the key nor a person's data nor a postcode is found, of rows that arrived, failed or were quarantined."""
    whole = "\n".join(place(deployment))
    assert [known for known in PLACES[place] if known not in whole] == []
    assert found(whole) == []


def test_what_was_planted_is_found_where_it_belongs(deployment, recovered):
    """The search finds each planted thing where it has to be: in the source's rows and in the call to Google."""
    rows = str(deployment.bronze("people"))
    assert set(found(rows)) | set(found(str(deployment.google.calls))) == set(PLANTED)


@pytest.mark.parametrize("form", [str.upper, quote, lambda text: text.encode().hex()], ids=["upper", "url", "hex"])
def test_disguises_are_seen_through(form):
    """The search also finds what is written in capitals, in a URL or in hexadecimal digits."""
    assert found(f"...{form(people.EMAIL)}...") == ["email"]
