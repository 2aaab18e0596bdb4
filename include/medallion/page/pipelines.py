"""Pipeline files for a server that is asked often: a file is read again only when it has changed."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from include.medallion.config.files import load_file, pipeline_files, pipeline_name
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError

MAX_FILES = 10_000


def load_pipelines() -> dict[str, Pipeline | SettingError]:
    """Return each pipeline by its name, or what is wrong with its file."""
    found = {}
    for file in pipeline_files():
        status = file.stat()
        found[pipeline_name(file)] = _load(file, status.st_mtime_ns, status.st_size)
    return found


@lru_cache(MAX_FILES)
def _load(file: Path, changed: int, size: int) -> Pipeline | SettingError:  # noqa: ARG001 (they tell versions apart)
    try:
        return load_file(file)
    except SettingError as e:
        return e
