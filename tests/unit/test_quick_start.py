"""A command imports quickly, and works as any other process afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = """
import gc, runpy, sys
sys.argv = ["medallion", *sys.argv[1:]]
try:
    runpy.run_module("include.medallion", run_name="__main__")
except SystemExit:
    print(gc.isenabled(), gc.get_freeze_count() > 10_000)
"""


@pytest.mark.parametrize("words", [("watermark", "employees"), ("places", "import", "missing.txt")], ids=" ".join)
def test_garbage_is_collected_again_once_a_command_works(tmp_path, words):
    """Importing it switches collection off; its work, which fails here, begins with it switched on."""
    environ = {"PATH": "", "MEDALLION_PIPELINES": str(ROOT / "include" / "pipelines"), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", COMMAND, *words]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "True"], done.stderr
