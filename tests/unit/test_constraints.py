"""Every version that is installed is pinned, with the hashes of its files."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FILES = [file.name for file in sorted(ROOT.glob("requirements*.txt"))]
PINS = re.split(r"\n(?! )", (ROOT / "constraints.txt").read_text().strip())


def required(name: str) -> list[Requirement]:
    """Return the direct requirements of a file."""
    lines = (ROOT / name).read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-r"))]


def pinned(text: str) -> Requirement:
    """Return what one entry of constraints.txt pins."""
    return Requirement(re.split(r" *\\\n", text)[0])


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_has_a_pin_that_satisfies_it(name):
    """`make constraints` was run after the last change of a requirement."""
    versions = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in map(pinned, PINS)}
    assert [r for r in required(name) if not r.specifier.contains(versions[canonicalize_name(r.name)])] == []


def test_every_pin_has_hashes():
    """A file that was replaced in the package index is not installed."""
    assert [pin for pin in PINS if not re.search(r"--hash=sha256:[0-9a-f]{64}", pin)] == []


def test_pip_gets_the_same_versions_without_the_hashes():
    """`make pip-constraints` prints what pip takes as constraints: it cannot compare hashes of those."""
    command = ["make", "-s", "pip-constraints"]
    plain = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [Requirement(line) for line in plain.splitlines()] == [pinned(pin) for pin in PINS]
