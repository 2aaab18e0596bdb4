"""Only complete stages of a batch reach a sink: manifests say what is complete, checksums what is undamaged."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.medallion.config.connections import Connections
from include.medallion.config.pipeline import Pipeline
from include.medallion.config.sections.tables import Quarantine
from include.medallion.errors import ContractBroken, Refused
from include.medallion.gold.sink import GoldSink
from include.medallion.lake import delta
from include.medallion.lake.object_store import filesystem, open_lake, read_bytes, write_bytes
from include.medallion.model.window import Window
from include.medallion.staging.archive import list_batches
from include.medallion.staging.layout import ENRICHED, RAW, batch_folder, part_manifest, stage_manifest, window_file
from include.medallion.staging.records.manifests import Incomplete, begin_extract
from include.medallion.steps.apply import apply_batch
from include.medallion.steps.enrich import enrich
from tests.integration.kill_extract import kill_extract
from tests.integration.one_table import OneTable

DDL = "CREATE TABLE people (id int PRIMARY KEY, postcode text, filler text)"
FILL = "INSERT INTO people SELECT i, (10000 + i % 90)::text, repeat('x', {size}) FROM generate_series(1, {rows}) AS i"
STEPS = ("enrich", "load-silver", "write-gold")


@pytest.fixture
def people(bronze_dsn, lake_uri, lake, silver):
    """Lend an empty table, and a pipeline that reads one megabyte of it at a time."""
    people = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"})
    people.pipeline = people.pipeline.model_copy(
        update={"parts": people.pipeline.parts.model_copy(update={"chunk_mb": 1})}
    )
    people.sql(DDL)
    return people


def state(people, window):
    """Return how the archive describes a batch."""
    (found,) = (b.state for b in list_batches(people.connections.lake, "one") if b.batch_id == window.batch_id)
    return found


def test_a_killed_extract_is_refused_by_every_later_step(people, tmp_path):
    """Each command exits with 1 and one line that says what to clear; no position moves. A new extract continues."""
    people.sql(FILL.format(size=200, rows=10))
    people.run()
    before = people.positions()
    people.sql("DELETE FROM people", FILL.format(size=200, rows=24_000))
    window = people.begin()
    kill_extract(people, window, after=2)
    for step in STEPS:
        done = people.command(tmp_path, step, "one", str(window.batch_id))
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert done.stderr.startswith(f"Incomplete: batch {window.batch_id} of one is incomplete")
        assert "Clear `extract`" in done.stderr
    assert state(people, window) == "incomplete"
    assert people.positions() == before
    people.stage(window)
    assert people.apply(window, "silver").read == people.apply(window, "gold").read == 24_000
    assert state(people, window) == "complete"


def damage_second_row_group(lake, file):
    """Flip a bit of a staged file, in the last column of its second row group; return what the file held before."""
    content = bytearray(read_bytes(lake, file.path))
    footer = pq.read_metadata(lake.path(file.path), filesystem=filesystem(lake))
    assert footer.num_row_groups > 1
    column = footer.row_group(1).column(footer.schema.names.index("filler"))
    before = bytes(content)
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    write_bytes(lake, file.path, bytes(content))
    return before


def test_an_enrich_that_fails_half_way_publishes_nothing(people):
    """A failure in the second row group leaves no part that a sink takes, though an earlier try had finished."""
    people.pipeline = people.pipeline.model_copy(
        update={"parts": people.pipeline.parts.model_copy(update={"chunk_mb": 128})}
    )
    people.sql(FILL.format(size=600, rows=30_000))
    window, lake = people.begin(), people.connections.lake
    (part,) = people.extract(window)
    people.enrich(window)
    before = damage_second_row_group(lake, part.files[0])
    with pytest.raises(ContractBroken, match="row group 1 does not match its checksum"):
        people.enrich(window)
    for sink in ("silver", "gold"):
        with pytest.raises(Incomplete, match=r"part 0 .* is not enriched: run or clear `enrich`"):
            people.apply(window, sink)
    assert people.positions() == {"silver": None, "gold": None}
    assert state(people, window) == "not enriched"
    write_bytes(lake, part.files[0].path, before)
    people.enrich(window)
    assert people.apply(window, "silver").inserted == people.apply(window, "gold").inserted == 30_000


def test_a_part_whose_raw_files_were_written_again_is_refused(people):
    """An enriched part that was made from other rows than those that are staged now reaches no sink."""
    people.sql(FILL.format(size=200, rows=24_000))
    window = people.begin()
    people.stage(window)
    people.sql("DELETE FROM people WHERE id <= 10")
    people.extract(window)
    for sink in ("silver", "gold"):
        with pytest.raises(Incomplete, match="was extracted again after it was enriched: clear `enrich`"):
            people.apply(window, sink)
    assert people.positions() == {"silver": None, "gold": None}
    people.stage(window)
    assert people.apply(window, "silver").inserted == people.apply(window, "gold").inserted == 23_990


def truncate(lake, path):
    """Leave half of a file."""
    content = read_bytes(lake, path)
    write_bytes(lake, path, content[: len(content) // 2])


def flip(lake, path):
    """Change a digit in the middle of a document, which stays valid JSON."""
    content = bytearray(read_bytes(lake, path))
    place = next(n for n in range(len(content) // 2, len(content)) if chr(content[n]).isdigit())
    content[place] ^= 1
    write_bytes(lake, path, bytes(content))


DOCUMENTS = {
    "window.json": (lambda window: window_file("one", window.batch_id), STEPS),
    "raw manifest": (lambda window: stage_manifest(window, RAW), STEPS),
    "part manifest": (lambda window: part_manifest(window, 0), STEPS[1:]),
}


@pytest.mark.parametrize("damage", [truncate, flip])
@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_damaged_document_is_refused_and_listed(people, tmp_path, document, damage):
    """Each command that needs the document exits with 1 and one line that names it; `batches` calls it damaged."""
    people.sql(FILL.format(size=1, rows=10))
    window, (path_of, steps) = people.begin(), DOCUMENTS[document]
    people.stage(window)
    path = path_of(window)
    damage(people.connections.lake, path)
    for step in steps:
        done = people.command(tmp_path, step, "one", str(window.batch_id))
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert done.stderr.startswith(f"ContractBroken: {path} is damaged")
    listed = people.command(tmp_path, "batches", "one")
    assert (listed.returncode, listed.stdout.split()[0]) == (0, str(window.batch_id))
    assert listed.stdout.endswith("  damaged\n")
    assert people.positions() == {"silver": None, "gold": None}


def test_a_batch_of_which_only_the_window_is_known_is_refused_and_listed(people, tmp_path):
    """A process that died right after it had described its batch leaves nothing to load."""
    window = people.begin()
    begin_extract(people.connections.lake, window)
    for step in STEPS:
        done = people.command(tmp_path, step, "one", str(window.batch_id))
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "is incomplete: `extract` did not finish" in done.stderr
    assert people.command(tmp_path, "batches", "one").stdout.endswith("  incomplete\n")


ODD = """CREATE TABLE odd (id int PRIMARY KEY, postcode text, amount numeric(10, 2), day date, at timestamptz,
         score float8, photo bytea, yes boolean)"""
ODD_ROWS = """INSERT INTO odd SELECT i, (ARRAY['98052', '10001', NULL])[1 + i % 3], CASE WHEN i % 19 > 0 THEN i / 7.0
              ELSE 'NaN' END, date '2020-02-29' + i, '2021-01-01 10:00:00.123456+02', sqrt(i), decode(md5(i::text),
              'hex'), i % 2 = 0 FROM generate_series(1, 60) AS i"""
FLIPS = 150


@dataclass(frozen=True)
class Staged:
    """A batch that was staged in folders: once extracted only, once enriched too; and the rows that must arrive."""

    pipeline: Pipeline
    window: Window
    folders: dict[str, Path]
    rows: list[str] = field(default_factory=list, repr=False)
    quarantined: list[dict] = field(default_factory=list, repr=False)

    def copy(self, stage, folder):
        """Copy one of the folders; return the copy's connections."""
        shutil.copytree(self.folders[stage], folder)
        return Connections("", None, open_lake(f"file://{folder}", {}), {})

    def finish(self, connections, stage):
        """Do the steps that come after a stage."""
        if stage == RAW:
            enrich(self.pipeline, connections, self.window, 0)
        apply_batch(self.pipeline, connections, self.window, "gold")

    def position(self, connections):
        """Return what Gold holds."""
        return GoldSink(connections.lake, self.pipeline).position(self.window.source)

    def files(self, stage, connections):
        """Return the files that the steps after a stage read."""
        batch = Path(connections.lake.path(batch_folder("one", self.window.batch_id)))
        patterns = ["raw-*/*"] if stage == RAW else ["raw-*/manifest.json", "enriched-*/*", "quarantined-*/*"]
        return sorted(file for pattern in patterns for file in batch.glob(pattern))


