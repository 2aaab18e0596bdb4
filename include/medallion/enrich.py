"""
One part: its distinct keys answered, its rows joined with the answers, bad rows set aside.

Two passes over the raw part, batch by batch: the first gathers the keys, the
second joins and writes. Memory holds a few batches, the part's distinct keys and
four bytes a row: the number of its key.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion import cache
from include.medallion.contract import Reason, convert, judge, readable
from include.medallion.enrichment import Answer, Answered, Enrichment
from include.medallion.extract import RAW, Part
from include.medallion.keys import Key, number
from include.medallion.lake import Lake, create, open_parquet, staged
from include.medallion.lookups import Tally
from include.medallion.parquet import ahead, batches
from include.medallion.pipeline import Pipeline
from include.medallion.schema import SYSTEM, VERSION, Column, columns_of
from include.medallion.window import Window

ENRICHED, QUARANTINED = "enriched", "quarantined"
SET_ASIDE = pa.schema([("reason", pa.string()), ("key", pa.string()), ("row", pa.string()), (VERSION, pa.int64())])
"""Staged quarantine: reason, the row's key and the whole row as JSON, its version."""


@dataclass(frozen=True, slots=True)
class Enriched:
    """What became of a part; what XCom carries."""

    part: int
    read: int
    enriched: int
    quarantined: int
    keys: int
    cached: int
    calls: int
    statuses: dict[str, int]  # keys by how their look-up ended

    def to_json(self) -> dict:
        """As XCom carries it."""
        return asdict(self)


def enrich(
    lake: Lake,
    pipeline: Pipeline,
    enrichment: Enrichment,
    window: Window,
    part: Part,
    now: datetime,
    budget: int | None = None,
    share: int = 1,
) -> Enriched:
    """
    Enrich one staged part; stage the result and the rows that broke the contract.

    Args:
        budget: look-ups this part may pay for; None for no bound.
        share: how many parts may be looked up at the same time in the deployment.

    Raises:
        ProviderRefused, Transient: as the look-up does. What was paid for until
            then is staged: the next try pays for the rest.
    """
    wanted, numbers = _distinct(lake, enrichment, window, part)
    found = cache.known(lake, enrichment, wanted, now)
    tally = Tally()
    missing = [key for key in wanted if key not in found]
    paid = _paid(lake, enrichment, missing, now, budget, share, tally)
    answers = found | {a.key: a.answer for a in paid}
    good, bad = _stage(lake, pipeline, enrichment, window, part, numbers, _answer_table(enrichment, wanted, answers))
    statuses = Counter(answers.get(k, enrichment.unanswered).get("geocode_status", "OK") for k in wanted)
    return Enriched(part.number, good + bad, good, bad, len(wanted), len(found), tally.calls, dict(statuses))


def _distinct(lake: Lake, enrichment: Enrichment, window: Window, part: Part) -> tuple[dict[Key, int], list[pa.Array]]:
    """Return the part's keys with their numbers, and the number of each row, batch by batch."""
    known: dict[Key, int] = {}
    with open_parquet(lake, staged(window, RAW, part.number)) as raw:
        read = ahead(batches(raw, enrichment.reads))
        numbers = [number(batch, enrichment.reads, enrichment.normalise, known) for batch in read]
    return known, numbers


def _paid(
    lake: Lake,
    enrichment: Enrichment,
    missing: list[Key],
    now: datetime,
    budget: int | None,
    share: int,
    tally: Tally,
) -> Iterator[Answered]:
    """Yield new answers, each after it is safe in staging; also those that came before a failure."""
    group: list[Answered] = []
    try:
        for answered in enrichment.ask(missing, budget, share, tally) if missing else ():
            group.append(answered)
            if len(group) >= enrichment.group:
                full, group = group, []
                cache.keep(lake, enrichment, full, now)
                yield from full
    finally:
        cache.keep(lake, enrichment, group, now)
    yield from group


