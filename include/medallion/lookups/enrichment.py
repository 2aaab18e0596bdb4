"""What look-ups know of an enrichment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa

from include.medallion.config.enrichment import LookupSettings
from include.medallion.model.columns import TIMESTAMP_UTC, Column, typed_column
from include.medallion.model.keys import Key, Normalise

PROVIDER, LOOKED_UP_AT = "provider", "looked_up_at"


PROVENANCE = pa.schema([(PROVIDER, pa.string()), (LOOKED_UP_AT, TIMESTAMP_UTC)])
"""What is kept of every answer besides the answer: who gave it, and when."""


PENDING = "PENDING"
"""Status of a key that was not asked for: over the budget."""


KEEP_FOR = "keep"
"""Column of what a call returns: how long an answer may be used again; null: not at all."""


KEEP_FOR_TYPE = pa.duration("us")


Call = Callable[[list[Key]], pa.Table]
"""
One call to a provider: some keys in, a row for each out, in their order.

Its columns are those of `Enrichment.answers`, and `KEEP` of type `LIFE`.

Raises Transient when a later call may succeed, ProviderRefused when none can until a person acts.
"""


@dataclass(frozen=True, slots=True)
class Tracking:
    """Columns of a row by which the daily refresh finds what is due, and how long an answer of a status is good."""

    status: str
    at: str
    keep: Callable[[str], timedelta]
    provider: str | None = None  # a row answered for nothing does not age
    free: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Enrichment:
    """How the keys of one pipeline are answered."""

    cache: str  # Delta table that keeps the answers
    provider: str  # who answers; answers of another provider are not used
    reads: tuple[str, ...]  # columns that a key is made of
    key: pa.Schema
    answers: pa.Schema  # what is kept of an answer
    status: str  # the field of `answers` that tells how a look-up ended
    adds: Mapping[str, str]  # columns that rows get: name in the row to field of an answer
    normalise: Normalise
    call: Call
    keys_per_call: int
    limits: LookupSettings | None  # None: calls cost nothing and are neither paced nor counted
    price_per_1000: float  # US dollars for 1000 calls
    group: int  # answers stored at a time: what a crash may cost
    without_key: str  # the status of rows that have none
    refused: str  # the status of answers whose rows break the contract
    tracked: Tracking | None
    expires: bool  # an answer that is too old and cannot be renewed is nulled out

    @property
    def kept(self) -> pa.Schema:
        """What is known of an answer: the answer, who gave it, and when."""
        return pa.schema([*self.answers, *PROVENANCE])

    @property
    def fields(self) -> pa.Schema:
        """The columns that rows get."""
        return pa.schema([(name, self.kept.field(field).type) for name, field in self.adds.items()])

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that rows get, described for all layers."""
        return tuple(typed_column(field.name, field.type) for field in self.fields)
