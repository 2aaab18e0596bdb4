"""
Enrich one part: look up its distinct keys, join its rows with the results, quarantine invalid rows.

For each enrichment, one pass over the raw part collects the keys; a last pass joins and writes. Memory holds a few
batches, the part's distinct keys and four bytes per row and enrichment (the number of its key).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from include.medallion.config.pipeline import Pipeline
from include.medallion.enrich.expectations import Expected, open_expectations
from include.medallion.enrich.expiry import apply_refresh
from include.medallion.enrich.join import LookupTable, add_lookup_columns, build_lookup_table
from include.medallion.enrich.rows import RowPlan, transform
from include.medallion.enrich.sources import SourceExpiry
from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake
from include.medallion.lake.parquet.prefetch import prefetch
from include.medallion.lake.parquet_files import create_parquet, read_row_groups, read_schema
from include.medallion.lookups.enrichment import Enrichment
from include.medallion.lookups.resolve import LookupContext, resolve_keys
from include.medallion.lookups.results import LookupResults
from include.medallion.lookups.usage_ledger import BillingKey
from include.medallion.model.columns import SYSTEM_COLUMNS, Column, columns_from_schema
from include.medallion.model.keys import KeyIndex, encode_keys
from include.medallion.model.values.validation import QUARANTINE_SCHEMA
from include.medallion.model.window import Mode, Window
from include.medallion.staging.files import read_staged_rows
from include.medallion.staging.layout import ENRICHED, QUARANTINED, part_file
from include.medallion.staging.parts import EnrichedPart, LookupCounts, Part, StagedFile, sum_lookups
from include.medallion.staging.records.manifests import begin_part, finish_part, read_extracted


@dataclass(frozen=True, slots=True)
class _Written:
    """What a chunk of a part became: files of good and bad rows, and how many rows fail each expectation."""

    good: StagedFile
    bad: StagedFile
    failures: Counter[str]


def enrich_part(
    lake: Lake,
    pipeline: Pipeline,
    enrichments: Sequence[Enrichment],
    window: Window,
    part: Part,
    now: datetime,
    share: int = 1,
) -> EnrichedPart:
    """
    Enrich one staged part: stage the rows for the sinks and the quarantined ones, then the part's manifest.

    Args:
        enrichments: in order; without any, rows are only validated.
        share: how many parts may be looked up at the same time in the deployment.

    Raises:
        ProviderRefused, Transient: as the look-up does. Answers that were paid for until then are staged: the next try
            pays only for the rest.
        ContractBroken: the part's files are damaged, or were replaced by another try of `extract`.
    """
    begin_part(lake, window, part.number)
    tables: list[LookupTable] = []
    counts: list[LookupCounts] = []
    for enrichment in enrichments:
        keys, numbers, expiry = _distinct_keys(lake, enrichment, window, part, tables, now)
        context = LookupContext(BillingKey(enrichment.provider, pipeline.name, window.batch_id), part.number, share)
        results = resolve_keys(lake, expiry.bound(enrichment, keys, now), context, keys.numbers, now)
        tables.append(build_lookup_table(results, numbers))
        counts.append(_count(results, len(numbers) - numbers.null_count))
    written = _write_rows(lake, pipeline, window, part, tables, now)
    bad = tuple(file.bad for file in written if file.bad.info.rows)
    failures = _sum_failures(pipeline, window, written)
    good = tuple(file.good for file in written)
    enriched = EnrichedPart(
        part.number, part.checksums, part.rows, good, bad, sum_lookups(counts), failures, tuple(counts)
    )
    _check_rows(window, enriched)
    finish_part(lake, window, enriched)
    return enriched


def _sum_failures(pipeline: Pipeline, window: Window, written: Sequence[_Written]) -> dict[str, int]:
    """Return how many rows fail each expectation, those that none fails included."""
    evaluated = pipeline.expect if window.mode is not Mode.LOOKUPS else ()
    return {e.label: sum(file.failures[e.label] for file in written) for e in evaluated}


def _check_rows(window: Window, part: EnrichedPart) -> None:
    """Check that no row was lost; a look-up refresh leaves out rows that stay as they are."""
    if window.mode is not Mode.LOOKUPS and part.unchanged:
        raise ContractBroken(
            f"part {part.number} of batch {window.batch_id}: {part.read:,} rows extracted, {part.rows:,} enriched, "
            f"{part.quarantined:,} quarantined. Clear `extract` and the tasks after it"
        )


def _distinct_keys(
    lake: Lake, enrichment: Enrichment, window: Window, part: Part, earlier: list[LookupTable], now: datetime
) -> tuple[KeyIndex, pa.ChunkedArray, SourceExpiry]:
    """Return the distinct keys of a part, the number of each row's key, and when what they are made of expires."""
    known, expiry = KeyIndex(), SourceExpiry(enrichment, earlier)
    needed = {*enrichment.reads, *(c for table in earlier for c in table.enrichment.reads)}
    columns = None if window.mode is Mode.LOOKUPS else needed
    numbers, start = [], 0
    for batch in prefetch(read_staged_rows(lake, part.files, columns)):
        rows = _with_earlier_columns(window, start, batch, earlier, now)
        numbers.append(encode_keys(rows, enrichment.reads, enrichment.normalise, known))
        expiry.add(rows, numbers[-1], known)
        start += batch.num_rows
    return known, pa.chunked_array(numbers, pa.int32()), expiry


