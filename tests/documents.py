"""What documents say of tests, compared with what there is."""

from __future__ import annotations

import ast
from pathlib import Path


def named_tests(file: Path) -> set[str]:
    """Return the names of a file's tests."""
    nodes = ast.walk(ast.parse(file.read_text()))
    return {n.name for n in nodes if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")}
