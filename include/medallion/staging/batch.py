"""A complete batch, as sinks get it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake
from include.medallion.lake.parquet_files import read_schema
from include.medallion.model.columns import COMMENT_KEY, Column, columns_from_schema
from include.medallion.model.window import Window
from include.medallion.staging.parts import EnrichedPart, StagedFile
from include.medallion.staging.records.manifests import read_enriched, read_gone


@dataclass(frozen=True)
class Batch:
    """
    All rows of one window, enriched.

    Args:
        parts: at least one.
        gone: files with keys, in the columns of the key, and a version: rows that the source no longer has. A sink
            removes or marks them, as the pipeline's `deletes` says, unless it holds a newer version.
    """

    lake: Lake
    pipeline: Pipeline
    window: Window
    parts: tuple[EnrichedPart, ...]
    gone: tuple[StagedFile, ...] = ()

    @property
    def rows(self) -> int:
        """Rows for the sinks."""
        return sum(part.rows for part in self.parts)

    @property
    def gone_keys(self) -> int:
        """Keys that the source no longer has."""
        return sum(file.info.rows for file in self.gone)

    @property
    def changes(self) -> int:
        """Rows for the sinks, and keys whose rows are to be deleted: each is accounted for."""
        return self.rows + self.gone_keys

    @property
    def read(self) -> int:
        """Rows that were read from the source."""
        return sum(part.read for part in self.parts)

    @property
    def files(self) -> list[StagedFile]:
        """Files with the rows for the sinks, part by part."""
        return [file for part in self.parts for file in part.files]

    @property
    def key(self) -> list[str]:
        """Columns of the primary key."""
        return self.pipeline.key

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of the staged rows: those of the source, of the enrichments, and the system columns."""
        first = self.files[0]
        return read_schema(self.lake, first.path, first.info)

    @property
    def comment(self) -> str:
        """Comment of the source table; empty if it has none, or the batch was not read from it."""
        comment: bytes = (self.schema.metadata or {}).get(COMMENT_KEY, b"")
        return comment.decode()

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns of the source and of the enrichments."""
        return columns_from_schema(self.schema)


def open_batch(lake: Lake, pipeline: Pipeline, window: Window) -> Batch:
    """
    Open a batch that is staged and enriched completely.

    Raises:
        Incomplete: a stage is missing; the message says what to clear.
        ContractBroken: a manifest is damaged, or the batch was staged when the pipeline had another key.
    """
    batch = Batch(lake, pipeline, window, read_enriched(lake, window), read_gone(lake, window))
    if not {*batch.key} <= {*batch.schema.names}:
        raise ContractBroken(
            f"batch {window.batch_id} of {window.pipeline} was staged with another key than {batch.key}: it cannot be "
            "applied again. Trigger a new run"
        )
    return batch
