"""What a plan consists of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from include.medallion.errors import MedallionError, Refused, SchemaChanged
from include.medallion.redaction.library_errors import redact_library_errors


class Level(StrEnum):
    """What a finding means for the next run, with the exit code of `plan`."""

    NOTE = "note"
    UNREACHABLE = "unreachable"
    APPROVAL = "approval"
    REFUSED = "refused"


EXIT_CODES = {Level.NOTE: 0, Level.UNREACHABLE: 75, Level.APPROVAL: 3, Level.REFUSED: 1}
"""Exit code of `plan`, by the gravest finding."""
_GRAVEST = (Level.REFUSED, Level.APPROVAL, Level.UNREACHABLE, Level.NOTE)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the next run would meet."""

    level: Level
    message: str


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """One column through the layers; `mask` names what replaces its values."""

    name: str
    source: str
    gold: str
    silver: str
    mask: str = ""


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """
    The table, and what the run reads of it.

    Args:
        server: the connection and the server that it leads to.
        rows: of the whole table, estimated by the planner; below 0 if it has no estimate.
        bytes: of the table without indexes, all partitions together.
        rows_to_read: counted in the window; None where the table is too large to count.
        scan_seconds: that each run takes to scan the table, roughly.
        starts: when runs start.
    """

    server: str
    role: str
    version: str
    table: str
    kind: str
    key: list[str]
    read: str
    rows: int
    bytes: int
    partitions: int
    window: str
    rows_to_read: int | None
    scan_seconds: float
    chunks: int
    parts: int
    starts: str


@dataclass(frozen=True, slots=True)
class SinkPlan:
    """A sink: what it holds, how its schema differs from the source's, and what is executed because of that."""

    name: str
    target: str
    holds: str
    changes: list[str]
    action: str
    ddl: list[str]


@dataclass(frozen=True, slots=True)
class LookupPlan:
    """
    The look-ups of one enrichment.

    Args:
        keys: distinct keys of the rows that the run reads.
        is_exact: whether they were counted; else estimated from a sample.
        cached: of them, how many are answered from the cache.
        missing: of them, how many are looked up.
        calls: that these take.
        free_calls: that cost nothing this month any more.
        hours: that the calls take at the rate limit.
        budget: calls of one run at most; more arrive as PENDING; None without a limit.
        statuses: what the answers would be, where asking costs nothing, as shares of the keys.
        postcodes: distinct postcodes, if addresses are looked up.
    """

    enrichment: str
    provider: str
    keys: int
    is_exact: bool
    cached: int
    missing: int
    calls: int
    price_per_1000: float
    free_calls: int
    cost_usd: float
    hours: float
    budget: int | None = None
    statuses: dict[str, float] = field(default_factory=dict)
    postcodes: int = 0


@dataclass
class Plan:
    """What the next run of a pipeline would do; parts that could not be found out are missing."""

    pipeline: str
    source: SourcePlan | None = None
    columns: list[ColumnPlan] = field(default_factory=list)
    sinks: list[SinkPlan] = field(default_factory=list)
    lookups: list[LookupPlan] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def gravest(self) -> Level:
        """The gravest level of what was found."""
        levels = {finding.level for finding in self.findings}
        return next((level for level in _GRAVEST if level in levels), Level.NOTE)

    def note(self, message: str) -> None:
        """Add something worth knowing."""
        self.findings.append(Finding(Level.NOTE, message))

    @contextmanager
    def finding_failures(self) -> Iterator[None]:
        """Turn a failure of the block into a finding."""
        try:
            with redact_library_errors():
                yield
        except MedallionError as e:
            self.findings.append(Finding(_level(e), str(e)))


def _level(error: MedallionError) -> Level:
    if isinstance(error, SchemaChanged):
        return Level.APPROVAL
    return Level.REFUSED if isinstance(error, Refused) else Level.UNREACHABLE