def arrived(connections):
    """Return the rows in Gold, without the time of their look-up."""
    table = delta.open_table(connections.lake, "one")
    return sorted(map(repr, table.to_pyarrow_table().drop_columns(["geocoded_at"]).to_pylist())) if table else []


def quarantined(connections):
    """Return the rows in the quarantine."""
    return delta.open_table(connections.lake, "quarantine").to_pyarrow_table().sort_by("entry").to_pylist()


@pytest.fixture
def staged(bronze_dsn, lake_uri, lake, silver, tmp_path):
    """Stage a batch of values of many types, some of them invalid, for a pipeline whose only sink is Gold."""
    odd = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "odd", "key": "id"})
    document = odd.pipeline.model_dump(by_alias=True, exclude={"silver"})
    odd.pipeline = Pipeline.model_validate({**document, "quarantine": {"max_share": 1}})
    odd.sql(ODD, ODD_ROWS)
    folders = {stage: tmp_path / stage for stage in (RAW, ENRICHED, "whole")}
    odd.connections = Connections(bronze_dsn, None, open_lake(f"file://{folders[RAW]}", {}), {})
    window = odd.begin()
    odd.extract(window)
    made = Staged(odd.pipeline, window, folders)
    enrich(odd.pipeline, made.copy(RAW, folders[ENRICHED]), window, 0)
    whole = made.copy(ENRICHED, folders["whole"])
    apply_batch(odd.pipeline, whole, window, "gold")
    return replace(made, rows=arrived(whole), quarantined=quarantined(whole))


