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


SETTINGS = """
from include.medallion.ops.shell.quick_start import begin_imports
begin_imports()
import os
import pyarrow as pa
print(pa.default_memory_pool().backend_name, os.environ["OPENBLAS_NUM_THREADS"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="pyarrow is built with jemalloc for Linux")
@pytest.mark.parametrize(
    ("environ", "expected"),
    [({}, ["jemalloc", "1"]), ({"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "3"}, ["system", "3"])],
)
def test_the_environment_decides_on_memory_and_threads(environ, expected):
    """Without a word of it, a command takes the allocator that needs least memory, and starts no idle threads."""
    command = [sys.executable, "-c", SETTINGS]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": ""} | environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected
