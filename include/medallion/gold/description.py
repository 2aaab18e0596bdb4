"""What the Delta table says of itself: comments of the source, and properties that name its source and its pipeline."""

from __future__ import annotations

import pyarrow as pa
from deltalake import DeltaTable

from include.medallion.config.pipeline import Pipeline
from include.medallion.lake import delta
from include.medallion.lake.delta_commit import commit_metadata
from include.medallion.model.window import Mode
from include.medallion.staging.batch import Batch


def properties(pipeline: Pipeline) -> dict[str, str]:
    """Return the properties of a pipeline's table."""
    source = pipeline.source
    return {"medallion.pipeline": pipeline.name, "medallion.source": f"{source.schema_}.{source.table}"}


def describe_table(table: DeltaTable, batch: Batch, schema: pa.Schema) -> None:
    """
    Carry the comments of the source over, and name source and pipeline, unless another pipeline has named itself.

    A full refresh makes the table this pipeline's. A comment that the source does not have was added in the sink and
    stays. A table of an earlier version of this package gets the interval of checkpoints that new ones have.

    Args:
        schema: the columns that the table is about to have.

    Raises:
        CommitFailedError: another commit came first.
    """
    if batch.window.mode is Mode.LOOKUPS:
        return
    there, named = table.metadata().configuration, properties(batch.pipeline)
    is_ours = batch.window.mode is Mode.REFRESH or not named.keys() <= there.keys()
    interval = {name: value for name, value in delta.CHECKPOINT_INTERVAL.items() if name not in there}
    comments = {
        column.name: column.comment for column in batch.columns if column.comment and column.name in schema.names
    }
    commit_metadata(
        batch.lake,
        batch.pipeline.gold_table,
        table,
        description=batch.comment or None,
        properties=interval | (named if is_ours else {}),
        comments=comments,
    )
