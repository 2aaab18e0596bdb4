"""The page in Airflow's UI, in a real Chromium: what it shows, to whom, and that values are text."""

from __future__ import annotations

import json
import os

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from include.sandbox import client

from .browser import SECONDS, chromium, password, visiting

pytestmark = pytest.mark.timeout(900)  # the first test of a session boots everything
expect.set_options(timeout=SECONDS * 1000)
SCRIPT = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
DAG = "medallion_page"
QUERY = f"?dag_id={DAG}"
SWITCHES = 4  # of the trigger form
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


@pytest.fixture(scope="module")
def run(deployment):
    """Load a table of its own: three visitors, one with a script for a name, one with a postcode that is nowhere."""
    columns = "id int PRIMARY KEY, name text, email text, secret text, postcode text"
    deployment.sql(f"CREATE TABLE visitors ({columns})")
    for number, postcode in ((1, "98052"), (2, "10001"), (3, "00000")):
        row = {"id": number, "name": SCRIPT, "email": "m@example.org", "secret": "hush", "postcode": postcode}
        deployment.insert("visitors", row)
    run = deployment.run("page")
    assert run.state == "success"
    return run


@pytest.fixture(scope="module")
def browser(run):
    """Start Chromium once the rows are there."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def admin(browser, deployment):
    """Log in as somebody who may do everything."""
    with visiting(browser, deployment) as visit:
        yield visit


@pytest.fixture(scope="module")
def viewer(browser, deployment):
    """Log in as somebody who may read only."""
    with visiting(browser, deployment, "viewer") as visit:
        yield visit


@pytest.fixture(scope="module")
def token(deployment):
    """Return a function that logs in to the API, and gives the header of a user."""

    def login(user):
        credentials = {"username": user, "password": password(deployment, user)}
        answer = requests.post(f"{deployment.settings['AIRFLOW_URL']}/auth/token", json=credentials, timeout=SECONDS)
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    return login


def get(deployment, path, headers=None):
    """Ask the page's API."""
    return requests.get(f"{deployment.settings['AIRFLOW_URL']}/medallion/{path}", headers=headers, timeout=SECONDS)


def shot(page, name):
    """Keep a picture for the documentation, if a folder for it is named."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


@pytest.mark.parametrize(
    "path", ["view", "api/overview", f"api/dags/{DAG}", f"api/dags/{DAG}/rows", f"api/dags/{DAG}/map"]
)
def test_nobody_sees_anything_without_a_login(run, deployment, path):
    """Every address of the page is refused without Airflow's login."""
    assert get(deployment, path).status_code == 401


def test_the_navigation_leads_to_the_overview(admin):
    """Browse, Medallion: a table with a line for each pipeline and what its runs did."""
    admin.page.goto(admin.url)
    admin.page.get_by_role("button", name="Browse").first.click()
    admin.page.get_by_role("menuitem", name="Medallion").click()
    frame = admin.page.frame_locator("iframe")
    line = frame.get_by_role("row").filter(has=frame.get_by_role("link", name="page", exact=True))
    cells = line.get_by_role("cell")
    expect(cells.nth(0)).to_have_text("public.visitors")
    expect(cells.nth(3)).to_have_text("success")
    expect(cells.nth(5)).to_have_text("3")
    expect(cells.nth(8)).to_have_text("33.3 %")
    shot(admin.page, "overview")


def test_the_overview_is_sorted_by_keyboard(admin):
    """Enter on a column's title sorts by it, once more reverses; readers of the screen are told the order."""
    page = admin.view()
    title = page.get_by_role("columnheader", name="Rows today")
    rows = page.locator("tbody tr td:nth-child(7)")
    for order in ("ascending", "descending"):
        title.get_by_role("button").focus()
        page.keyboard.press("Enter")
        expect(title).to_have_attribute("aria-sort", order)
        counts = [int(text.replace(",", "")) for text in rows.all_inner_texts()]
        assert counts == sorted(counts, reverse=order == "descending")
        assert max(counts) >= 3


def test_a_broken_file_is_listed_with_its_mistake(admin):
    """A pipeline whose file has a mistake says which."""
    expect(admin.view().get_by_role("row", name="broken")).to_contain_text("source.kee: unknown setting")


