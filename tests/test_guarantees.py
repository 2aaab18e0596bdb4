"""What docs/guarantees.md calls a proof is a test that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents import named_tests

PAGE = Path(__file__).parents[1] / "docs" / "guarantees.md"
LINK = re.compile(r"\]\((?P<file>\.\./tests/[^)#]+\.py)\)|`(?P<test>test_\w+)`")


def proofs() -> Iterator[tuple[str | None, str | None]]:
    """Yield each linked file of tests, alone, and each test with the file that was linked last in its paragraph."""
    for paragraph in re.split(r"\n\n|\n(?=\||- )", PAGE.read_text()):
        file = None
        for found in LINK.finditer(paragraph):
            file = found["file"] or file
            yield file, found["test"]


@pytest.mark.parametrize(("file", "test"), dict.fromkeys(proofs()))
def test_each_proof_is_a_test_of_the_file_it_is_linked_to(file, test):
    """A linked file exists and has tests; a test that is named stands behind a link to its file, and is in it."""
    assert file, f"{test} is named without a link to its file"
    existing = named_tests((PAGE.parent / file).resolve())
    assert existing
    assert test is None or test in existing


def test_every_guarantee_names_a_proof():
    """No section of a guarantee is without a link to a test."""
    sections = re.findall(r"^## \d.*?(?=^## )", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(sections) >= 7
    assert [section.splitlines()[0] for section in sections if "](../tests/" not in section] == []
