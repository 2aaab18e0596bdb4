"""Prefetch items of iterators in background threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TypeVar, cast

T = TypeVar("T")
_END = object()


def prefetch(*sources: Iterable[T]) -> Iterator[T]:
    """
    Prefetch one item of each source in a background thread while the caller works.

    Returns:
        The items of all sources in the order in which they become available; those of one source in its order.
    """
    iterators = [iter(source) for source in sources]
    with ThreadPoolExecutor(max(1, len(iterators)), thread_name_prefix="ahead") as pool:
        coming = {pool.submit(next, iterator, _END): iterator for iterator in iterators}
        while coming:
            for future in wait(coming, return_when=FIRST_COMPLETED).done:
                iterator, item = coming.pop(future), future.result()
                if item is not _END:
                    coming[pool.submit(next, iterator, _END)] = iterator
                    yield cast("T", item)
