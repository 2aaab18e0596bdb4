"""The runbook knows every failure that the core can tell of."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.medallion import errors

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "operations.md").read_text()
ELSEWHERE = {
    "found.message.format": "the connection … to Postgres broke",
    "same_name(": "…: all of them describe pipeline",
    "tell(e)": "… library type …",
    "'\\n'.join(": "… pipeline file mistakes …",
}
"""Messages that are put together elsewhere, and the row that stands for them."""


def kinds() -> Iterator[type]:
    """Yield the errors that are raised: those without others below them, and `Transient`."""
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.MedallionError) and not kind.__subclasses__():
            yield kind


def messages() -> Iterator[tuple[str, str]]:
    """Yield each raise of one of ours: where, and its message with … for what differs."""
    names = {kind.__name__ for kind in kinds()}
    for file in sorted((ROOT / "include" / "medallion").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if called in names and node.args:
                yield f"{file.name}:{node.lineno}", _text(node.args[0])


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.BinOp):
        return _text(node.left)
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return next((row for begin, row in ELSEWHERE.items() if ast.unparse(node).startswith(begin)), "")


def told(message: str) -> bool:
    """Tell whether a row of the runbook's tables begins with this message."""
    rows = re.findall(r"(?m)^\| `([^|]+?)`", RUNBOOK)
    patterns = [".*".join(re.escape(piece) for piece in row.split("…")) for row in rows]
    return any(re.match(pattern, message) for pattern in patterns if pattern != ".*")


def test_every_message_has_a_row():
    """Whatever the core raises on purpose is in the runbook, with its cause and its cure."""
    found = list(messages())
    assert len(found) > 40
    assert [(where, message) for where, message in found if not told(message)] == []


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_every_kind_of_failure_is_named(kind):
    """Each class of errors.py is named in the runbook."""
    assert f"`{kind.__name__}`" in RUNBOOK


def test_a_message_without_a_row_would_be_found():
    """The search does not take everything for known."""
    assert not told("the moon is full: wait")
