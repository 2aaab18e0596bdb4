"""
Commits to the log of a Delta table that delta-rs does not make, or not well, by a conditional put: the first one wins.

Some writers add a `timestamp` column without the feature `timestampNtz`: the rows are right, but no reader opens the
table. delta-rs cannot open it either. It can change the metadata of a table, but in a commit for each part of them, and
it keeps all other threads of the process waiting for the network meanwhile.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError
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
    with suppress(CommitFailedError):  # another writer's version is opened next
        _commit(lake, name, newest + 1, {"protocol": action})


def commit_metadata(
    lake: Lake,
    name: str,
    table: DeltaTable,
    *,
    description: str | None,
    properties: Mapping[str, str],
    comments: Mapping[str, str],
) -> None:
    """
    Change what a table says of itself, in one commit, if any of it differs.

    Args:
        name: the table's path below the lake's root.
        table: opened; it is on the new version afterwards.
        description: None leaves the one that it has.
        properties: besides those that it has.
        comments: of columns, by name; other columns keep theirs.

    Raises:
        CommitFailedError: another commit came first.
    """
    about, schema = table.metadata(), _with_comments(table, comments)
    action = {
        "id": about.id,
        "name": about.name,
        "description": description or about.description,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps(schema),
        "partitionColumns": about.partition_columns,
        "createdTime": about.created_time,
        "configuration": {**about.configuration, **properties},
    }
    is_same = (action["description"], action["configuration"]) == (about.description, about.configuration)
    if is_same and schema == json.loads(table.schema().to_json()):
        return
    info = {"timestamp": time.time_ns() // 1_000_000, "operation": "SET TBLPROPERTIES", "operationParameters": {}}
    _commit(lake, name, table.version() + 1, {"commitInfo": info}, {"metaData": action})
    table.update_incremental()


def _with_comments(table: DeltaTable, comments: Mapping[str, str]) -> dict[str, Any]:
    """Return the schema of a table as the log has it, with comments of some columns."""
    schema: dict[str, Any] = json.loads(table.schema().to_json())
    for field in schema["fields"]:
        if field["name"] in comments:
            field["metadata"] = {**field["metadata"], "comment": comments[field["name"]]}
    return schema


def _commit(lake: Lake, name: str, version: int, *actions: Mapping[str, object]) -> None:
    """Commit a version of the log unless it exists."""
    content = "\n".join(map(json.dumps, actions)).encode()
    if not _put_new(lake, f"{name}/_delta_log/{version:020d}.json", content):
        raise CommitFailedError(f"version {version} of the Delta table {name} is another writer's")


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


def _put_new(lake: Lake, key: str, content: bytes) -> bool:
    """Write a file unless it exists; return whether it did not."""
    if urlsplit(lake.root).scheme == "file":
        with suppress(FileExistsError), Path(lake.path(key)).open("xb") as file:
            file.write(content)
            return True
        return False
    import boto3  # noqa: PLC0415 (slow, and rarely needed)
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
        return False
    return True
