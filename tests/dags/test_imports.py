"""Imports stay light, plugins shadow nothing, files and functions are short. Layers are checked by import-linter."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = ("dags", "plugins", "include", "benchmarks")
HEAVY = {
    *("snowflake", "pandas", "polars", "pyarrow", "numpy", "deltalake", "sentry_sdk", "requests"),
    *("adbc_driver_manager", "adbc_driver_postgresql", "boto3", "botocore", "psycopg", "faker", "duckdb"),
}
MAX_LINES, MAX_LINES_OF_A_FUNCTION, MAX_MODULES = 220, 40, 10
IMPORT_ALL = """
import json, pkgutil, sys
from importlib import import_module
import include.medallion as core

loaded = {}
names = [core.__name__, *(found.name for found in pkgutil.walk_packages(core.__path__, f"{core.__name__}."))]
for name in names:
    import_module(name)
    for library in {"airflow", "pandas", "polars", "snowflake.connector"} & {*sys.modules}:
        loaded.setdefault(library, name)
print(json.dumps({"modules": names, "loaded": loaded}))
"""
"""Imports each module of the core, and prints each library that is not to be loaded with the module that loaded it."""


def sources(*folders: str) -> list[Path]:
    """List the Python files below some of the project's folders."""
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def imported(file: Path, *, at_import_time: bool = False) -> set[str]:
    """Return the full names of what a file imports, anywhere or only when it is itself imported."""
    tree = ast.parse(file.read_text())
    nodes = _run_at_import(tree) if at_import_time else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found.update({module, *(f"{module}.{alias.name}" for alias in node.names)})
    return found


def _run_at_import(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        for_types_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not for_types_only and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield node
            yield from _run_at_import(node)


def packages(modules: set[str]) -> set[str]:
    """Return the top-level names of modules."""
    return {module.partition(".")[0] for module in modules}


def loaded(file: Path, seen: dict[Path, set[str]] | None = None) -> set[str]:
    """Return the packages that importing a file loads, through modules of ours too."""
    seen = {} if seen is None else seen
    if file not in seen:
        seen[file] = set()
        direct = imported(file, at_import_time=True)
        seen[file] |= packages(direct)
        for ours in {path for module in direct if (path := _file(module))}:
            seen[file] |= loaded(ours, seen)
    return seen[file]


def _file(module: str) -> Path | None:
    """Return the file of a module of ours."""
    path = Path(*module.split("."))
    tried = (ROOT / path.with_suffix(".py"), ROOT / path / "__init__.py", ROOT / "plugins" / path.with_suffix(".py"))
    return next((file for file in tried if file.is_file()), None)


def name(file: Path) -> str:
    """Return a file's name below the project's root."""
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", sources("dags", "plugins"), ids=name)
def test_wiring_loads_no_heavy_library(file):
    """What every parse and every component imports loads no heavy library, nor does anything it imports."""
    assert loaded(file) & HEAVY == set()


def test_heavy_libraries_are_found_where_they_are():
    """The search for heavy libraries follows imports of our own modules: it finds those of a run."""
    found = loaded(ROOT / "include/medallion/steps/run.py")
    assert {"pyarrow", "deltalake", "snowflake"} & found == {"pyarrow", "deltalake"}


def test_importing_the_core_loads_only_what_every_run_needs():
    """No module of the core imports Airflow, pandas, polars or Snowflake's connector before a function needs it."""
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert len(result["modules"]) > 80
    assert result["loaded"] == {}


def test_plugins_are_flat():
    """Every plugin is a module directly in plugins/: Airflow imports each under its stem."""
    assert [name(file) for file in sources("plugins") if file.parent != ROOT / "plugins"] == []


def test_plugins_shadow_nothing():
    """No plugin has the name of a module of the standard library, of a package, or of a DAG file."""
    stems = {file.stem for file in sources("plugins")}
    taken = {*sys.stdlib_module_names, *HEAVY, "airflow", "include", *(file.stem for file in sources("dags"))}
    assert stems
    assert stems & taken == set()


@pytest.mark.parametrize("file", sources(*CODE), ids=name)
def test_files_are_short(file):
    """A file can be read in one sitting."""
    assert len(file.read_text().splitlines()) <= MAX_LINES


def test_packages_are_small():
    """A package of the core has at most ten modules; what has more is divided."""
    packages = {file.parent for file in sources("include/medallion")}
    sizes = {name(p): len([*p.glob("[!_]*.py")]) for p in packages}
    assert {package: size for package, size in sizes.items() if size > MAX_MODULES} == {}


@pytest.mark.parametrize("file", sources(*CODE), ids=name)
def test_functions_are_short(file):
    """A function fits on a screen."""
    functions = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.FunctionDef)]
    lengths = {f.name: f.end_lineno - f.lineno + 1 for f in functions}
    assert {f: lines for f, lines in lengths.items() if lines > MAX_LINES_OF_A_FUNCTION} == {}
