"""What the trigger forms and *Required Actions* of a real Airflow do: deletes, repairs, reloads, new sources."""

from __future__ import annotations

import pytest

from .deployment import Deployment

pytestmark = pytest.mark.timeout(900)  # the first test of a session boots everything
DDL = "CREATE TABLE forms (id int PRIMARY KEY, name text)"
FILL = "INSERT INTO forms SELECT n, 'name ' || n FROM generate_series(1, 40) AS n"


def check(deployment: Deployment) -> None:
    """Assert that both sinks hold the source's values."""
    source = deployment.sql("SELECT id, name FROM forms ORDER BY id")
    for rows in (deployment.silver("forms"), deployment.gold("forms")):
        assert sorted((row["id"], row["name"]) for row in rows.values() if row["_deleted_at"] is None) == source


@pytest.fixture(scope="module", autouse=True)
def loaded(deployment):
    """Load a table of 40 rows."""
    deployment.sql(DDL)
    deployment.sql(FILL)
    assert deployment.run("forms").state == "success"


def test_many_deletes_are_approved_in_airflow(deployment):
    """The task waits, shows the counts, and continues after an approval; values are repaired, too."""
    deployment.sql("DELETE FROM forms WHERE id > 10")
    deployment.table("forms").update({"name": "'tampered'"}, predicate="id = 3")
    run = deployment.begin("reconcile", pipeline="forms", values=True, repair="all")
    asked = deployment.asked(run)
    assert "30 of 40 rows of silver and 30 of 40 rows of gold" in asked["body"]
    assert [row for row in deployment.gold("forms").values() if row["_deleted_at"]] == []
    reports = [event for some in deployment.issues("reconcile").values() for event in some]
    assert any(event["tags"]["run_id"] == run.run_id for event in reports)
    assert run.answer(asked, "Approve deletes: 30").state == "success"
    check(deployment)


def test_an_approval_covers_what_was_asked_and_no_more(deployment):
    """More rows are gone when it is given: nothing is deleted, and the task fails with the new counts."""
    deployment.sql("DELETE FROM forms WHERE id > 6")
    run = deployment.begin("reconcile", pipeline="forms")
    asked = deployment.asked(run)
    deployment.sql("DELETE FROM forms WHERE id > 4")
    ended = run.answer(asked, "Approve deletes: 4")
    assert ended.state == "failed"
    assert "6 of 10 rows of gold" in ended.failures
    assert len([row for row in deployment.gold("forms").values() if row["_deleted_at"] is None]) == 10


def test_a_table_that_was_created_again_is_accepted(deployment):
    """`accept_source` with `approve_deletes`: rows that differ are read again, and the next run finds nothing new."""
    deployment.sql("DROP TABLE forms")
    deployment.sql(DDL)
    deployment.sql("INSERT INTO forms VALUES (1, 'name 1'), (2, 'other'), (50, 'new')")
    run = deployment.run("reconcile", pipeline="forms", accept_source=True, approve_deletes=True)
    assert run.state == "success"
    check(deployment)
    again = deployment.run("forms")
    assert (again.state, again.summary) == ("success", None)


def test_chosen_rows_are_reloaded(deployment):
    """`reload_keys` reads rows of a range again, over whatever the sinks hold."""
    deployment.table("forms").update({"name": "'tampered'"}, predicate="id = 2")
    run = deployment.run("forms", reload_keys="1..2")
    assert (run.state, run.summary.read) == ("success", 2)
    check(deployment)


def test_a_schema_change_is_approved_in_airflow_or_by_a_parameter(deployment):
    """The run waits and writes nothing; after an approval, or with the parameter, all rows have the new column."""
    deployment.sql("ALTER TABLE forms ADD COLUMN asked int DEFAULT 7")
    run = deployment.begin("forms")
    asked = deployment.asked(run)
    assert "the schema of public.forms changed" in asked["body"]
    assert "asked" in asked["options"][0]
    assert all("asked" not in row for row in [*deployment.silver("forms").values(), *deployment.gold("forms").values()])
    assert run.answer(asked, asked["options"][0]).state == "success"
    deployment.sql("ALTER TABLE forms ADD COLUMN given int DEFAULT 8")
    assert deployment.run("forms", approve_schema_change=True).state == "success"
    check(deployment)
    for rows in (deployment.silver("forms"), deployment.gold("forms")):
        live = [row for row in rows.values() if row["_deleted_at"] is None]
        assert {(row["asked"], row["given"]) for row in live} == {(7, 8)}
