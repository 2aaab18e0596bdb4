"""Spare a command the import of pandas, which pyarrow tries at its first conversion of a Python value."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa

from include.medallion.config.pipeline import Pipeline


def spare_pandas(pipeline: Pipeline) -> None:
    """
    Let pyarrow find that pandas is not installed, which saves 0.15 s and 65 MB of every command.

    pyarrow has no setting for it, and asks once (`pandas-shim.pxi` in https://github.com/apache/arrow). Nothing happens
    if pandas is imported already, or if the pipeline names functions or sinks of the user's: these may convert a
    Series, whose NaN pyarrow reads as NULL only when it knows pandas. `to_pandas` works afterwards.
    """
    if "pandas" in sys.modules or pipeline.sinks or any(one.function for one in pipeline.enrich):
        return
    absent = cast("Any", SimpleNamespace(find_spec=_find_no_pandas))
    sys.meta_path.insert(0, absent)
    try:
        pa.array([None])
    finally:
        sys.meta_path.remove(absent)


def _find_no_pandas(name: str, *_: object) -> None:
    if name == "pandas":
        raise ModuleNotFoundError(name=name)
