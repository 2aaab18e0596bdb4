"""The source table as a pipeline sees it: with its selection of columns and its masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from adbc_driver_manager import AdbcConnection

from include.medallion.bronze.locked import describe_locked
from include.medallion.bronze.rows import has_values_before
from include.medallion.bronze.table import SourceTable, describe_table
from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.config.sections.columns import HmacKey, MaskSettings
from include.medallion.errors import SettingError
from include.medallion.model.schema.source import SchemaColumn, SourceSchema
from include.medallion.model.types.choices import TypeChoices
from include.medallion.model.values.masks import Mask, MaskKind
from include.medallion.model.window import Window

_SHORTEST_KEY = 16


def describe_source(connection: AdbcConnection, pipeline: Pipeline, connections: Connections) -> SourceTable:
    """
    Look the table up and check what the pipeline promises of it.

    Raises:
        SettingError, ContractBroken: as `bronze.table.describe_table`; or the key of a mask is missing or too short.
    """
    masks = {name: _open_mask(name, mask, connections) for name, mask in pipeline.columns.mask.items()}
    return describe_table(connection, pipeline.source, pipeline.columns, masks, _type_choices(pipeline))


def _type_choices(pipeline: Pipeline) -> TypeChoices:
    read = frozenset(pipeline.columns.source_name(name) for name in pipeline.enrichment_columns)
    return TypeChoices(frozenset(pipeline.source.key), read, pipeline.types, pipeline.out_of_range)


def describe_locked_source(connection: AdbcConnection, pipeline: Pipeline, connections: Connections) -> SourceTable:
    """Describe the table as `describe_source`, locked against rewrites until the connection ends."""
    return describe_locked(connection, pipeline.source, lambda: describe_source(connection, pipeline, connections))


def with_older_values(
    connection: AdbcConnection,
    pipeline: Pipeline,
    table: SourceTable,
    held: Mapping[str, SourceSchema | None],
    window: Window,
) -> SourceTable:
    """
    Return the table with what its new columns hold in rows that the window does not read.

    `ADD COLUMN ... DEFAULT` gives existing rows a value without writing them. The catalogue forgets it: DROP DEFAULT on
    a partitioned table, or before VACUUM FULL, leaves a column that looks as if it had been added empty.

    Args:
        held: schema of each sink's position.

    Raises:
        SettingError: the role may not read the table.
    """
    known = [schema.by_attnum for schema in held.values() if schema]

    def has_values(column: SchemaColumn) -> bool:
        if column.has_default or column.generated or not window.after or all(column.attnum in some for some in known):
            return column.has_default
        source_name = pipeline.columns.source_name(column.name)
        return has_values_before(connection, pipeline.source, source_name, window)

    return replace(table, details=tuple(replace(c, has_default=has_values(c)) for c in table.details))


def _open_mask(column: str, settings: MaskSettings, connections: Connections) -> Mask:
    key = _read_key(column, settings.hmac, connections) if settings.hmac else b""
    return Mask(MaskKind(settings.kind), settings.first_n or 0, key)


def _read_key(column: str, where: HmacKey, connections: Connections) -> bytes:
    if where.connection is not None:
        key, place = connections.password(where.connection), f"the password of connection `{where.connection}`"
    else:
        key, place = connections.environ.get(where.environment or ""), f"the environment variable {where.environment}"
    if not key or len(key) < _SHORTEST_KEY:
        raise SettingError(
            f"columns.mask.{column}: {place} must hold the key of the HMAC, at least {_SHORTEST_KEY} characters: "
            "set it to a random text, and keep it, since another key changes all masked values"
        )
    return key.encode()
