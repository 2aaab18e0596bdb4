"""
One part: its distinct keys answered, its rows joined with the answers, bad rows set aside.

For each enrichment one pass over the raw part gathers the keys; a last pass
joins and writes. Memory holds a few batches, the part's distinct keys and four
bytes a row for each enrichment: the number of its key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import chain

import pyarrow as pa

from include.medallion.config.pipeline import Pipeline
from include.medallion.enrich.expiry import apply_refresh
from include.medallion.enrich.join import LookupTable, add_lookup_columns, build_lookup_table
from include.medallion.enrich.rows import RowPlan, transform
from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake, create_parquet, read_row_groups, read_rows
from include.medallion.lake.parquet.prefetch import prefetch
from include.medallion.lookups.enrichment import Enrichment
from include.medallion.lookups.resolve import LookupContext, resolve_keys
from include.medallion.lookups.results import LookupResults
from include.medallion.lookups.usage_ledger import BillingKey
from include.medallion.model.columns import SYSTEM_COLUMNS, Column
from include.medallion.model.keys import KeyIndex, encode_keys
from include.medallion.model.validation import QUARANTINE_SCHEMA
from include.medallion.model.window import Mode, Window
from include.medallion.staging.layout import ENRICHED, QUARANTINED, RAW, part_file
from include.medallion.staging.parts import EnrichedPart, Part, staged_columns


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
    Enrich one staged part; stage the result and the rows that broke the contract.

    Args:
        share: how many parts may be looked up at the same time in the deployment.

    Raises:
        ProviderRefused, Transient: as the look-up does. What was paid for until
            then is staged: the next try pays for the rest.
        ContractBroken: the part's files do not hold the rows that were extracted.
    """
    answers: list[LookupTable] = []
    costs: list[dict] = []
    for enrichment in enrichments:
        known, numbers = _distinct_keys(lake, enrichment, window, part, answers)
        asker = LookupContext(BillingKey(enrichment.provider, pipeline.name, window.batch_id), part.number, share)
        found = resolve_keys(lake, enrichment, asker, known.numbers, now)
        answers.append(build_lookup_table(found, numbers))
        costs.append(_cost(found, len(numbers) - numbers.null_count))
    good, bad = _write_rows(lake, pipeline, window, part, answers)
    _check_rows(window, part, good + bad)
    return EnrichedPart(part.number, part.rows, good, bad, part.rows - good - bad, part.chunks, **_total_costs(costs))


def _check_rows(window: Window, part: Part, found: int) -> None:
    """Refuse files that another try of `extract` wrote over; a look-up refresh leaves rows out on purpose."""
    if window.mode is not Mode.LOOKUPS and found != part.rows:
        raise ContractBroken(
            f"part {part.number} of batch {window.batch_id} holds {found} rows, but {part.rows} were extracted: "
            "clear `extract` and all after it"
        )


def _distinct_keys(
    lake: Lake, enrichment: Enrichment, window: Window, part: Part, earlier: list[LookupTable]
) -> tuple[KeyIndex, pa.ChunkedArray]:
    """Give each distinct key of a part its number; return them, and the number of each row."""
    known = KeyIndex()
    needed = {*enrichment.reads, *(c for answers in earlier for c in answers.enrichment.reads)}
    columns = None if window.mode is Mode.LOOKUPS else needed
    read = prefetch(chain.from_iterable(read_rows(lake, key, columns=columns) for key in part.files(window, RAW)))
    numbers, start = [], 0
    for batch in read:
        numbers.append(
            encode_keys(
                _with_earlier_columns(window, start, batch, earlier), enrichment.reads, enrichment.normalise, known
            )
        )
        start += batch.num_rows
    return known, pa.chunked_array(numbers, pa.int32())


def _with_earlier_columns(
    window: Window, start: int, batch: pa.RecordBatch, earlier: list[LookupTable]
) -> pa.RecordBatch:
    """Return a part's rows from `start` on as the enrichments before have left them."""
    if window.mode is Mode.LOOKUPS:
        return apply_refresh(start, batch, earlier, window.opened_at)[0]
    return add_lookup_columns(start, batch, earlier)


def _cost(found: LookupResults, asked: int) -> dict:
    return {
        "asked": asked,
        "keys": len(found.wanted),
        "cached": found.cached,
        "calls": found.calls,
        "cost_usd": round(found.calls * found.enrichment.price_per_1000 / 1000, 6),
        "statuses": found.statuses(),
    }


def _total_costs(costs: list[dict]) -> dict:
    sums = {name: sum(cost[name] for cost in costs) for name in ("asked", "keys", "cached", "calls", "cost_usd")}
    return {**sums, "statuses": dict(sum((cost["statuses"] for cost in costs), Counter()))}


def _write_rows(
    lake: Lake, pipeline: Pipeline, window: Window, part: Part, answers: list[LookupTable]
) -> tuple[int, int]:
    """Write the part's good rows with their answers, and its bad ones; return how many of each."""
    columns = _source_columns(staged_columns(lake, window, RAW, part), answers)
    schema = enriched_schema(columns, [c for a in answers for c in a.enrichment.columns])
    shape = RowPlan(window, pipeline.source.key, columns, answers, schema)
    good, bad, start = 0, 0, 0
    for chunk in part.chunks:
        with (
            create_parquet(lake, part_file(window, ENRICHED, part.number, chunk), schema) as enriched,
            create_parquet(lake, part_file(window, QUARANTINED, part.number, chunk), QUARANTINE_SCHEMA) as quarantined,
        ):
            raw = read_row_groups(lake, part_file(window, RAW, part.number, chunk))
            for some in prefetch(transform(shape, start, raw, enriched)):
                some.write(enriched, quarantined)
                start += some.read
        good, bad = good + enriched.rows, bad + quarantined.rows
    return good, bad


def _source_columns(columns: tuple[Column, ...], answers: list[LookupTable]) -> tuple[Column, ...]:
    added = {name for a in answers for name in a.enrichment.adds}
    return tuple(c for c in columns if c.name not in added)


def enriched_schema(columns: Sequence[Column], added: Sequence[Column]) -> pa.Schema:
    """Return the schema of an enriched part: that of Gold, so that a part can become a file of the table."""
    return pa.schema([(c.name, c.type) for c in (*columns, *added, *SYSTEM_COLUMNS)])
