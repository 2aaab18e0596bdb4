"""References to the parts of a staged batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from include.medallion.lake.object_store import Lake, open_parquet
from include.medallion.model.columns import Column, columns_from_schema
from include.medallion.model.window import Window
from include.medallion.staging.layout import part_file


@dataclass(frozen=True, slots=True)
class Part:
    """Reference to one staged part; what XCom carries."""

    number: int
    rows: int
    of: int = 1  # parts that the window was cut into; empty ones are not staged
    chunks: Sequence[int] = (0,)  # in which it has rows: a file each

    def files(self, window: Window, stage: str) -> list[str]:
        """Return the keys of its files in a stage of the batch, in the order of the chunks."""
        return [part_file(window, stage, self.number, chunk) for chunk in self.chunks]

    def to_json(self) -> dict:
        """As XCom carries it."""
        return {**asdict(self), "chunks": list(self.chunks)}


@dataclass(frozen=True, slots=True)
class EnrichedPart:
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


def staged_columns(lake: Lake, window: Window, stage: str, part: Part) -> tuple[Column, ...]:
    """Return the columns of a staged part, without `_version` and `_op`."""
    with open_parquet(lake, part.files(window, stage)[0]) as file:
        return columns_from_schema(file.schema_arrow)
