"""The wheel holds the clone's code under one name, and asks for everything that the clone is tested with."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FILE = ROOT / "deploy" / "wheel" / "build_hook.py"
NO_PLUGIN = {"medallion_preload"}  # an entry point that is only imported


@pytest.fixture(scope="module")
def hook():
    """Import the build hook."""
    spec = importlib.util.spec_from_file_location("build_hook", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def requirements(name):
    """Return the direct requirements of a file by their names, and all pins with `constraints.txt`."""
    lines = [re.split(r" *\\", line)[0] for line in (ROOT / name).read_text().splitlines() if re.match(r"\w", line)]
    return {canonicalize_name(found.name): found for found in map(Requirement, lines)}


def test_the_wheel_requires_what_is_tested():
    """Each requirement of requirements.txt has a range in pyproject.toml, which holds the tested version."""
    ranges = {canonicalize_name(r.name): r.specifier for r in map(Requirement, PROJECT["dependencies"])}
    assert ranges.keys() == requirements("requirements.txt").keys()
    pins = {name: str(pin.specifier).removeprefix("==") for name, pin in requirements("constraints.txt").items()}
    assert {name: pins[name] for name, allowed in ranges.items() if not allowed.contains(pins[name])} == {}


@pytest.mark.parametrize(
    ("extra", "file"), [("celery", "requirements-cluster.txt"), ("countries", "requirements-offline-extras.txt")]
)
def test_the_extras_are_the_optional_requirements(extra, file):
    """What a clone installs from a file of its own is an extra of the wheel."""
    named = {canonicalize_name(Requirement(line).name) for line in PROJECT["optional-dependencies"][extra]}
    assert named == requirements(file).keys() - {"statsd"}  # of Airflow's own extra


def test_every_plugin_is_an_entry_point():
    """Airflow finds in the wheel what it finds in a clone's plugins/."""
    found = {
        f"medallion_airflow.plugins.{file.stem}:{node.name}"
        for file in (ROOT / "plugins").glob("*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.ClassDef) and "AirflowPlugin" in {ast.unparse(base) for base in node.bases}
    }
    assert found
    entries = {*PROJECT["entry-points"]["airflow.plugins"].values()}
    assert entries == found | {f"medallion_airflow.plugins.{name}" for name in NO_PLUGIN}


def test_the_wheel_has_every_file_of_the_clone(hook, tmp_path):
    """Modules, SQL, data: nothing of the core, the plugins and the DAGs is missing."""
    hook.write_package(ROOT, tmp_path / "package")
    for source, place in hook.find_folders(ROOT).items():
        files = (f for f in (ROOT / source).rglob("*") if f.is_file() and "__pycache__" not in f.parts)
        expected = {str(Path(place) / f.relative_to(ROOT / source)) for f in files}
        assert {name for name in expected if not (tmp_path / "package" / name).is_file()} == set()


def test_another_package_beside_the_core_is_part_of_the_wheel(hook, tmp_path):
    """Whatever include/ has but the sandbox: its imports are rewritten too."""
    for folder in ("include/medallion", "include/ui", "include/sandbox", "plugins", "dags", "deploy/wheel"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "plugins/__init__.py").unlink()
    (tmp_path / "deploy/wheel/load_dags.py").touch()
    (tmp_path / "plugins/page.py").write_text("from include.ui.app import start\n")
    hook.write_package(tmp_path, tmp_path / "package")
    assert (tmp_path / "package/plugins/page.py").read_text() == "from medallion_airflow.ui.app import start\n"
    assert not (tmp_path / "package/sandbox").exists()


def test_a_file_that_imports_what_the_wheel_lacks_stops_the_build(hook, tmp_path):
    """The sandbox is not part of the wheel."""
    for folder in ("include/medallion", "include/ui", "plugins", "dags", "deploy/wheel"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "deploy/wheel/load_dags.py").touch()
    (tmp_path / "include/medallion/__init__.py").touch()
    (tmp_path / "include/medallion/wrong.py").write_text("def f():\n    from include.sandbox import stack\n")
    with pytest.raises(ValueError, match=r"wrong\.py imports include\.sandbox"):
        hook.write_package(tmp_path, tmp_path / "package")


def test_examples_of_the_hook_run(hook):
    """Each example gives the result that its docstring shows."""
    assert doctest.testmod(hook) == (0, 3)
