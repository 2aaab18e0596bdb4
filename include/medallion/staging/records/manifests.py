"""
Manifests: the record that a stage of a batch is complete.

A stage writes its manifest last, and every reader starts from manifests. Files that no manifest names do not exist for
a reader; files that a manifest names are verified by size and checksum when they are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import Lake, delete_files
from include.medallion.model.counts import Applied
from include.medallion.model.window import Window
from include.medallion.staging.layout import RAW, applied_file, part_manifest, stage_manifest, window_file
from include.medallion.staging.parts import EnrichedPart, Part, StagedFile
from include.medallion.staging.records.documents import read_document, write_document

_PARALLEL_READS = 8


class Incomplete(ContractBroken):
    """A stage of a batch was never finished, or was made from files that have been replaced since."""


@dataclass(frozen=True, slots=True)
class RawManifest:
    """What `extract` staged, once it is complete."""

    window: Window
    parts: tuple[Part, ...]
    gone: tuple[StagedFile, ...] = ()  # keys of rows that the source no longer has


def begin_extract(lake: Lake, window: Window) -> None:
    """Describe the batch, and withdraw the manifest of an earlier try: its files are about to be replaced."""
    write_document(lake, window_file(window.pipeline, window.batch_id), window)
    delete_files(lake, [stage_manifest(window, RAW)])


def finish_extract(lake: Lake, window: Window, parts: Sequence[Part], gone: Sequence[StagedFile] = ()) -> None:
    """Record that all rows of the window are staged, and the keys that are gone."""
    write_document(lake, stage_manifest(window, RAW), RawManifest(window, tuple(parts), tuple(gone)))


def read_extracted(lake: Lake, window: Window) -> tuple[Part, ...]:
    """
    Return the parts of a batch whose rows are all staged.

    Raises:
        Incomplete: `extract` has not finished.
        ContractBroken: the manifest is damaged.
    """
    return _read_manifest(lake, window).parts


def read_gone(lake: Lake, window: Window) -> tuple[StagedFile, ...]:
    """
    Return the files with the keys of a batch that the source no longer has.

    Raises:
        Incomplete, ContractBroken: as `read_extracted`.
    """
    return _read_manifest(lake, window).gone


def _read_manifest(lake: Lake, window: Window) -> RawManifest:
    try:
        return read_document(lake, stage_manifest(window, RAW), RawManifest)
    except FileNotFoundError:
        raise Incomplete(
            f"batch {window.batch_id} of {window.pipeline} is incomplete: `extract` did not finish. Clear `extract` "
            "and the tasks after it, or trigger a new run: it starts from what the sinks hold"
        ) from None


def begin_part(lake: Lake, window: Window, part: int) -> None:
    """Withdraw the manifest of an earlier try of a part: its files are about to be replaced."""
    delete_files(lake, [part_manifest(window, part)])


def finish_part(lake: Lake, window: Window, part: EnrichedPart) -> None:
    """Record that a part is enriched."""
    write_document(lake, part_manifest(window, part.number), part)


def read_enriched(lake: Lake, window: Window) -> tuple[EnrichedPart, ...]:
    """
    Return the enriched parts of a batch, one for each part that was extracted.

    Raises:
        Incomplete: a part is not enriched, or was enriched from rows that have been extracted again since.
        ContractBroken: a manifest is damaged.
    """
    parts = read_extracted(lake, window)
    with ThreadPoolExecutor(_PARALLEL_READS, thread_name_prefix="manifest") as pool:
        return tuple(pool.map(lambda part: _read_part(lake, window, part), parts))


def _read_part(lake: Lake, window: Window, part: Part) -> EnrichedPart:
    try:
        enriched = read_document(lake, part_manifest(window, part.number), EnrichedPart)
    except FileNotFoundError:
        raise Incomplete(
            f"part {part.number} of batch {window.batch_id} of {window.pipeline} is not enriched: run or clear `enrich`"
        ) from None
    if enriched.raw_checksums != part.checksums:
        raise Incomplete(
            f"part {part.number} of batch {window.batch_id} of {window.pipeline} was extracted again after it was "
            "enriched: clear `enrich` and the tasks after it"
        )
    return enriched


def write_applied(lake: Lake, window: Window, sink: str, applied: Applied) -> None:
    """Record what a sink did with the batch."""
    write_document(lake, applied_file(window, sink), applied)


def read_applied(lake: Lake, window: Window, sink: str) -> Applied:
    """
    Return what a sink did with the batch.

    Raises:
        Incomplete: the sink has not applied it.
    """
    try:
        return read_document(lake, applied_file(window, sink), Applied)
    except FileNotFoundError:
        raise Incomplete(f"batch {window.batch_id} of {window.pipeline} is not in {sink} yet") from None
