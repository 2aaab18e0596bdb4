"""Manifests and other documents of staging come back as they were written, or are refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake, read_bytes, write_bytes
from include.medallion.lake.parquet import FileInfo
from include.medallion.model.counts import Applied
from include.medallion.model.window import Mode, Window
from include.medallion.staging.parts import EnrichedPart, LookupCounts, Part, StagedFile
from include.medallion.staging.records.documents import read_document, write_document
from include.medallion.staging.records.manifests import RawManifest

PATH = "_staging/one/document.json"
WINDOW = Window("one", "source", 1, 2, 20260101000000000, Mode.TRIAL, 10, 3)
FILE = StagedFile("_staging/one/part.parquet", 3, FileInfo(10, 999, "0123abcd"))
DOCUMENTS = [
    WINDOW,
    RawManifest(WINDOW, (Part(0, 2, (FILE,)), Part(1, 2, ()))),
    EnrichedPart(1, ("0123abcd",), 12, (FILE,), (FILE,), LookupCounts(1, 2, 3, 4, 0.005, {"OK": 2})),
    Applied.replay(10, 5),
]


@pytest.fixture
def lake(tmp_path):
    """Return a lake in a folder."""
    return Lake(tmp_path.as_uri())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: type(document).__name__)
def test_a_document_comes_back_as_it_was_written(lake, document):
    """Windows, manifests and counts survive their way through JSON."""
    write_document(lake, PATH, document)
    assert read_document(lake, PATH, type(document)) == document


def test_a_missing_document_is_not_a_damaged_one(lake):
    """Callers distinguish a stage that has not finished from one that is damaged."""
    with pytest.raises(FileNotFoundError):
        read_document(lake, PATH, Window)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=st.sampled_from(DOCUMENTS), at=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_damaged_document_is_never_taken_for_a_good_one(lake, document, at, flip):
    """Any byte that changes makes a document unreadable, or changes nothing of what is read."""
    write_document(lake, PATH, document)
    data = bytearray(read_bytes(lake, PATH))
    data[int(at * len(data))] ^= flip
    write_bytes(lake, PATH, bytes(data))
    with suppress(ContractBroken):
        assert read_document(lake, PATH, type(document)) == document


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=st.sampled_from(DOCUMENTS), keep=st.floats(0, 1, exclude_max=True))
def test_a_truncated_document_is_refused(lake, document, keep):
    """A document of which only the beginning was written is refused."""
    write_document(lake, PATH, document)
    data = read_bytes(lake, PATH)
    write_bytes(lake, PATH, data[: int(keep * len(data))])
    with pytest.raises(ContractBroken, match=PATH):
        read_document(lake, PATH, type(document))
