"""References to the staged files of a batch: what manifests hold and tasks hand on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from include.medallion.lake.parquet import FileInfo


@dataclass(frozen=True, slots=True)
class StagedFile:
    """
    One complete Parquet file in staging.

    Args:
        path: below the lake's root.
        chunk: number of the chunk of the source table that its rows were read with.
        info: rows, size and checksum, against which every reader verifies it.
    """

    path: str
    chunk: int
    info: FileInfo


@dataclass(frozen=True, slots=True)
class Part:
    """The share of a window's rows that one mapped task enriches."""

    number: int
    of: int  # parts that the window was cut into; parts without rows are not staged
    files: tuple[StagedFile, ...]  # raw rows, in the order of the chunks

    @property
    def rows(self) -> int:
        """Rows of the part."""
        return sum(file.info.rows for file in self.files)

    @property
    def checksums(self) -> tuple[str, ...]:
        """Checksums of its files: two extractions of one part differ in them."""
        return tuple(file.info.checksum for file in self.files)


@dataclass(frozen=True, slots=True)
class LookupCounts:
    """
    What the look-ups of a part came to.

    Args:
        rows: rows with a key, summed over the enrichments.
        keys: distinct keys.
        cached: keys that the cache answered.
        calls: calls made, retries included.
        cost_usd: US dollars at the provider's list price.
        statuses: number of keys by the status of their look-up.
        provider: who answered, in counts of one enrichment.
        price_per_1000: US dollars for 1000 of its calls.
    """

    rows: int = 0
    keys: int = 0
    cached: int = 0
    calls: int = 0
    cost_usd: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    provider: str = ""
    price_per_1000: float = 0.0

    @property
    def unresolved(self) -> int:
        """Keys without a result: neither OK, nor PENDING until the call budget allows another call."""
        return sum(count for status, count in self.statuses.items() if status not in {"OK", "PENDING"})


def sum_lookups(counts: Iterable[LookupCounts]) -> LookupCounts:
    """Return the sum of some counts."""
    some = list(counts)
    sums = {name: sum(getattr(one, name) for one in some) for name in ("rows", "keys", "cached", "calls")}
    statuses = dict(sum((Counter(one.statuses) for one in some), Counter()))
    return LookupCounts(**sums, cost_usd=round(sum(one.cost_usd for one in some), 6), statuses=statuses)


@dataclass(frozen=True, slots=True)
class EnrichedPart:
    """Result of enriching one part: its files, row counts and look-up cost."""

    number: int
    raw_checksums: tuple[str, ...]  # of the extraction it was made from
    read: int
    files: tuple[StagedFile, ...]  # rows for the sinks, in the order of the chunks
    quarantined_files: tuple[StagedFile, ...]
    lookups: LookupCounts = LookupCounts()
    expectations: dict[str, int] = field(default_factory=dict)  # rows that do not meet each expectation
    by_enrichment: tuple[LookupCounts, ...] = ()  # of which `lookups` is the sum, in the order of the pipeline file

    @property
    def rows(self) -> int:
        """Rows for the sinks."""
        return sum(file.info.rows for file in self.files)

    @property
    def quarantined(self) -> int:
        """Rows that no sink can hold."""
        return sum(file.info.rows for file in self.quarantined_files)

    @property
    def unchanged(self) -> int:
        """Rows of a look-up refresh that stay as they are."""
        return self.read - self.rows - self.quarantined
