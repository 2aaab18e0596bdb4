"""
Files of a Delta table as a dataset whose filters are right even where the log lacks statistics.

deltalake turns a file's statistics into an expression by which a filter skips it. For a column without bounds, in a
file that has bounds of another column, the expression compares with NULL, which no row fulfils: the file is skipped
although it may hold matching rows.
"""

from __future__ import annotations

from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

import pyarrow.compute as pc

if TYPE_CHECKING:
    import pyarrow.dataset as ds

_WITHOUT_BOUNDS = "null["
"""How an expression shows a missing bound, e.g. `(_version >= null[int64])`."""


def with_safe_filters(data: ds.FileSystemDataset) -> ds.FileSystemDataset:
    """Return a dataset in which no file is skipped because of statistics that it does not have."""
    import pyarrow.dataset as ds  # noqa: PLC0415 (imports pandas, which most runs do not need)

    fragments = list(data.get_fragments())
    if not any(_is_unsafe(fragment) for fragment in fragments):
        return data
    safe = [_without_statistics(data, f) if _is_unsafe(f) else f for f in fragments]
    return ds.FileSystemDataset(safe, data.schema, data.format, data.filesystem)


def _is_unsafe(fragment: ds.FileFragment) -> bool:
    return _WITHOUT_BOUNDS in str(fragment.partition_expression)


def _without_statistics(data: ds.FileSystemDataset, fragment: ds.FileFragment) -> ds.FileFragment:
    """Return a file of which a filter knows the values of its partition columns only."""
    import pyarrow.dataset as ds  # noqa: PLC0415

    values = ds.get_partition_keys(fragment.partition_expression)
    known = [
        pc.field(name) == value if value is not None else pc.field(name).is_null() for name, value in values.items()
    ]
    return data.format.make_fragment(
        fragment.path, fragment.filesystem, reduce(and_, known) if known else pc.scalar(value=True)
    )
