"""What tasks import is imported before they are forked, and still works in them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from medallion_preload import forks_tasks

ROOT = Path(__file__).parents[2]

PARENT = """
import json, os, sys
sys.argv = ["airflow", "scheduler"]
import medallion_preload
before = set(sys.modules)
child = os.fork()
if child == 0:
    import pyarrow as pa, pyarrow.compute as pc
    from deltalake import DeltaTable, write_deltalake
    from include.medallion.steps import run
    from include.medallion.steps.summary import row_counts
    from include.medallion.geocoders.offline import locate
    write_deltalake(sys.argv[0], pa.table({"n": [1, 2]}))
    write_deltalake(sys.argv[0], pa.table({"n": [4]}), mode="append")
    total = pc.sum(DeltaTable(sys.argv[0]).to_pyarrow_dataset().to_table()["n"]).as_py()
    located = locate("US", "98052").status
    late = sorted({m.partition(".")[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names))
    print(json.dumps({"total": total, "located": located, "late": late}), flush=True)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


CHANGED = """
import os, sys
from pathlib import Path
sys.argv = ["airflow", "scheduler"]
import medallion_preload
from include.medallion.steps import commit
from include.medallion import errors
if changes:
    with Path(commit.__file__).open("a") as file:
        file.write("\\nCHANGED = True\\n")
child = os.fork()
if child == 0:
    before = sys.modules.get("include.medallion.errors")
    from include.medallion.steps import commit
    from include.medallion import errors as after
    is_new = (hasattr(commit, "CHANGED"), before is None, after is not errors)
    os._exit(0 if set(is_new) == {changes} else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(
    ("command", "executors", "forks"),
    [
        (["scheduler"], "LocalExecutor", True),
        (["scheduler", "--skip-serve-logs"], "CeleryExecutor,LocalExecutor", True),
        (["scheduler"], "CeleryExecutor", False),
        (["scheduler"], "KubernetesExecutor", False),
        (["celery", "worker", "--queues", "default"], "CeleryExecutor", True),
        (["celery", "flower"], "CeleryExecutor", False),
        (["api-server"], "LocalExecutor", False),
        (["dag-processor"], "LocalExecutor", False),
        ([], "LocalExecutor", False),
    ],
)
def test_only_what_forks_tasks_imports_ahead(command, executors, forks):
    """No other component pays for what only tasks need."""
    assert forks_tasks(command, executors) is forks


def test_a_forked_task_finds_its_libraries_imported_and_can_use_them(tmp_path):
    """A child of a scheduler that preloaded commits to Delta and reads it, and imports nothing more."""
    own = {"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    program = PARENT.replace("sys.argv[0]", repr(str(tmp_path / "table")))
    result = subprocess.run([sys.executable, "-c", program], env=own, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1]) == {"total": 7, "located": "OK", "late": []}


@pytest.mark.parametrize("changes", [False, True])
def test_a_changed_file_takes_effect_with_the_next_task(tmp_path, changes):
    """A child reloads all of our modules if one of them has changed, and none of them otherwise."""
    for folder in ("include/medallion", "plugins"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    paths = f"{tmp_path}:{tmp_path / 'plugins'}"
    own = {"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path / "home"), "PYTHONPATH": paths}
    program = f"changes = {changes}\n{CHANGED}"
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_worker_whose_path_lacks_the_package_starts(tmp_path):
    """It imports the libraries only: where the root is added to the path by a plugin, that comes later."""
    shutil.copy(ROOT / "plugins" / "medallion_preload.py", tmp_path)
    own = {"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"}
    worker = "import sys; sys.argv = ['airflow', 'celery', 'worker']"
    program = f"{worker}; import medallion_preload; print('pyarrow' in sys.modules)"
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "True\n"), result.stderr


def test_celery_is_told_to_import_ahead():
    """Its worker loads no plugin before it forks: the module is named in the settings."""
    celery = yaml.safe_load((ROOT / "deploy" / "values-celery.yaml").read_text())["config"]["celery"]
    imports = json.loads(celery["extra_celery_config"])["imports"]
    assert imports == [forks_tasks.__module__]


def test_the_core_is_imported_without_pandas():
    """A run that finds nothing new needs none: 40 MB and a sixth of a second less."""
    program = "import sys, include.medallion.steps.run; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
