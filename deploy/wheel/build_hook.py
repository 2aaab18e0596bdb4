"""
Hatchling's hook: the folders of a clone become package `medallion_airflow` of the wheel.

In a clone the core is package `include.medallion` and each plugin is a top-level module, as in any Airflow project.
Installed beside other packages such names collide, so the wheel holds the same code under one name:

    include/medallion/       medallion_airflow/
    include/<another>/       medallion_airflow/<another>/, but for the sandbox
    plugins/*.py             medallion_airflow/plugins/
    dags/*.py                medallion_airflow/dags/

Imports are rewritten; a file that still imports a name of the clone stops the build.
"""

from __future__ import annotations

import ast
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "medallion_airflow"
CORE, SANDBOX = "medallion", "sandbox"
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")


class WheelHook(BuildHookInterface):
    """Add the package to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the package into a temporary folder and name it to hatchling."""
        if version == "editable":
            raise ValueError("there is no editable wheel: put the clone's root and plugins/ on PYTHONPATH instead")
        self._folder = tempfile.TemporaryDirectory(prefix="medallion-wheel-")
        target = Path(self._folder.name) / PACKAGE
        write_package(Path(self.root), target)
        build_data["force_include"][str(target)] = PACKAGE

    def finalize(self, *_: object) -> None:
        """Delete the temporary folder."""
        self._folder.cleanup()


def write_package(root: Path, target: Path) -> None:
    """
    Write the package of a clone.

    Args:
        root: folder of the clone.
        target: folder of the package; must not exist.

    Raises:
        ValueError: a file imports a name that the wheel does not have.
    """
    plugins = frozenset(file.stem for file in (root / "plugins").glob("*.py"))
    packages = frozenset(find_packages(root)) - {CORE}
    for source, place in find_folders(root).items():
        shutil.copytree(root / source, target / place, ignore=LEFT_OUT, dirs_exist_ok=True)
    shutil.copy(root / "deploy" / "wheel" / "load_dags.py", target / "dags" / "__init__.py")
    (target / "plugins" / "__init__.py").write_text('"""Plugins of Airflow, and what the DAGs share."""\n', "utf-8")
    for file in sorted(target.rglob("*.py")):
        converted = convert(file.read_text("utf-8"), plugins, packages)
        if left := foreign_imports(converted, plugins):
            raise ValueError(f"{file.relative_to(target)} imports {', '.join(left)}, which the wheel does not have")
        file.write_text(converted, "utf-8")


def find_packages(root: Path) -> list[str]:
    """Return the packages below include/ that the wheel has."""
    found = sorted(file.parent.name for file in (root / "include").glob("*/__init__.py"))
    return [name for name in found if name != SANDBOX]


def find_folders(root: Path) -> dict[str, str]:
    """Return the folders of the clone, with their place in the package."""
    packages = {f"include/{name}": "" if name == CORE else name for name in find_packages(root)}
    return {**packages, "plugins": "plugins", "dags": "dags"}


def convert(source: str, plugins: frozenset[str], packages: frozenset[str] = frozenset()) -> str:
    """
    Return a file's text with the names that the wheel has.

    Args:
        source: the text.
        plugins: names of the modules in plugins/.
        packages: names of the packages in include/ but the core.

    Examples:
        >>> convert("from include.medallion.errors import Refused", frozenset())
        'from medallion_airflow.errors import Refused'
        >>> convert("import sentry_delivery", frozenset({"sentry_delivery"}))
        'from medallion_airflow.plugins import sentry_delivery'
        >>> convert("Run `python -m include.medallion check`.", frozenset())
        'Run `medallion check`.'
    """
    names, others = (("|".join(map(re.escape, sorted(each))) or "(?!)") for each in (plugins, packages))
    for pattern, replacement in (
        (r"python -m include\.medallion\b(?!\.)", "medallion"),
        (r"\binclude\.medallion\b", PACKAGE),
        (rf"\binclude\.({others})\b", rf"{PACKAGE}.\1"),
        (rf"^( *)import ({names})$", rf"\1from {PACKAGE}.plugins import \2"),
        (rf"^( *)from ({names}) import ", rf"\1from {PACKAGE}.plugins.\2 import "),
    ):
        source = re.sub(pattern, replacement, source, flags=re.MULTILINE)
    return source


def foreign_imports(source: str, plugins: frozenset[str]) -> list[str]:
    """Return what a file imports that only a clone has."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
    return sorted(module for module in modules if module.partition(".")[0] in {"include", *plugins})
