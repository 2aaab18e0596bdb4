"""
Medallion's DAGs, for a DAG file of two lines.

    from medallion_airflow.dags import load_dags
    load_dags()
"""

from __future__ import annotations

import os
import pkgutil
import sys
from importlib import import_module
from pathlib import Path


def load_dags(pipelines: str | os.PathLike[str] | None = None) -> None:
    """
    Define the DAG of each pipeline file, and the three that look after all pipelines, in the DAG file that calls this.

    Args:
        pipelines: folder of the pipeline files, such as one beside the DAG file in a Git bundle. The environment
            variable MEDALLION_PIPELINES overrides it.

    Raises:
        SettingError: there is no such folder.
    """
    if pipelines is not None:
        os.environ.setdefault("MEDALLION_PIPELINES", os.fspath(pipelines))
    for found in pkgutil.iter_modules([str(Path(__file__).parent)]):
        name = f"{__name__}.{found.name}"
        sys.modules.pop(name, None)  # Airflow adds a DAG to the file that is being read when the DAG is made
        import_module(name)
