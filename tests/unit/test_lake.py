"""Where the lake is, and what it refuses to be told."""

from __future__ import annotations

import pytest

from include.medallion.errors import SettingError
from include.medallion.lake import open_lake


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"])
def test_an_empty_setting_is_refused(name):
    """A setting that is there but empty is named: it would hide the machine's role, or crash the S3 library."""
    with pytest.raises(SettingError, match=f"{name}: set, but empty"):
        open_lake("s3://bucket/prefix", {name: ""})
