"""What `check` reports: the mistakes of all pipeline files of a call, and of the settings that they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from include.medallion.config.checks.imports import unimportable
from include.medallion.config.checks.validation import load_files
from include.medallion.config.defaults import FILE, shared_settings
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError


def check_files(
    files: Sequence[Path], further: Callable[[Pipeline], list[str]] = lambda _: []
) -> dict[Path, list[str]]:
    """
    Check pipeline files, compare them, and import the functions that they name.

    A mistake in `_defaults.yaml` is reported once; the files that share it are then not checked.

    Args:
        further: returns the mistakes that only higher layers know.

    Returns:
        The mistakes of each file, one a line; none for a file that is right.
    """
    report: dict[Path, list[str]] = {}
    for folder in dict.fromkeys(file.parent for file in files):
        of_folder = [file for file in files if file.parent == folder and file.name != FILE]
        if mistakes := _mistakes_of_defaults(folder):
            note = f"{folder / FILE}: correct it first: {len(of_folder):,} pipeline files are not checked"
            report[folder / FILE] = [*mistakes, note]
        else:
            report |= {folder / FILE: []} if (folder / FILE).is_file() else {}
            report |= {file: [] for file in of_folder}
    loaded = load_files(file for file in files if file in report and file.name != FILE)
    return report | {file: _mistakes(file, found, further) for file, found in loaded.items()}


def _mistakes_of_defaults(folder: Path) -> list[str]:
    try:
        shared_settings(folder)
    except SettingError as e:
        return str(e).splitlines()
    return []


def _mistakes(file: Path, found: Pipeline | SettingError, further: Callable[[Pipeline], list[str]]) -> list[str]:
    if isinstance(found, SettingError):
        return str(found).splitlines()
    return [f"{file}: {problem}" for problem in (*unimportable(found), *further(found))]
