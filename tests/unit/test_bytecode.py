"""Libraries are installed compiled: a process does not compile them again, which takes a second."""

from __future__ import annotations

import os
import subprocess
import sys

SCRIPT = """
import sys, pandas, pyarrow.parquet, deltalake
from pathlib import Path
modules = [m for m in sys.modules.values() if "site-packages" in (getattr(m, "__file__", None) or "")]
sources = [m for m in modules if m.__file__.endswith(".py")]
assert len(sources) > 100
print(*[m.__name__ for m in sources if not Path(m.__spec__.cached).exists()])
"""


def test_a_fresh_process_finds_compiled_modules():
    """Also where `PYTHONDONTWRITEBYTECODE` keeps processes from writing them; `make .venv/dev` compiles."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", SCRIPT]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
