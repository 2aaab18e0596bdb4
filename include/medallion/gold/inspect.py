"""
Whether Gold's table is one that Medallion can write: what other engines may have switched on, by the name they call it.

Features of tables: https://github.com/delta-io/delta/blob/master/PROTOCOL.md#table-features. A table is inspected each
time it is opened, first when a window is opened: before anything is read, paid for, or written to another sink.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken
from include.medallion.lake import delta, delta_commit
from include.medallion.lake.object_store import Lake

_READABLE = frozenset({"timestampNtz"})
_WRITABLE = frozenset(
    {"appendOnly", "invariants", "checkConstraints", "changeDataFeed", "generatedColumns", "timestampNtz"}
)
"""Features that may be in a protocol; whether the table uses them is in its properties and its columns."""
_IDENTITY_WRITER, _FEATURES_WRITER, _FEATURES_READER = 6, 7, 3
_COLUMN_PROPERTIES = {
    "delta.generationExpression": "generated column",
    "delta.identity.start": "identity column",
    "delta.invariants": "invariant of column",
}
_CHECK = "delta.constraints."
_GONE = ("Object at location", "NoSuchKey", "No such file or directory")


def open_gold(lake: Lake, pipeline: Pipeline) -> DeltaTable | None:
    """
    Open the Gold table of a pipeline; None if it does not exist yet.

    Raises:
        ContractBroken: the table has features that Medallion does not support; the message names them.
    """
    try:
        table = _open_repaired(lake, pipeline.gold_table)
    except DeltaError as e:
        if "nsupported" not in str(e) and "not supported" not in str(e):
            raise
        raise _unsupported(pipeline, ["a feature of the Delta protocol that the reader does not know"]) from None
    if table is not None:
        check_table(pipeline, table)
    return table


def _open_repaired(lake: Lake, name: str) -> DeltaTable | None:
    """Open a table; one whose columns require a feature that its protocol lacks, which no reader opens, gets it."""
    try:
        return delta.open_table(lake, name)
    except DeltaError as e:
        if not delta_commit.lacks_feature(e):
            raise
    delta_commit.add_missing_feature(lake, name)
    return delta.open_table(lake, name)


def check_table(pipeline: Pipeline, table: DeltaTable) -> None:
    """
    Check that an opened table asks nothing of its writers that Medallion does not do.

    Raises:
        ContractBroken: the message names what it asks.
    """
    if found := unsupported_features(table):
        raise _unsupported(pipeline, found)


def unsupported_features(table: DeltaTable) -> list[str]:
    """Return what keeps Medallion from writing a table, each by its name."""
    protocol, properties = table.protocol(), table.metadata().configuration
    return sorted(
        {
            *(set(protocol.reader_features or ()) - _READABLE),
            *(set(protocol.writer_features or ()) - _WRITABLE),
            *_of_versions(protocol.min_reader_version, protocol.min_writer_version),
            *_of_properties(properties),
            *_of_columns(table),
        }
    )


def _of_versions(reader: int, writer: int) -> list[str]:
    newer = [f"minReaderVersion {reader}"] if reader > _FEATURES_READER else []
    newer += [f"minWriterVersion {writer}"] if writer > _FEATURES_WRITER else []
    return newer + (["identityColumns"] if writer == _IDENTITY_WRITER else [])


def _of_properties(properties: Mapping[str, str]) -> list[str]:
    found = ["appendOnly"] if properties.get("delta.appendOnly", "").lower() == "true" else []
    found += ["columnMapping"] if properties.get("delta.columnMapping.mode", "none") != "none" else []
    constraints = (name.removeprefix(_CHECK) for name in properties if name.startswith(_CHECK))
    return found + [f"CHECK constraint {name}" for name in constraints]


def _of_columns(table: DeltaTable) -> list[str]:
    fields: list[Any] = table.schema().fields
    return [
        f"{kind} {field.name}"
        for field in fields
        for name, kind in _COLUMN_PROPERTIES.items()
        if name in field.metadata
    ]


def _unsupported(pipeline: Pipeline, features: list[str]) -> ContractBroken:
    return ContractBroken(
        f"the Gold table {pipeline.gold_table} has features that Medallion cannot write: {', '.join(features)}. "
        "Nothing was written to it. Drop them with the engine that added them, or give gold.table another name and "
        "trigger full_refresh"
    )


@contextmanager
def missing_files(pipeline: Pipeline) -> Iterator[None]:
    """
    Report data files that the log of the Gold table names and the storage no longer has.

    Raises:
        ContractBroken: in place of what the libraries raise then.
    """
    try:
        yield
    except (DeltaError, OSError) as e:
        if not isinstance(e, FileNotFoundError) and not any(words in str(e) for words in _GONE):
            raise
        raise ContractBroken(
            f"data files of the Gold table {pipeline.gold_table} are missing: something deleted them (a lifecycle "
            "rule of the bucket, a vacuum of another engine). Restore them, or trigger full_refresh, which replaces "
            "all files"
        ).with_traceback(e.__traceback__) from None
