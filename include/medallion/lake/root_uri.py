"""
The form of the lake's root, AWS_URI.

Two libraries read and write the lake: delta-rs takes URIs, in which `%`, `#` and `?` have a meaning, and pyarrow takes
paths, in which they have none. A root that they would read as two different folders is refused.
"""

from __future__ import annotations

import re

from include.medallion.errors import SettingError

_ROOT = re.compile(r"(s3|file)://(?P<bucket>[^/]*)(?P<path>/.*)?", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FOREIGN = re.compile(r"[^\w.~+=@:,;&$!*'()/-]")
"""Characters that the libraries interpret differently, or that one of them refuses."""


def check_root(root: str | None) -> str:
    """
    Return the root of the lake.

    Args:
        root: `s3://bucket/prefix` or `file:///folder`.

    Raises:
        SettingError: it is neither, or holds characters that are not safe; the message says which.
    """
    found = _ROOT.fullmatch(root or "")
    if root is None or found is None:
        raise SettingError("AWS_URI must be the lake's root, e.g. s3://my-bucket/medallion (or file:///folder)")
    if problem := _problem(root, found["bucket"], found["path"] or ""):
        raise SettingError(
            f"AWS_URI {problem}: S3 clients read it differently. Use s3://my-bucket/medallion, for example"
        )
    return root


def _problem(root: str, bucket: str, path: str) -> str | None:
    if foreign := sorted(set(_FOREIGN.findall(root))):
        return f"holds {' '.join(map(repr, foreign))}; allowed are letters, digits and - _ . / and the like"
    if root.startswith("s3:") and not _BUCKET.fullmatch(bucket):
        return "names no bucket, or none that S3 knows, after s3://"
    if root.startswith("file:") and (bucket or not path.strip("/")):
        return "must name an absolute folder after file://, with three slashes in a row"
    folders = path.removeprefix("/").removesuffix("/").split("/") if path.strip("/") else []
    if "" in folders:
        return "holds // after the bucket"
    return "holds . or .. as a folder" if {".", ".."} & {*folders} else None
