"""Imports inside functions fail only when the function runs: each is resolved here."""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("include", "dags", "plugins", "deploy", "benchmarks")
FILES = [str(file.relative_to(ROOT)) for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]


def unresolved(source: str) -> list[str]:
    """Return the names that a file imports from this project and that do not exist."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    names = [(n.module, alias.name) for n in nodes if n.module and n.module.startswith("include.") for alias in n.names]
    return [f"{module}.{name}" for module, name in names if not exists(module, name)]


def exists(module: str, name: str) -> bool:
    """Return whether a module has a name or a submodule of this name."""
    if find_spec(module) is None:
        return False
    found = import_module(module)
    return hasattr(found, name) or (hasattr(found, "__path__") and find_spec(f"{module}.{name}") is not None)


@pytest.mark.parametrize("file", FILES)
def test_every_imported_name_exists(file):
    """In plugins and DAGs too, which load the core where they use it."""
    assert unresolved((ROOT / file).read_text()) == []


def test_a_name_that_was_removed_would_be_found():
    """A name that its module does not have is reported."""
    assert unresolved("def f():\n    from include.medallion.errors import Gone, Refused") == [
        "include.medallion.errors.Gone"
    ]
