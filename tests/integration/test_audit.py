"""`make audit` fails for a known vulnerability, and says so when it could not ask."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

ROOT = Path(__file__).parents[2]
FAULT = {
    "id": "PYSEC-0000-1",
    "summary": "an invented fault",
    "affected": [{"package": {"name": "holed", "ecosystem": "PyPI"}, "versions": ["1.0"]}],
}


class Database(BaseHTTPRequestHandler):
    """Answers as OSV does: a fault of `holed`, and nothing of any other package; an overloaded one of `busy`."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
        self.send_response(503 if asked == "busy" else 200)
        self.end_headers()
        self.wfile.write(json.dumps({"vulns": [FAULT]} if asked == "holed" else {}).encode())

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """Serve the database on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Database) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def audit(folder: Path, url: str, *pins: str) -> subprocess.CompletedProcess:
    """Run the target on some pins, with the environment as it is."""
    (folder / "pins.txt").write_text("\n".join(pins))
    command = ["make", "-o", ".venv/uv", "audit", f"OSV_URL={url}", f"PINS={folder / 'pins.txt'}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_pins_without_a_known_fault_pass(database, tmp_path):
    """Every version was looked up, none is known as faulty."""
    result = audit(tmp_path, database, "sound==1.0", "whole==2.0")
    assert result.returncode == 0
    assert "no known vulnerability" in result.stdout


def test_a_known_vulnerability_fails_the_check(database, tmp_path):
    """The fault is named, with its package."""
    result = audit(tmp_path, database, "sound==1.0", "holed==1.0")
    assert result.returncode != 0
    assert "PYSEC-0000-1" in result.stdout
    assert "NOT audited" not in result.stdout


@pytest.mark.parametrize("pin", ["sound==1.0", "busy==1.0"], ids=["closed", "overloaded"])
def test_a_database_that_gives_no_answer_is_told_and_fails_nothing(database, tmp_path, pin):
    """A database that does not answer is not reported as an audit without findings."""
    result = audit(tmp_path, database if pin.startswith("busy") else "http://127.0.0.1:9/", pin)
    assert result.returncode == 0
    assert "*** NOT audited: " in result.stdout
    assert "no known vulnerability" not in result.stdout


def test_a_file_that_is_not_pinned_fails_the_check(database, tmp_path):
    """A mistake of ours is not taken for an unreachable database."""
    result = audit(tmp_path, database, "sound>=1.0")
    assert result.returncode != 0
    assert "NOT audited" not in result.stdout
