"""What Airflow's pages show of one pipeline: its description and its documentation, from its file alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from include.medallion.config.files import describe_schedule
from include.medallion.config.pipeline import Pipeline
from include.medallion.config.sections.columns import ColumnSettings
from include.medallion.config.sections.enrichment import EnrichmentSettings
from include.medallion.config.sections.expectations import Expectation

GEOCODE_TYPES: Mapping[str, str] = {"latitude": "double", "longitude": "double", "geocoded_at": "timestamp"}
"""Types of the columns that geocoding adds, without those of text."""
HANDLING = """
* **Nothing new**: `extract` finds no rows, all tasks after it are skipped, the run is green.
* **A task failed**: its log ends with the reason. Fix what it names and clear the task, or wait for the next run: it
  starts from the sinks' positions. Every task is idempotent: nothing is lost or doubled, however often tasks repeat.
* **The trigger form** offers a full refresh, a trial, a refresh of look-ups, and a replay of the quarantine.
"""


def describe(pipeline: Pipeline) -> str:
    """Return the DAG's description: from which table to which."""
    return f"{_source(pipeline)} to {', '.join(_sinks(pipeline).values())}".replace("`", "")


def document(pipeline: Pipeline) -> str:
    """Return the DAG's documentation in Markdown."""
    source = pipeline.source
    facts = {
        "source": f"table `{_source(pipeline)}`, connection `{source.connection}`",
        "key": ", ".join(f"`{name}`" for name in source.key),
        "condition": f"`{source.where}`" if source.where else "all rows",
        **_sinks(pipeline),
        "schedule": f"`{describe_schedule(pipeline)}`",
        **({"fresh within": pipeline.fresh_within} if pipeline.fresh_within else {}),
        "deletes": "rows are marked with `_deleted_at`" if pipeline.deletes == "soft" else "rows are removed",
        "owner": pipeline.owner,
        "price": "; ".join(map(_price, pipeline.enrich)) or "no look-ups",
    }
    table = [f"| {name} | {value} |" for name, value in facts.items()]
    columns = [f"| {name} | {kind} | {note} |" for name, kind, note in _columns(pipeline)]
    return "\n".join(
        [
            f"### {describe(pipeline)}\n",
            *("| | |", "|---|---|", *table),
            *("\n#### Columns\n", "| column | type | |", "|---|---|---|", *columns),
            *(["\n#### Expectations\n", *map(_expectation, pipeline.expect)] if pipeline.expect else []),
            HANDLING,
        ]
    )


def _source(pipeline: Pipeline) -> str:
    return f"{pipeline.source.schema_}.{pipeline.source.table}"


def _sinks(pipeline: Pipeline) -> dict[str, str]:
    found = {"Silver": f"Snowflake `{pipeline.silver_table}`"} if pipeline.silver else {}
    found |= {"Gold": f"Delta `{pipeline.gold_table}`"} if pipeline.gold else {}
    return found | {name: f"`{name}` (`{sink.open}`)" for name, sink in pipeline.sinks.items()}


def _columns(pipeline: Pipeline) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and note of what the file says of columns; the source's own types are those of its table."""
    yield from _selected(pipeline.columns)
    for name, mask in pipeline.columns.mask.items():
        yield f"`{pipeline.columns.sink_name(name)}`", "as masked", f"masked: {mask.kind}"
    for name, new in pipeline.columns.rename.items():
        yield f"`{new}`", "as in the source", f"`{name}` in the source"
    for name, declared in pipeline.added_types:
        kind = declared or GEOCODE_TYPES.get(next((c for c in GEOCODE_TYPES if name.endswith(c)), ""), "string")
        yield f"`{name}`", kind, "added by an enrichment"
    for name, kind in (("_version", "long"), ("_batch_id", "long"), ("_loaded_at", "timestamp")):
        yield f"`{name}`", kind, "added to every row"
    yield "`_deleted_at`", "timestamp", "when a reconcile found the row deleted; NULL for live rows"


def _selected(columns: ColumnSettings) -> Iterator[tuple[str, str, str]]:
    if columns.include is not None:
        yield ", ".join(f"`{name}`" for name in columns.include), "as in the source", "no others flow"
        return
    without = ", ".join(f"`{name}`" for name in columns.exclude)
    yield "all of the table's", "as in the source", f"without {without}" if without else ""


def _price(enrichment: EnrichmentSettings) -> str:
    settings = enrichment.settings
    geocode, function = enrichment.geocode, enrichment.function
    what = (geocode.geocoder or "default geocoder") if geocode else f"`{function.call}`" if function else ""
    price = "list price" if settings.price_per_1000 is None else f"{settings.price_per_1000:g} USD per 1,000 calls"
    limits = {"run": settings.max_calls_per_run, "day": settings.max_calls_per_day}
    most = [f"at most {limit:,} calls a {of}" for of, limit in limits.items() if limit is not None]
    return f"{what}: {', '.join([price, *most])}"


def _expectation(expectation: Expectation) -> str:
    return f"* `{expectation.label}`: {expectation.action}"
