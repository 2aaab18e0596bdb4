"""The runbook has a row for every error message of the core."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.medallion import errors
from include.medallion.staging.records.manifests import Incomplete

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "operations.md").read_text()
ELSEWHERE = {
    "found.message.format": "the connection … to Postgres broke",
    "same_name(": "…: all of them describe pipeline",
    "describe_library_error(e)": "… library type …",
    "'\\n'.join(": "… pipeline file mistakes …",
}
"""Beginnings of expressions that make a message elsewhere, and the runbook row for these messages."""
BASES = {errors.MedallionError, errors.Refused}


def kinds() -> Iterator[type]:
    """Yield the errors that are raised: all but the two base classes."""
    yield from (kind for kind in vars(errors).values() if isinstance(kind, type) and kind not in BASES)
    yield Incomplete


def messages() -> Iterator[tuple[str, str]]:
    """Yield file and line of each error that is made, and its message with … for the variable parts."""
    names = {kind.__name__ for kind in kinds()}
    for file in sorted((ROOT / "include" / "medallion").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if called in names and node.args:
                yield f"{file.relative_to(ROOT)}:{node.lineno}", _text(node.args[0])


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.BinOp):
        return _text(node.left)
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return next((row for begin, row in ELSEWHERE.items() if ast.unparse(node).startswith(begin)), "")


def has_row(message: str) -> bool:
    """Return whether a row of the runbook's tables matches the beginning of this message."""
    rows = re.findall(r"(?m)^\| `([^|]+?)`", RUNBOOK)
    patterns = [".*".join(re.escape(piece) for piece in row.split("…")) for row in rows]
    return any(re.match(pattern, message) for pattern in patterns if pattern != ".*")


def test_every_message_has_a_row():
    """Every error that the core raises on purpose is in the runbook, with cause and fix."""
    found = list(messages())
    assert len(found) > 40
    assert [(where, message) for where, message in found if not has_row(message)] == []


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_every_kind_of_failure_is_named(kind):
    """Each class of errors.py is named in the runbook."""
    assert f"`{kind.__name__}`" in RUNBOOK


def test_a_message_without_a_row_would_be_found():
    """The test fails for a message without a row."""
    assert not has_row("the moon is full: wait")
