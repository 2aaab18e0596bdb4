"""Parse the DAGs in a process of their own, as Airflow's DAG processor does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def parse(cases: dict[str, dict[str, str]], home: Path) -> dict[str, dict]:
    """
    Parse the DAGs once for each case, one after the other in one process.

    Args:
        cases: environment variables of each case, by its name.
        home: Airflow's home.

    Returns:
        What `parse_dags.py` prints of each case, by its name.
    """
    ours = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "PYTHONPATH": str(ROOT),
    }
    others = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "MEDALLION", "PYTHON"))}
    program = [sys.executable, Path(__file__).with_name("parse_dags.py"), ROOT, json.dumps(list(cases.values()))]
    done = subprocess.run(program, env=others | ours, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(cases, json.loads(done.stdout.splitlines()[-1]), strict=True))
