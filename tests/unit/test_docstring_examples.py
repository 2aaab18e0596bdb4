"""The examples in the docstrings of the core and of docs/examples run as they are written."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = [
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for folder in (ROOT / "include" / "medallion", ROOT / "docs" / "examples")
    for file in sorted(folder.rglob("*.py"))
    if ">>> " in file.read_text()
]


def test_there_are_examples():
    """The function that a user writes for an enrichment has one."""
    assert {"include.medallion.enrich.functions", "docs.examples.department_names"} <= {*MODULES}


@pytest.mark.parametrize("module", MODULES)
def test_examples_of_a_module_run(module):
    """Each example gives the result that its docstring shows."""
    assert doctest.testmod(import_module(module)).failed == 0
