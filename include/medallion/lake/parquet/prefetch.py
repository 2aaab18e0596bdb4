"""Prefetch items of iterators in background threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")


_END = object()


def prefetch(*sources: Iterable[T]) -> Iterator[T]:
    """Make the next item of each source in a thread of its own while the caller works; yield items as they come."""
    iterators = [iter(source) for source in sources]
    with ThreadPoolExecutor(max(1, len(iterators)), thread_name_prefix="ahead") as pool:
        coming = {pool.submit(next, iterator, _END): iterator for iterator in iterators}
        while coming:
            for future in wait(coming, return_when=FIRST_COMPLETED).done:
                iterator, item = coming.pop(future), future.result()
                if item is not _END:
                    coming[pool.submit(next, iterator, _END)] = iterator
                    yield item