def _stage(
    lake: Lake,
    pipeline: Pipeline,
    enrichment: Enrichment,
    window: Window,
    part: Part,
    numbers: list[pa.Array],
    answers: tuple[pa.RecordBatch, pa.Array],
) -> tuple[int, int]:
    """Write the part's good rows with their answers, and its bad ones; return how many of each."""
    columns = staged_columns(lake, window, RAW, part)
    schema = enriched_schema(columns, enrichment.columns)
    good = bad = 0
    with (
        open_parquet(lake, staged(window, RAW, part.number)) as raw,
        create(lake, staged(window, ENRICHED, part.number), schema) as enriched,
        create(lake, staged(window, QUARANTINED, part.number), SET_ASIDE) as quarantined,
    ):
        for fine, refused in ahead(_joined(batches(raw), numbers, answers, columns, schema, pipeline, window)):
            enriched.write_batch(fine)
            quarantined.write_batch(refused)
            good, bad = good + fine.num_rows, bad + refused.num_rows
    return good, bad


def _joined(
    read: Iterable[pa.RecordBatch],
    numbers: list[pa.Array],
    answers: tuple[pa.RecordBatch, pa.Array],
    columns: tuple[Column, ...],
    schema: pa.Schema,
    pipeline: Pipeline,
    window: Window,
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Yield each batch as its good rows with their answers, and its bad ones as the quarantine keeps them."""
    table, refused = answers
    for batch, numbered in zip(read, numbers, strict=True):
        rows = pc.fill_null(numbered, table.num_rows - 1)
        reasons = judge(batch, columns, pipeline.source.key)
        reasons = pc.coalesce(reasons, pc.if_else(refused.take(rows), str(Reason.KEY_REFUSED), None))
        kept, bad = batch, batch.slice(0, 0)
        if reasons.null_count < batch.num_rows:
            bad, fine = batch.filter(reasons.is_valid()), reasons.is_null()
            kept, rows = batch.filter(fine), rows.filter(fine)
        arrays = [*convert(kept, columns), *table.take(rows).columns, kept.column(VERSION)]
        whole = [*arrays, *(pa.repeat(value, kept.num_rows) for value in of_batch(window))]
        yield pa.RecordBatch.from_arrays(whole, schema=schema), set_aside(bad, reasons.drop_null(), pipeline)


def of_batch(window: Window) -> list[pa.Scalar]:
    """Return what the rows of a batch have in common: the system columns after `_version`."""
    values = (window.batch_id, window.opened_at, None)
    return [pa.scalar(value, column.type) for value, column in zip(values, SYSTEM[1:], strict=True)]


def staged_columns(lake: Lake, window: Window, stage: str, part: Part) -> tuple[Column, ...]:
    """Return the columns of a staged part, without `_version` and `_op`."""
    with open_parquet(lake, staged(window, stage, part.number)) as file:
        return columns_of(file.schema_arrow)


def enriched_schema(columns: tuple[Column, ...], added: tuple[Column, ...]) -> pa.Schema:
    """Return the schema of an enriched part: that of Gold, so that a part can become a file of the table."""
    return pa.schema([(c.name, c.type) for c in (*columns, *added, *SYSTEM)])


def _answer_table(
    enrichment: Enrichment, known: dict[Key, int], answers: dict[Key, Answer]
) -> tuple[pa.RecordBatch, pa.Array]:
    """Return the added columns in the order of the keys' numbers, then a row for no key; and which are refused."""
    rows = [*(answers.get(key, enrichment.unanswered) for key in known), enrichment.without_key]
    fields = [enrichment.answers.field(name) for name in enrichment.adds]
    arrays = [pa.array([row[f.name] for row in rows], f.type) for f in fields]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields)), pa.array([enrichment.refused(r) for r in rows])


def set_aside(rows: pa.RecordBatch, reasons: pa.Array, pipeline: Pipeline) -> pa.RecordBatch:
    """Return rows as the quarantine keeps them: reason, key and row as JSON, version."""
    texts = pa.RecordBatch.from_arrays([readable(c) for c in rows.columns], rows.schema.names)
    read = texts.drop_columns([VERSION]).to_pylist()
    whole = [json.dumps(row, ensure_ascii=False) for row in read]
    return pa.RecordBatch.from_arrays(
        [reasons, key_texts(rows, pipeline.source.key), pa.array(whole, pa.string()), rows.column(VERSION)],
        schema=SET_ASIDE,
    )


def key_texts(rows: pa.RecordBatch, key: list[str]) -> pa.Array:
    """Return each row's key as the quarantine keeps it: a JSON list of texts."""
    values = zip(*(readable(rows.column(c)).to_pylist() for c in key), strict=True)
    return pa.array([json.dumps(v, ensure_ascii=False) for v in values], pa.string())
