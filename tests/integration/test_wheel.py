"""`make wheel` builds a package that works in an Airflow that knows nothing of this repository."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.one_table import OneTable

ROOT = Path(__file__).parents[2]
PYTHON, AIRFLOW = f"{sys.version_info.major}.{sys.version_info.minor}", "3.3.2"
OTHERS = [("3.12", AIRFLOW), ("3.13", AIRFLOW), (PYTHON, "3.3.1"), (PYTHON, "3.3.0")]
DAG_FILE = "from medallion_airflow.dags import load_dags\nload_dags()\n"
PIPELINE = "source: {table: people, key: id}\ngold: {table: people}\n"
PARSE = """
import json, sys
from airflow import plugins_manager
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1], bundle_name="dags-folder")
errors = {**bag.import_errors, **plugins_manager.get_import_errors()}
dags = {name: [task.task_id for task in dag.tasks] for name, dag in bag.dags.items()}
print(json.dumps({"errors": errors, "dags": dags, "modules": sorted(sys.modules)}))
"""


def interpreter(version: str) -> str | Path | None:
    """Return a Python of this version, or None if the machine has none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for program in (f"python{version}", *pyenv.glob(f"versions/{version}.*/bin/python")):
        with suppress(FileNotFoundError):
            if subprocess.run([program, "-V"], capture_output=True, check=False).returncode == 0:
                return program
    return None


def uv(*words: str | Path) -> None:
    """Run uv, with the package index that pip uses."""
    environ, pip = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}, [sys.executable, "-m", "pip", "config", "get"]
    if not (index := environ.get("UV_DEFAULT_INDEX") or environ.get("PIP_INDEX_URL")):
        found = subprocess.run([*pip, "global.index-url"], capture_output=True, text=True, check=False)
        index = found.stdout.strip()
    environ |= {"UV_DEFAULT_INDEX": index} if index else {}
    program = Path(sys.executable).with_name("uv")
    done = subprocess.run([program, *words], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class Installed:
    """A virtual environment with Airflow and the wheel."""

    folder: Path

    def run(self, *words: str | Path, **environ: str) -> str:
        """Run a program of it, with nothing of the caller's environment but what is named; return what it printed."""
        program = [self.folder / "bin" / words[0], *words[1:]]
        clean = {"PATH": os.defpath, "HOME": str(self.folder), "AIRFLOW_HOME": str(self.folder / "airflow")}
        done = subprocess.run(
            program, cwd=self.folder, env=clean | environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "-q", "--wheel", "--no-build-isolation", "--python", sys.executable, "-o", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def install(wheel, tmp_path_factory):
    """Return a function that makes an environment with a Python and an Airflow, and then installs the wheel."""

    def make(python: str | Path, airflow: str) -> Installed:
        folder, pins = tmp_path_factory.mktemp("venv"), tmp_path_factory.mktemp("pins") / "constraints.txt"
        plain = re.sub(r" *\\$|^ +--hash=.*\n", "", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
        # another Airflow has other libraries: whatever the ranges of its package and of the wheel allow
        pins.write_text(plain if airflow == AIRFLOW else f"apache-airflow=={airflow}")
        uv("venv", "-q", "--python", python, folder)
        for package in (f"apache-airflow=={airflow}", wheel):
            uv("pip", "install", "-q", "--python", folder / "bin" / "python", "-c", pins, package)
        return Installed(folder)

    return make


@pytest.fixture(scope="module")
def installed(install) -> Installed:
    """Make the environment of the versions that everything else is tested with."""
    return install(sys.executable, AIRFLOW)


def parse(installed: Installed, tmp_path: Path, **environ: str) -> dict:
    """Read a DAG file of two lines as Airflow does."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "medallion.py").write_text(DAG_FILE)
    (tmp_path / "people.yaml").write_text(PIPELINE)
    return json.loads(installed.run("python", "-c", PARSE, dags, **environ).splitlines()[-1])


def right(found: dict) -> bool:
    """Return whether all DAGs and plugins are there."""
    assert found["errors"] == {}
    assert found["dags"]["medallion_people"] == ["open_window", "extract", "write_gold", "commit"]
    assert found["dags"].keys() > {"medallion_reconcile", "medallion_refresh", "medallion_maintenance"}
    plugins = {f"medallion_airflow.plugins.{name}" for name in ("import_error_listener", "medallion_preload")}
    return plugins <= {*found["modules"]} and "include" not in found["modules"]


def test_a_dag_file_of_two_lines_has_all_dags(installed, tmp_path):
    """With MEDALLION_PIPELINES alone, Airflow finds a DAG for each pipeline file, the shared ones, and the plugins."""
    assert right(parse(installed, tmp_path, MEDALLION_PIPELINES=str(tmp_path)))


def test_the_command_brings_rows_to_both_sinks(installed, bronze_dsn, lake_uri, lake, silver, tmp_path):
    """`medallion run` has every library that a run needs."""
    one = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"})
    one.sql("CREATE TABLE people (id int PRIMARY KEY, postcode text)", "INSERT INTO people VALUES (1, '98052')")
    known = {name: value for name, value in one.environ(tmp_path).items() if name not in {"PATH", "HOME"}}
    printed = installed.run("medallion", "run", "one", **{k: v for k, v in known.items() if "PYTHON" not in k})
    assert "1 rows read" in printed
    assert [row["geocode_status"] for row in one.gold()] == [row["geocode_status"] for row in one.silver()] == ["OK"]


@pytest.mark.wheel
@pytest.mark.parametrize(("python", "airflow"), OTHERS)
def test_other_versions_have_all_dags(install, tmp_path, python, airflow):
    """Every supported version of Python, and every version of Airflow in the supported range."""
    if (program := interpreter(python)) is None:
        pytest.skip(f"wheel: there is no Python {python}")
    assert right(parse(install(program, airflow), tmp_path, MEDALLION_PIPELINES=str(tmp_path)))
