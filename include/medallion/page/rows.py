"""
Rows of Gold for the page: a preview, and a sample of coordinates for the map.

Both are off unless `MEDALLION_PAGE_DATA=on`. Columns that the pipeline file masks or excludes are never read, and
never more of Gold than a few files.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import SettingError
from include.medallion.lake import delta
from include.medallion.lake.object_store import Lake
from include.medallion.page.snapshot import TIMEOUTS

if TYPE_CHECKING:
    import pyarrow.dataset as ds

SETTING = "MEDALLION_PAGE_DATA"
PREVIEW_ROWS, SAMPLE_ROWS, SAMPLE_FILES = 20, 20_000, 8
MAX_CELLS = 160
"""Cells of the map along its longer side."""


def shows_data(environ: Mapping[str, str]) -> bool:
    """
    Return whether the page may show rows of Gold.

    Raises:
        SettingError: the setting is neither on nor off.
    """
    value = environ.get(SETTING, "").strip().lower() or "off"
    if value not in {"on", "off"}:
        raise SettingError(f"{SETTING} must be on or off")
    return value == "on"


def preview(lake: Lake, pipeline: Pipeline) -> dict[str, Any]:
    """Return the names of the visible columns of Gold and some live rows, each value as text or None."""
    data = _open(lake, pipeline)
    if data is None:
        return {"columns": [], "rows": []}
    columns = [name for name in data.schema.names if name not in hidden_columns(pipeline)]
    found = data.head(PREVIEW_ROWS, columns=columns, filter=_live())
    values = [map(_text, _readable(found[name]).to_pylist()) for name in columns]
    return {"columns": columns, "rows": [list(row) for row in zip(*values, strict=True)]}


def hidden_columns(pipeline: Pipeline) -> set[str]:
    """Return the names, in the sinks, of columns that the page never shows: masked and excluded ones."""
    return {pipeline.columns.sink_name(name) for name in (*pipeline.columns.mask, *pipeline.columns.exclude)}


def density(lake: Lake, pipeline: Pipeline) -> dict[str, Any]:
    """Return how many sampled rows of Gold lie in each cell of a grid, with the cell's size in degrees."""
    data, names = _open(lake, pipeline), _coordinates(pipeline)
    if data is None or names is None or not {*names} <= {*data.schema.names} - hidden_columns(pipeline):
        return {"cell": 1, "cells": [], "sampled": 0}
    sample = pa.concat_tables([data.schema.empty_table().select(names), *_sample(data, names)])
    points = [*zip(*(sample[name].to_pylist() for name in names), strict=True)]
    cell = _cell_size(points)
    counts = Counter((math.floor(lat / cell), math.floor(lon / cell)) for lat, lon in points)
    cells = [[round(y * cell, 4), round(x * cell, 4), n] for (y, x), n in counts.most_common()]
    return {"cell": cell, "cells": cells, "sampled": len(points)}


def _open(lake: Lake, pipeline: Pipeline) -> ds.Dataset | None:
    hasty = replace(lake, options={**TIMEOUTS, **lake.options})
    table = delta.open_table(hasty, pipeline.gold_table) if pipeline.gold else None
    return delta.dataset(hasty, pipeline.gold_table, table) if table else None


def _live() -> pc.Expression:
    return pc.field("_deleted_at").is_null()


def _coordinates(pipeline: Pipeline) -> list[str] | None:
    """Return the names of the columns with latitude and longitude of the first geocode."""
    prefixes = [e.geocode.prefix for e in pipeline.enrich if e.geocode]
    return [f"{prefixes[0]}latitude", f"{prefixes[0]}longitude"] if prefixes else None


def _sample(data: ds.Dataset, names: list[str]) -> Iterator[pa.Table]:
    """Yield rows with coordinates from the beginnings of some files, evenly chosen."""
    files = [*data.get_fragments()]
    chosen = files[:: max(1, math.ceil(len(files) / SAMPLE_FILES))]
    found = _live() & pc.field(names[0]).is_valid() & pc.field(names[1]).is_valid()
    for file in chosen:
        yield file.head(SAMPLE_ROWS // len(chosen), columns=names, filter=found)


def _cell_size(points: list[tuple[float, float]]) -> float:
    """Return the size of a cell in degrees, one of 1, 2 or 5 times a power of ten, so that the map has enough cells."""
    spans = [max(values) - min(values) for values in zip(*points, strict=True)]
    wanted = max([*spans, 0.05]) / MAX_CELLS
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(round(step * power, 6) for step in (1, 2, 5, 10) if step * power >= wanted)


def _readable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return numbers of four bytes as text: Python would show the digits that their eight bytes have."""
    return column.cast(pa.string()) if pa.types.is_float32(column.type) else column


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    return None if value is None else str(value)
