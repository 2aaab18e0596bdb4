"""
The `Enrichment` dataclass: everything that look-ups need to know about one enrichment of a pipeline.

Package `enrich` makes instances of it from a pipeline file (`enrich.registry`). It is defined here, in the lower layer,
so that `lookups` does not import `enrich`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from include.medallion.config.sections.enrichment import LookupSettings
from include.medallion.model.columns import TIMESTAMP_UTC, Column, typed_column
from include.medallion.model.keys import Key, Normalise

PROVIDER, LOOKED_UP_AT = "provider", "looked_up_at"


PROVENANCE = pa.schema([(PROVIDER, pa.string()), (LOOKED_UP_AT, TIMESTAMP_UTC)])
"""Columns stored with every answer: the provider, and when it answered."""


PENDING = "PENDING"
"""Status of a key that was not looked up because the call budget was exhausted."""


KEEP_FOR = "keep"
"""Column of what a call returns: the answer's time-to-live; null: it must not be reused."""


KEEP_FOR_TYPE = pa.duration("us")


Call = Callable[[list[Key]], pa.Table]
"""
One call to a provider: takes distinct keys, returns one row per key, in order.

The columns are those of `Enrichment.answers`, and `KEEP_FOR` of type `KEEP_FOR_TYPE`.

Raises Transient if a later call may succeed, and ProviderRefused if none can until a person acts.
"""


Settle = Callable[[list[Key]], pa.Array]
"""
Decides which keys are not worth a call, such as a postcode without a country.

Returns a status for each of these, as text, and null for the others.
"""


@dataclass(frozen=True, slots=True)
class Tracking:
    """Names of the columns by which the daily refresh finds rows to look up again, and when answers expire."""

    status: str
    at: str
    keep: Callable[[str], timedelta]  # time-to-live of an answer, by its status
    provider: str | None = None  # column with the provider's name, if some providers' answers never expire
    free: frozenset[str] = frozenset()  # those providers
    retried: frozenset[str] = frozenset()  # statuses of theirs that other data may resolve
    renew_until: datetime | None = None  # a refresh also renews answers that expire until then (`lookups.forecast`)
    now_provider: str | None = None  # who answers now
    data_since: datetime | None = None  # since when the data of a free provider are as they are; None: not known


_NONE = pa.schema([])


@dataclass(frozen=True, slots=True)
class Enrichment:
    """How the keys of one pipeline are looked up, cached and joined."""

    cache: str  # Delta table that stores the answers
    provider: str  # who answers; cached answers of other providers are not used
    reads: tuple[str, ...]  # columns that form the key
    key: pa.Schema
    answers: pa.Schema  # fields of an answer
    status: str  # the field of `answers` that holds the result of the look-up
    adds: Mapping[str, str]  # columns added to rows: column name to field of an answer
    normalise: Normalise
    call: Call
    keys_per_call: int
    limits: LookupSettings | None  # None: calls are not metered, so they are neither limited nor counted
    price_per_1000: float  # US dollars for 1000 calls
    answers_per_file: int  # answers staged together: a crash loses at most this many
    without_key: str  # status of rows without a key
    refused: str  # status of answers that send their rows to the quarantine
    tracked: Tracking | None
    expires: bool  # whether an expired answer that cannot be renewed is set to NULL
    settle: Settle | None = None
    derived: pa.Schema = _NONE  # fields that are computed from an answer
    derive: Callable[[pa.Table], pa.Table] | None = None  # computes them from answers (`kept`), one row for each
    data_version: Callable[[], str | None] | None = None  # of data that costs nothing: another one may know more keys

    @property
    def kept(self) -> pa.Schema:
        """Fields of an answer, with provider and time."""
        return pa.schema([*self.answers, *PROVENANCE])

    def with_provenance(self, answers: pa.Table, now: datetime) -> pa.Table:
        """Return what a call answered at some time as `kept`."""
        rows = answers.num_rows
        provenance = pa.repeat(self.provider, rows), pa.repeat(pa.scalar(now, TIMESTAMP_UTC), rows)
        return pa.table([*answers.drop_columns([KEEP_FOR]).columns, *provenance], schema=self.kept)

    @property
    def fields(self) -> pa.Schema:
        """Columns added to rows, as Arrow fields."""
        known = {field.name: field.type for field in (*self.kept, *self.derived)}
        return pa.schema([(name, known[field]) for name, field in self.adds.items()])

    @property
    def columns(self) -> tuple[Column, ...]:
        """Columns added to rows, described for all layers."""
        return tuple(typed_column(field.name, field.type) for field in self.fields)