def test_a_pipeline_has_its_page(admin):
    """A click opens layers, plots and row accounting of the pipeline; the way back is there."""
    page = admin.view()
    page.get_by_role("link", name="page", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("page")
    layers = page.locator(".layers li")
    expect(layers).to_have_count(3)
    expect(layers.nth(0)).to_contain_text("3 read")
    expect(layers.nth(2)).to_contain_text("3 inserted, 0 updated, 0 superseded")
    expect(page.locator("figure canvas")).to_have_count(4)
    accounting = page.get_by_role("region", name="For each sink").get_by_role("row").nth(1)
    expect(accounting).to_contain_text("+3 ~0 =0")
    expect(page.get_by_role("row", name="ZERO_RESULTS")).to_contain_text("1")
    page.get_by_role("button", name="All pipelines").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Pipelines")


def test_a_dag_has_a_tab_that_leads_to_the_trigger_form(admin, run):
    """In the tab of the DAG, a button opens Airflow's own form, in which nothing is marked as required."""
    admin.page.goto(f"{admin.url}/dags/{DAG}")
    admin.page.get_by_title("Medallion", exact=True).click()
    frame = admin.page.frame_locator("iframe")
    expect(frame.get_by_role("heading", level=1)).to_have_text("page")
    shot(admin.page, "pipeline")
    frame.get_by_role("button", name="Full refresh").click()
    form = admin.page.get_by_role("dialog")
    expect(form.get_by_text("Full refresh", exact=True)).to_be_visible()
    shot(admin.page, "trigger")
    assert "*" not in form.inner_text()
    assert form.locator("input[type=checkbox]").count() >= SWITCHES


def test_a_run_has_a_tab(admin, run):
    """The tab of a run shows its pipeline, with the run marked in the row accounting."""
    admin.page.goto(f"{admin.url}/dags/{DAG}/runs/{run.run_id}")
    admin.page.get_by_title("Medallion", exact=True).click()
    frame = admin.page.frame_locator("iframe")
    expect(frame.get_by_role("button", name="(this run)")).to_be_visible()


def test_a_link_leads_from_the_frame_to_airflows_page_of_a_run(admin, run):
    """The frame's sandbox does not keep a click on a run from opening Airflow's page of it."""
    admin.page.goto(f"{admin.url}/plugin/medallion")
    frame = admin.page.frame_locator("iframe")
    frame.get_by_role("link", name="page", exact=True).click()
    frame.get_by_role("region", name="For each sink").get_by_role("button").first.click()
    admin.page.wait_for_url(f"**/dags/{DAG}/runs/*")


def test_values_are_text_and_masked_columns_are_absent(admin):
    """A script in a row is shown as it is written and never runs; masked and excluded columns do not appear."""
    page = admin.view(QUERY)
    page.get_by_role("button", name="Show rows").click()
    rows = page.get_by_role("region", name="3 rows of Gold")
    expect(rows.get_by_role("cell", name=SCRIPT)).to_have_count(3)
    titles = rows.get_by_role("columnheader").all_inner_texts()
    assert "postcode" in titles
    assert {"email", "secret"} & {*titles} == set()
    assert page.evaluate("window.hacked") is None


def test_the_map_shows_where_rows_are(admin):
    """Two of three rows have coordinates: two cells on land that the package ships."""
    page = admin.view(QUERY)
    page.get_by_role("button", name="Show map").click()
    expect(page.locator("svg rect.cell")).to_have_count(2)
    expect(page.locator("svg path.land")).to_have_count(1)
    page.get_by_role("img", name="Map of 2 sampled rows").scroll_into_view_if_needed()
    shot(page, "map")


def test_nothing_comes_from_elsewhere_and_nothing_fails(admin):
    """All that a browser asked for so far came from Airflow itself, and no script failed."""
    assert admin.hosts == {admin.url.split("/")[2]}
    assert admin.errors == []


def test_a_viewer_sees_counts_but_no_rows_and_no_triggers(viewer, deployment, token):
    """Who may not trigger a pipeline sees its page without buttons, and is refused rows and the map."""
    page = viewer.view(QUERY)
    expect(page.locator(".layers li").first).to_contain_text("3 read")
    expect(page.get_by_role("button", name="Full refresh")).to_have_count(0)
    expect(page.get_by_role("button", name="Show rows")).to_have_count(0)
    answers = [get(deployment, f"api/dags/{DAG}/{what}", token("viewer")).status_code for what in ("rows", "map")]
    assert answers == [403, 403]


def test_a_hidden_dag_is_hidden_here_too(deployment, run, token):
    """Who may not see a DAG finds it neither in the overview nor under its address."""
    found = {user: names(get(deployment, "api/overview", token(user)).json()) for user in ("viewer", "outsider")}
    assert found["viewer"] - found["outsider"] == {"people"}
    answers = [get(deployment, "api/dags/medallion_people", token(user)).status_code for user in found]
    assert answers == [200, 403]


def names(overview):
    """Return the pipelines of an overview."""
    return {line["name"] for line in overview["pipelines"]}


def test_a_dag_of_somebody_else_is_no_pipeline(deployment, run, token):
    """The tab of another DAG says so."""
    answer = get(deployment, "api/dags/headcount", token("admin"))
    assert (answer.status_code, answer.json()["detail"]) == (404, "headcount is no pipeline of Medallion's")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible_and_follows_the_theme(browser, deployment, scheme):
    """No rule of WCAG 2.1 AA is broken in either theme; the background is that of the theme."""
    with visiting(browser, deployment, color_scheme=scheme) as visit:
        for query in ("", QUERY):
            page = visit.view(query)
            if query:
                page.get_by_role("button", name="Show rows").click()
                page.get_by_role("region", name="rows of Gold").wait_for()
                page.get_by_role("button", name="Show map").click()
                page.locator("svg rect.cell").first.wait_for()
            found = Axe().run(page, options={"runOnly": RULES["runOnly"]})
            assert found.violations_count == 0, found.generate_report()
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        red = int(background.split("(")[1].split(",")[0])
        assert (red > 128) is (scheme == "light")
        shot(page, f"pipeline-{scheme}")


def test_the_api_answers_plain_json(deployment, run, token):
    """The API answers with plain JSON that is not to be cached."""
    answer = get(deployment, "api/overview", token("admin"))
    assert answer.headers["Cache-Control"] == "no-store"
    assert json.loads(answer.text)["problem"] is None


def test_the_lake_recorded_the_run(deployment, run):
    """What the page shows is a row of the table `runs`, with Airflow's id of the run."""
    api = client.login(deployment.settings)
    assert api.call("GET", f"dags/{DAG}/dagRuns/{run.run_id}")["state"] == "success"
    rows = [row for row in deployment.table("runs").to_pyarrow_table().to_pylist() if row["pipeline"] == "page"]
    assert [(row["run_id"], row["read"], row["kind"]) for row in rows] == [(run.run_id, 3, "window")]
