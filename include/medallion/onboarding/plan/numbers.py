"""Numbers that arrive as text because the pipeline file chooses no type for them."""

from __future__ import annotations

from collections.abc import Mapping

from include.medallion.bronze.postgres.connection import connect
from include.medallion.bronze.table import SourceTable, describe_table
from include.medallion.config.connection_info import libpq_uri
from include.medallion.config.connections import read_connection
from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import MedallionError
from include.medallion.model.types.choices import TypeChoices


def text_numbers(pipeline: Pipeline, table: SourceTable) -> list[str]:
    """Return a note on each column of numbers that arrives as text."""
    return [
        f"{column.name} is {column.type}: it arrives as its exact text, so MAX and ORDER BY compare text. To "
        f"have numbers: types: {{{column.name}: number(38,10)}}, or double"
        for column in table.details
        if column.type.startswith("numeric") and column.arrow == "string"
        if pipeline.columns.source_name(column.name) not in pipeline.columns.mask
        if not {pipeline.columns.source_name(column.name), "numeric"} & pipeline.types.keys()
    ]


def read_text_numbers(pipeline: Pipeline, environ: Mapping[str, str]) -> list[str]:
    """Return the notes of `text_numbers`; none if the source cannot be read now, which `plan` and runs report."""
    try:
        uri = libpq_uri(read_connection(pipeline.source.connection, environ))
        with connect(uri, pipeline.source.connection) as connection:
            choices = TypeChoices(frozenset(pipeline.source.key), frozenset(), pipeline.types, pipeline.out_of_range)
            return text_numbers(pipeline, describe_table(connection, pipeline.source, pipeline.columns, {}, choices))
    except MedallionError:
        return []