def _with_earlier_columns(
    window: Window, start: int, batch: pa.RecordBatch, earlier: list[LookupTable], now: datetime
) -> pa.RecordBatch:
    """Return a part's rows from `start` on as the enrichments before have left them."""
    if window.mode is Mode.LOOKUPS:
        return apply_refresh(start, batch, earlier, now)[0]
    return add_lookup_columns(start, batch, earlier)


def _count(results: LookupResults, rows: int) -> LookupCounts:
    price, statuses = results.enrichment.price_per_1000, dict(results.statuses())
    cost = round(results.calls * price / 1000, 6)
    provider = results.enrichment.provider
    return LookupCounts(rows, len(results.wanted), results.cached, results.calls, cost, statuses, provider, price)


def _write_rows(
    lake: Lake, pipeline: Pipeline, window: Window, part: Part, tables: list[LookupTable], now: datetime
) -> list[_Written]:
    """Write the part's rows with their look-up results, and the quarantined ones, chunk by chunk."""
    first = part.files[0]
    raw = read_schema(lake, first.path, first.info)
    columns = _source_columns(columns_from_schema(raw), tables)
    schema = enriched_schema(columns, [c for table in tables for c in table.enrichment.columns])
    schema = schema.with_metadata(raw.metadata)
    expected = _open_expectations(lake, pipeline, window)
    plan = RowPlan(window, now, pipeline.key, columns, tables, schema, expected)
    written, start = [], 0
    for raw in part.files:
        written.append(_write_chunk(lake, plan, part, raw, start))
        start += raw.info.rows
    return written


def _open_expectations(lake: Lake, pipeline: Pipeline, window: Window) -> tuple[Expected, ...]:
    """Return the expectations; a look-up refresh changes no row of the source, so it evaluates none."""
    if not pipeline.expect or window.mode is Mode.LOOKUPS:
        return ()
    files = [file for one in read_extracted(lake, window) for file in one.files]
    return open_expectations(pipeline.expect, lake, files)


def _write_chunk(lake: Lake, plan: RowPlan, part: Part, raw: StagedFile, start: int) -> _Written:
    failures: Counter[str] = Counter()
    good, bad = (part_file(plan.window, stage, part.number, raw.chunk) for stage in (ENRICHED, QUARANTINED))
    with create_parquet(lake, good, plan.schema) as out, create_parquet(lake, bad, QUARANTINE_SCHEMA) as quarantined:
        for rows in prefetch(transform(plan, start, read_row_groups(lake, raw.path, raw.info), out)):
            rows.write(out, quarantined)
            failures.update(rows.failures)
    files = StagedFile(good, raw.chunk, out.file), StagedFile(bad, raw.chunk, quarantined.file)
    return _Written(*files, failures)


def _source_columns(columns: tuple[Column, ...], tables: list[LookupTable]) -> tuple[Column, ...]:
    added = {name for table in tables for name in table.enrichment.adds}
    return tuple(c for c in columns if c.name not in added)


def enriched_schema(columns: Sequence[Column], added: Sequence[Column]) -> pa.Schema:
    """Return the schema of an enriched part: that of Gold, so that a part can become a file of the table."""
    return pa.schema([c.field for c in (*columns, *added, *SYSTEM_COLUMNS)])
