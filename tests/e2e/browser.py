"""A real Chromium, logged in to Airflow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Page, sync_playwright

from .deployment import Deployment

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""As in the Makefile, whose target .venv/browser installs one."""
SECONDS = 60


@dataclass
class Visit:
    """A page that a user has open, and what it did."""

    page: Page
    url: str
    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def view(self, query: str = "") -> Page:
        """Open Medallion's page by itself, and wait until it is complete."""
        self.page.goto(f"{self.url}/medallion/view{query}")
        self.page.locator("main:not([aria-busy])").wait_for()
        return self.page


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the machine's browser, else Playwright's own; it runs as root, which its sandbox refuses."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, deployment: Deployment, user: str = "admin", **context: object) -> Iterator[Visit]:
    """Log in through Airflow's form."""
    opened = browser.new_context(viewport={"width": 1280, "height": 860}, **context)
    opened.set_default_timeout(SECONDS * 1000)
    visit = Visit(opened.new_page(), deployment.settings["AIRFLOW_URL"])
    visit.page.on("request", lambda request: visit.hosts.add(request.url.split("/")[2]))
    visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
    visit.page.goto(f"{visit.url}/auth/login/")
    visit.page.fill("input[name=username]", user)
    visit.page.fill("input[name=password]", password(deployment, user))
    visit.page.click("button[type=submit]")
    visit.page.wait_for_url(lambda url: "/auth/" not in url)
    yield visit
    opened.close()


def password(deployment: Deployment, user: str) -> str:
    """Return a user's password; Airflow has chosen those that the sandbox has not."""
    return json.loads((deployment.state / "airflow" / "passwords.json").read_text())[user]
