"""Where the lake is, and what it refuses to be told."""

from __future__ import annotations

import pytest

from include.medallion.errors import SettingError
from include.medallion.lake.object_store import open_lake
from include.medallion.model.window import Window
from include.medallion.staging.layout import numbers_of, part_file


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"])
def test_an_empty_setting_is_refused(name):
    """A setting that is there but empty is named: it would hide the machine's role, or crash the S3 library."""
    with pytest.raises(SettingError, match=f"{name}: set, but empty"):
        open_lake("s3://bucket/prefix", {name: ""})


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (part_file(Window("one", "source", 0, 9, 20260101000000000), "raw", 3, 7), (3, 7)),
        ("_staging/one/20260101000000000/raw-window-0-9/part-0003.parquet", None),
    ],
)
def test_a_staged_file_tells_its_part_and_chunk(key, found):
    """The numbers in a name come back; a file that an earlier version named otherwise is none of ours."""
    assert numbers_of(key) == found
