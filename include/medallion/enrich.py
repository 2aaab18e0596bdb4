"""
One part: its distinct keys answered, its rows joined with the answers, bad rows set aside.

For each enrichment one pass over the raw part gathers the keys; a last pass
joins and writes. Memory holds a few batches, the part's distinct keys and four
bytes a row for each enrichment: the number of its key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

import pyarrow as pa

from include.medallion.answers import Asker, find
from include.medallion.calls import Payer
from include.medallion.contract import SET_ASIDE
from include.medallion.enrichment import Enrichment
from include.medallion.errors import ContractBroken
from include.medallion.extract import RAW, Part
from include.medallion.found import Found
from include.medallion.joining import Answers, extended, tabulated
from include.medallion.keys import Known, number
from include.medallion.lake import Lake, create, groups_of, open_parquet, rows_of
from include.medallion.parquet import ahead
from include.medallion.pipeline import Pipeline
from include.medallion.schema import SYSTEM, Column, columns_of
from include.medallion.shaping import Shape, shaped
from include.medallion.staging import staged
from include.medallion.stale import renewed
from include.medallion.window import Mode, Window

ENRICHED, QUARANTINED = "enriched", "quarantined"


@dataclass(frozen=True, slots=True)
class Enriched:
    """What became of a part; what XCom carries."""

    part: int
    read: int
    enriched: int
    quarantined: int
    unchanged: int = 0  # rows of a look-up refresh that stay as they are
    chunks: Sequence[int] = (0,)  # of the part
    asked: int = 0  # rows with a key, for each enrichment
    keys: int = 0
    cached: int = 0
    calls: int = 0
    cost_usd: float = 0.0  # at the provider's list price
    statuses: dict[str, int] = field(default_factory=dict)  # keys by how their look-up ended

    def to_json(self) -> dict:
        """As XCom carries it."""
        return {**asdict(self), "chunks": list(self.chunks)}


def enrich(
    lake: Lake,
    pipeline: Pipeline,
    enrichments: Sequence[Enrichment],
    window: Window,
    part: Part,
    now: datetime,
    share: int = 1,
) -> Enriched:
    """
    Enrich one staged part; stage the result and the rows that broke the contract.

    Args:
        share: how many parts may be looked up at the same time in the deployment.

    Raises:
        ProviderRefused, Transient: as the look-up does. What was paid for until
            then is staged: the next try pays for the rest.
        ContractBroken: the part's files do not hold the rows that were extracted.
    """
    answers: list[Answers] = []
    costs: list[dict] = []
    for enrichment in enrichments:
        known, numbers = _distinct(lake, enrichment, window, part, answers)
        asker = Asker(Payer(enrichment.provider, pipeline.name, window.batch_id), part.number, share)
        found = find(lake, enrichment, asker, known.numbers, now)
        answers.append(tabulated(found, numbers))
        costs.append(_cost(found, len(numbers) - numbers.null_count))
    good, bad = _join(lake, pipeline, window, part, answers)
    _check_rows(window, part, good + bad)
    return Enriched(part.number, part.rows, good, bad, part.rows - good - bad, part.chunks, **_total(costs))


def _check_rows(window: Window, part: Part, found: int) -> None:
    """Refuse files that another try of `extract` wrote over; a look-up refresh leaves rows out on purpose."""
    if window.mode is not Mode.LOOKUPS and found != part.rows:
        raise ContractBroken(
            f"part {part.number} of batch {window.batch_id} holds {found} rows, but {part.rows} were extracted: "
            "clear `extract` and all after it"
        )


def _distinct(
    lake: Lake, enrichment: Enrichment, window: Window, part: Part, earlier: list[Answers]
) -> tuple[Known, pa.ChunkedArray]:
    """Give each distinct key of a part its number; return them, and the number of each row."""
    known = Known()
    needed = {*enrichment.reads, *(c for answers in earlier for c in answers.enrichment.reads)}
    read = ahead(rows_of(lake, part.files(window, RAW), None if window.mode is Mode.LOOKUPS else needed))
    numbers, start = [], 0
    for batch in read:
        numbers.append(number(_so_far(window, start, batch, earlier), enrichment.reads, enrichment.normalise, known))
        start += batch.num_rows
    return known, pa.chunked_array(numbers, pa.int32())


def _so_far(window: Window, start: int, batch: pa.RecordBatch, earlier: list[Answers]) -> pa.RecordBatch:
    """Return a part's rows from `start` on as the enrichments before have left them."""
    if window.mode is Mode.LOOKUPS:
        return renewed(start, batch, earlier, window.opened_at)[0]
    return extended(start, batch, earlier)


def _cost(found: Found, asked: int) -> dict:
    return {
        "asked": asked,
        "keys": len(found.wanted),
        "cached": found.cached,
        "calls": found.calls,
        "cost_usd": round(found.calls * found.enrichment.price_per_1000 / 1000, 6),
        "statuses": found.statuses(),
    }


def _total(costs: list[dict]) -> dict:
    sums = {name: sum(cost[name] for cost in costs) for name in ("asked", "keys", "cached", "calls", "cost_usd")}
    return {**sums, "statuses": dict(sum((cost["statuses"] for cost in costs), Counter()))}


def _join(lake: Lake, pipeline: Pipeline, window: Window, part: Part, answers: list[Answers]) -> tuple[int, int]:
    """Write the part's good rows with their answers, and its bad ones; return how many of each."""
    columns = _source_columns(staged_columns(lake, window, RAW, part), answers)
    schema = enriched_schema(columns, [c for a in answers for c in a.enrichment.columns])
    shape = Shape(window, pipeline.source.key, columns, answers, schema)
    good, bad, start = 0, 0, 0
    for chunk in part.chunks:
        with (
            create(lake, staged(window, ENRICHED, part.number, chunk), schema) as enriched,
            create(lake, staged(window, QUARANTINED, part.number, chunk), SET_ASIDE) as quarantined,
        ):
            raw = groups_of(lake, staged(window, RAW, part.number, chunk))
            for some in ahead(shaped(shape, start, raw, enriched)):
                some.write(enriched, quarantined)
                start += some.read
        good, bad = good + enriched.rows, bad + quarantined.rows
    return good, bad


def _source_columns(columns: tuple[Column, ...], answers: list[Answers]) -> tuple[Column, ...]:
    added = {name for a in answers for name in a.enrichment.adds}
    return tuple(c for c in columns if c.name not in added)


def staged_columns(lake: Lake, window: Window, stage: str, part: Part) -> tuple[Column, ...]:
    """Return the columns of a staged part, without `_version` and `_op`."""
    with open_parquet(lake, part.files(window, stage)[0]) as file:
        return columns_of(file.schema_arrow)


def enriched_schema(columns: Sequence[Column], added: Sequence[Column]) -> pa.Schema:
    """Return the schema of an enriched part: that of Gold, so that a part can become a file of the table."""
    return pa.schema([(c.name, c.type) for c in (*columns, *added, *SYSTEM)])
