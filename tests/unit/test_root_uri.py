"""The lake's root is one that both libraries which read it understand alike."""

from __future__ import annotations

import pytest

from include.medallion.errors import SettingError
from include.medallion.lake.object_store import open_lake


@pytest.mark.parametrize(
    "root",
    [
        "s3://lake",
        "s3://lake/",
        "s3://lake/medallion",
        "s3://my-bucket.eu_1/a/b-c/d.e=1/",
        "file:///data/lake",
        "s3://lake/größe",
    ],
)
def test_a_plain_root_is_taken(root):
    """Letters, digits and the usual punctuation."""
    assert open_lake(root, {}).root == root


@pytest.mark.parametrize(
    ("root", "problem"),
    [
        ("s3://lake/my%20data/x", "holds '%'"),
        ("s3://lake/a#b", "holds '#'"),
        ("s3://lake/a?b", r"holds '\?'"),
        ("s3://lake/a b", "holds ' '"),
        (" s3://lake/a", "must be the lake's root"),
        ("s3://lake/a\n", r"holds '\\n'"),
        ("s3://lake//a", "holds // after the bucket"),
        ("s3://lake/a//", "holds // after the bucket"),
        ("s3://", "names no bucket"),
        ("s3:///a", "names no bucket"),
        ("s3://user:secret@lake/a", "names no bucket"),
        ("s3://lake/../a", "holds . or .. as a folder"),
        ("s3://lake/a[1]", r"holds '\[' '\]'"),
        ("file://data/lake", "absolute folder"),
        ("file:///", "absolute folder"),
        ("S3://lake", "must be the lake's root"),
        ("https://lake.s3.amazonaws.com", "must be the lake's root"),
        ("", "must be the lake's root"),
        (None, "must be the lake's root"),
    ],
)
def test_another_root_is_refused_with_what_is_wrong(root, problem):
    """Before anything is read or written; the message never repeats what may be a secret."""
    with pytest.raises(SettingError, match=f"^AWS_URI .*{problem}") as refused:
        open_lake(root, {})
    assert "secret" not in str(refused.value)
