"""
Run docs/examples/gold.ipynb and write its outputs: `python docs/notebook.py`.

It needs the Gold table of docs/tutorial.md and the settings of the sandbox in the environment. A test runs the same
cells and compares what they show.
"""

from __future__ import annotations

import ast
import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parent / "examples" / "gold.ipynb"


def execute(document: dict[str, Any]) -> dict[str, Any]:
    """Run the code cells of a notebook, one after the other; return it with what each of them shows."""
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = [cell if cell["cell_type"] == "markdown" else _executed(cell, names) for cell in document["cells"]]
    return {**document, "cells": cells}


def _executed(cell: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """Run a cell as Jupyter does: the value of its last expression is shown."""
    body = ast.parse("".join(cell["source"])).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(ast.Module(body, []), "<cell>", "exec"), names)  # noqa: S102 (our own notebook)
        value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names) if last else None  # noqa: S307
    outputs = []
    if printed.getvalue():
        outputs.append(
            {"output_type": "stream", "name": "stdout", "text": printed.getvalue().splitlines(keepends=True)}
        )
    if value is not None:
        data = {"text/plain": repr(value).splitlines(keepends=True)}
        outputs.append({"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": data})
    return {**cell, "execution_count": 1, "outputs": outputs}


if __name__ == "__main__":
    executed = execute(json.loads(NOTEBOOK.read_text("utf-8")))
    NOTEBOOK.write_text(json.dumps(executed, indent=1) + "\n", "utf-8")
