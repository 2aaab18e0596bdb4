"""The command `init`: write a pipeline file for each table that a pattern names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from include.medallion.bronze.postgres.connection import connect
from include.medallion.config.checks.reserved import GOLD_PREFIXES, GOLD_TABLES, PIPELINES, SILVER_PREFIX
from include.medallion.config.connection_info import libpq_uri
from include.medallion.config.connections import read_connection
from include.medallion.config.defaults import FILE, shared_settings
from include.medallion.config.files import load_file, pipeline_name
from include.medallion.errors import ContractBroken, SettingError
from include.medallion.onboarding.draft import Target, pipeline_text
from include.medallion.onboarding.inspect import (
    KINDS,
    READABLE_KINDS,
    Connection,
    Relation,
    Table,
    describe_server,
    find_relations,
    inspect_table,
    undone_if_it_fails,
)
from include.medallion.onboarding.suggest import Suggestion, suggest

_SCHEMA = Path(__file__).parents[3] / "docs" / "pipeline.schema.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of one table.

    Args:
        pipeline: its name; empty if no file was written.
        lines: what to print.
    """

    pipeline: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """
    What the user wants.

    Args:
        folder: where files go.
        force: replace files that are there.
        name: of the pipeline; by default the table's.
    """

    connection: str
    folder: Path
    force: bool = False
    name: str = ""


def draft_files(pattern: str, order: Order, environ: Mapping[str, str]) -> Iterator[Outcome]:
    """
    Write a pipeline file for each table that a pattern names; an outcome for each, after one about the connection.

    Args:
        pattern: `table`, `schema.table` or `'schema.*'`, as in the system catalog.
        environ: has the connection.

    Raises:
        SettingError: the connection is not defined or refused, or no table matches.
        Transient: the server cannot be reached.
    """
    info = read_connection(order.connection, environ)
    yield Outcome("", (describe_server(order.connection, info),))
    schema, dot, name = pattern.partition(".")
    schema, name = (schema, name) if dot else ("public", pattern)
    with connect(libpq_uri(info), order.connection) as connection:
        relations = find_relations(connection, schema, name)
        if order.name and len(relations) > 1:
            raise SettingError(f"--name is for one table, and {pattern} matches {len(relations):,}: name one of them")
        for relation in relations:
            yield _init_table(connection, relation, order)


def _init_table(connection: Connection, relation: Relation, order: Order) -> Outcome:
    if relation.kind not in READABLE_KINDS:
        return _skipped(relation, f"a {KINDS[relation.kind]}, whose rows carry no transaction id")
    if not relation.readable:
        return _skipped(relation, "the role may not read it: GRANT SELECT on the table")
    try:
        with undone_if_it_fails(connection):
            table = inspect_table(connection, relation)
    except ContractBroken as e:
        return _skipped(relation, "it has no primary key and no unique index: add one" if "[]" in str(e) else str(e))
    except SettingError as e:
        return _skipped(relation, str(e))
    return _write(table, order)


def _skipped(relation: Relation, reason: str) -> Outcome:
    return Outcome("", (f"{relation.title}: skipped: {reason}",))


def _write(table: Table, order: Order) -> Outcome:
    target, suggestion = _target(table.relation, order), suggest(table)
    file = next(_files_of(target.name, order.folder), order.folder / f"{target.name}.yaml")
    if file.exists() and not order.force:
        return _skipped(table.relation, f"{_short(file)} is there: --force replaces it, --name chooses another")
    text = pipeline_text(target, suggestion)
    _check(text, file, order.folder)
    order.folder.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return Outcome(target.name, tuple(_report(table, suggestion, file)))


def _report(table: Table, suggestion: Suggestion, file: Path) -> Iterator[str]:
    rows = f"about {int(table.rows):,} rows" if table.rows >= 0 else "size unknown until ANALYZE"
    yield f"{table.relation.title}: {rows}, {len(table.columns):,} columns"
    yield from (f"  {about:<10}{text}" for about, text in suggestion.assumptions)
    yield from (f"  {'decide':<10}{line}" for line in suggestion.decisions)
    yield f"  {'wrote':<10}{_short(file)}"


def _target(relation: Relation, order: Order) -> Target:
    """Choose the pipeline's name: the table's, with its schema where that is not public or the name is taken."""
    plain = _plain_name(relation.name)
    usable = relation.schema == "public" and _is_free(plain)
    name = order.name or (plain if usable else _plain_name(f"{relation.schema}_{relation.name}"))
    schema = os.path.relpath(_SCHEMA, order.folder) if _SCHEMA.is_file() else ""
    return Target(name, order.connection, relation.schema, relation.name, shared_settings(order.folder), schema)


def _plain_name(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
    return plain if plain[:1].isalpha() else f"table_{plain}"


def _is_free(name: str) -> bool:
    return name not in PIPELINES | GOLD_TABLES and not name.startswith((*GOLD_PREFIXES, SILVER_PREFIX))


def _files_of(name: str, folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.glob("*.y*ml")) if pipeline_name(file) == name)


def _check(text: str, file: Path, folder: Path) -> None:
    """Load the text as a pipeline file before anything is written."""
    with TemporaryDirectory() as trial:
        shared: Any = folder / FILE
        if shared.is_file():
            (Path(trial) / FILE).write_text(shared.read_text("utf-8"), "utf-8")
        (Path(trial) / file.name).write_text(text, "utf-8")
        load_file(Path(trial) / file.name)


def _short(file: Path) -> str:
    return os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
