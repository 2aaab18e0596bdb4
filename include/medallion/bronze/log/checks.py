"""Whether the log of a table can be read: server, publication and replica identity, each refused with its fix."""

from __future__ import annotations

from typing import Any

import adbc_driver_manager

from include.medallion.bronze.postgres.connection import fetch_rows
from include.medallion.bronze.table import SourceTable
from include.medallion.config.sections.tables import Source
from include.medallion.errors import ContractBroken, SettingError
from include.medallion.model.columns import quote_identifier, quote_literal

_SEPARATOR = "\x1f"
_STANDBY_VERSION = 160_000  # decoding on a standby


def check_log_source(connection: adbc_driver_manager.AdbcConnection, source: Source, table: SourceTable) -> None:
    """
    Check that the log has all changes of the table, with their keys.

    Raises:
        SettingError: the server keeps no logical log, or the publication is missing or leaves changes out.
        ContractBroken: the log does not carry the key of deleted rows.
    """
    schema, name = quote_literal(source.schema_), quote_literal(source.table)
    words = {"schema": schema, "table": name, "publication": quote_literal(source.publication_name)}
    found = fetch_rows(connection, "log_source", separator=quote_literal(_SEPARATOR), **words)[0]
    if found["wal_level"] != "logical":
        raise SettingError(
            f"source.read is log, but wal_level of connection `{source.connection}` is {found['wal_level']}: set it to "
            "logical and restart the server (RDS and Cloud SQL have a parameter for it), or set read: xmin"
        )
    if found["standby"] and found["version"] < _STANDBY_VERSION:
        raise SettingError(
            f"connection `{source.connection}` is a standby before PostgreSQL 16, which cannot decode its log: use the "
            "primary, or set read: xmin"
        )
    _check_publication(source, found)
    _check_identity(connection, source, table)


def _check_publication(source: Source, found: dict[str, Any]) -> None:
    name, table = quote_identifier(source.publication_name), _table(source)
    columns = {*found["columns"].split(_SEPARATOR)} - {""}
    if not found["published"] or not found["has_table"]:
        verb = (
            f"CREATE PUBLICATION {name} FOR TABLE" if not found["published"] else f"ALTER PUBLICATION {name} ADD TABLE"
        )
        options = " WITH (publish_via_partition_root = true)" if not found["published"] else ""
        raise SettingError(
            f"publication {source.publication_name} does not publish all rows of {source.schema_}.{source.table}: its "
            f"owner runs {verb} {table}{options}, without a row filter; a partitioned table needs "
            "publish_via_partition_root = true. source.publication names another publication"
        )
    if not found["whole"] or (columns and not {*source.key} <= columns):
        raise SettingError(
            f"publication {source.publication_name} leaves out changes or key columns: its owner runs ALTER "
            f"PUBLICATION {name} SET (publish = 'insert, update, delete, truncate'), without a list of columns"
        )


def _check_identity(connection: adbc_driver_manager.AdbcConnection, source: Source, table: SourceTable) -> None:
    found = fetch_rows(connection, "replica_identity", relation=table.relation, separator=quote_literal(_SEPARATOR))
    for row in found:
        carried = {*row["columns"].split(_SEPARATOR)} if row["identity"] in {"d", "i"} else set()
        if row["identity"] != "f" and not {*source.key} <= carried:
            raise ContractBroken(
                f"the replica identity of {row['name']} does not include the key {source.key}, so the log does not say "
                f"which rows are deleted: its owner runs ALTER TABLE {row['name']} REPLICA IDENTITY USING INDEX with "
                "the unique index of the key, or REPLICA IDENTITY FULL"
            )


def _table(source: Source) -> str:
    return f"{quote_identifier(source.schema_)}.{quote_identifier(source.table)}"
