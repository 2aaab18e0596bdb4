"""
Mistakes of pipeline files, of each alone and of several together.

Two pipelines must not have one name (it is in the DAG id, in staging and in the ledger), nor write to one table: a full
refresh of one would replace the rows of the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from include.medallion.config.files import find_pipeline, load_file, pipeline_files, pipeline_name, same_name
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError

Loaded = Mapping[Path, Pipeline | SettingError]
"""What each file describes, or what is wrong with it."""


def load_files(files: Iterable[Path]) -> dict[Path, Pipeline | SettingError]:
    """Load pipeline files and compare them; return for each its pipeline, or all of its mistakes in one error."""
    loaded = {file: _load(file) for file in files}
    mistakes: dict[Path, list[str]] = defaultdict(list)
    for group, message in chain(_same_names([*loaded]), _same_targets(loaded)):
        for file in group:
            mistakes[file].append(message)
    return {file: _with_mistakes(found, mistakes[file]) for file, found in loaded.items()}


def find_checked_pipeline(name: str) -> Pipeline:
    """
    Load the pipeline of this name, and compare it with the other files of the folder.

    Raises:
        SettingError: as `find_pipeline`; or it shares a table with another file.
    """
    pipeline = find_pipeline(name)
    for file, found in load_files(pipeline_files()).items():
        if pipeline_name(file) == name and isinstance(found, SettingError):
            raise found
    return pipeline


def _load(file: Path) -> Pipeline | SettingError:
    try:
        return load_file(file)
    except SettingError as e:
        return e


def _with_mistakes(found: Pipeline | SettingError, others: Sequence[str]) -> Pipeline | SettingError:
    if not others:
        return found
    return SettingError("\n".join([*([str(found)] if isinstance(found, SettingError) else []), *others]))


def _same_names(files: Sequence[Path]) -> Iterable[tuple[list[Path], str]]:
    by_name: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        by_name[pipeline_name(file)].append(file)
    return [(group, same_name(group)) for group in by_name.values() if len(group) > 1]


def _same_targets(loaded: Loaded) -> Iterable[tuple[list[Path], str]]:
    by_target: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for file, found in loaded.items():
        for target in found.targets if isinstance(found, Pipeline) else ():
            by_target[target].append(file)
    return [(group, _same_target(group, *target)) for target, group in by_target.items() if len(group) > 1]


def _same_target(files: Sequence[Path], sink: str, table: str) -> str:
    names = ", ".join(str(file) for file in files)
    return f"{names}: all of them write to table {table} of {sink}: give each pipeline a table of its own"
