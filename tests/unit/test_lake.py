"""Where the lake is, which settings it refuses, and where a batch's files are in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.medallion.errors import SettingError
from include.medallion.lake.object_store import open_lake
from include.medallion.model.window import Mode, Window
from include.medallion.staging.layout import ENRICHED, QUARANTINED, RAW, part_file, part_manifest, stage_manifest

WINDOW = Window("one", "source", 0, 9, 20260101000000000)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"])
def test_an_empty_setting_is_refused(name):
    """A setting that is there but empty is named: it would hide the machine's role, or crash the S3 library."""
    with pytest.raises(SettingError, match=f"{name}: set, but empty"):
        open_lake("s3://bucket/prefix", {name: ""})


@pytest.mark.parametrize(
    "other", [{"upto": 10}, {"after": 1}, {"mode": Mode.REFRESH}, {"batch_id": WINDOW.batch_id + 1}]
)
def test_two_windows_never_share_a_file(other):
    """Windows that got the same batch id, but differ in what they read, have files of their own."""

    def files(window):
        rows = {part_file(window, stage, part, 7) for stage in (RAW, ENRICHED, QUARANTINED) for part in (0, 3)}
        return rows | {stage_manifest(window, RAW), part_manifest(window, 0), part_manifest(window, 3)}

    assert len(files(WINDOW)) == 9
    assert files(WINDOW) & files(replace(WINDOW, **other)) == set()