@pytest.mark.parametrize("stage", [RAW, ENRICHED])
@settings(max_examples=FLIPS, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32))
def test_a_flipped_bit_is_refused_or_does_no_harm(staged, tmp_path_factory, stage, seed):
    """Any bit of the staged files and their manifests is flipped: the batch is refused, or all its values are equal."""
    folder = tmp_path_factory.mktemp("flipped") / "lake"
    connections = staged.copy(stage, folder)
    flip_bit(staged.files(stage, connections), seed)
    try:
        staged.finish(connections, stage)
    except Refused:
        assert (arrived(connections), staged.position(connections)) == ([], None)
    else:
        assert (arrived(connections), quarantined(connections)) == (staged.rows, staged.quarantined)
    shutil.rmtree(folder)


def flip_bit(files, seed):
    """Flip a random bit of some files."""
    draw = Random(seed)
    (file,) = draw.choices(files, [file.stat().st_size for file in files])
    content = bytearray(file.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


SILVER_FLIPS = 12


def test_a_flipped_bit_reaches_no_row_of_silver(bronze_dsn, lake_uri, lake, silver):
    """Rows of damaged files are not uploaded: Silver takes the batch whole or not at all."""
    odd = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "odd", "key": "id"})
    odd.pipeline = odd.pipeline.model_copy(update={"quarantine": Quarantine(max_share=1)})
    odd.sql(ODD, ODD_ROWS)
    window, here = odd.begin(), odd.connections.lake
    (part,) = odd.stage(window)
    whole = read_bytes(here, part.files[0].path)
    for seed in range(SILVER_FLIPS):
        content, draw = bytearray(whole), Random(seed)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        write_bytes(here, part.files[0].path, bytes(content))
        with pytest.raises(ContractBroken, match="is damaged"):
            odd.apply(window, "silver")
        assert odd.positions()["silver"] is None
    write_bytes(here, part.files[0].path, whole)
    assert odd.apply(window, "silver").inserted == part.rows
