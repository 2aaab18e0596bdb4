"""
Repair a Delta table that no reader can open: a column's type requires a protocol feature that the table does not have.

Some writers add a `timestamp` column without the feature `timestampNtz`. The rows are right, only the protocol is not.
It is committed as the next version of the log, by a conditional put: of two repairs one wins, and a writer that came
first is not overwritten.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from urllib.parse import urlsplit

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from deltalake.table import ProtocolVersions
from pyarrow import fs

from include.medallion.lake.object_store import Lake, filesystem

log = logging.getLogger(__name__)
_FEATURE = "timestampNtz"
_WRITER_FEATURES = {2: ["appendOnly", "invariants"], 3: ["checkConstraints"], 4: ["changeDataFeed", "generatedColumns"]}
"""What the versions of writers before features required, each besides that of the lower ones."""
_READER, _WRITER = 3, 7


def lacks_feature(error: DeltaError) -> bool:
    """Return whether a table cannot be opened because its protocol lacks the feature of a column's type."""
    return _FEATURE in str(error)


def add_missing_feature(lake: Lake, name: str) -> None:
    """
    Commit the protocol that the table's columns require.

    Args:
        name: the table's path below the lake's root.

    Raises:
        DeltaError: no version of the table can be opened.
    """
    newest = _newest_version(lake, name)
    protocol = _last_protocol(lake, name, newest)
    version = protocol.min_writer_version
    features = protocol.writer_features or [f for v, more in _WRITER_FEATURES.items() if v <= version for f in more]
    action = {
        "minReaderVersion": _READER,
        "minWriterVersion": _WRITER,
        "readerFeatures": sorted({*(protocol.reader_features or ()), _FEATURE}),
        "writerFeatures": sorted({*features, _FEATURE}),
    }
    log.warning("the Delta table %s lacks the feature %s that its columns require: it is added", name, _FEATURE)
    _put_new(lake, f"{name}/_delta_log/{newest + 1:020d}.json", json.dumps({"protocol": action}).encode())


def _newest_version(lake: Lake, name: str) -> int:
    files = filesystem(lake).get_file_info(fs.FileSelector(lake.path(f"{name}/_delta_log")))
    found = (re.fullmatch(r"(\d{20})\.json", file.base_name) for file in files)
    return max(int(match[1]) for match in found if match)


def _last_protocol(lake: Lake, name: str, newest: int) -> ProtocolVersions:
    """Return the protocol of the newest version that can be opened: the next one broke the table."""
    for version in range(newest - 1, -1, -1):
        try:
            return DeltaTable(lake.table(name), version, storage_options=dict(lake.options)).protocol()
        except DeltaError as e:
            if not lacks_feature(e) or version == 0:
                raise
    raise DeltaError("the table has one version, and it cannot be opened")


def _put_new(lake: Lake, key: str, content: bytes) -> None:
    """Write a file unless it exists; one that exists is another writer's, whose version is opened next."""
    if urlsplit(lake.root).scheme == "file":
        with Path(lake.path(key)).open("xb") as file:
            file.write(content)
        return
    import boto3  # noqa: PLC0415 (slow, and needed once in the life of a table)
    from botocore.exceptions import ClientError  # noqa: PLC0415

    options = {name.upper(): value for name, value in lake.options.items()}
    client = boto3.client(
        "s3",
        endpoint_url=options.get("AWS_ENDPOINT_URL"),
        region_name=options.get("AWS_REGION"),
        aws_access_key_id=options.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=options.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=options.get("AWS_SESSION_TOKEN"),
    )
    bucket, _, path = lake.path(key).partition("/")
    try:
        client.put_object(Bucket=bucket, Key=path, Body=content, IfNoneMatch="*")
    except ClientError as e:
        if e.response["ResponseMetadata"]["HTTPStatusCode"] not in {409, 412}:
            raise
