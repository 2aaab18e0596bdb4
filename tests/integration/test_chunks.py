"""A table read in chunks: none of its rows twice or not at all, and a killed extract goes on after the last chunk."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import psycopg
import pytest

from include.medallion.bronze import checkpoint
from include.medallion.bronze import chunks as bronze_chunks
from include.medallion.bronze import table as bronze_table
from include.medallion.bronze.checkpoint import Checkpoint
from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.config.sections.tables import Parts
from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import filesystem, list_files, write_bytes
from include.medallion.lake.parquet_files import create_parquet, read_schema
from include.medallion.staging.files import read_staged_rows
from include.medallion.staging.layout import RAW, part_file, stage_folder
from include.medallion.staging.records.documents import read_document
from include.medallion.staging.records.manifests import Incomplete, read_extracted
from tests.integration.kill_extract import kill_extract
from tests.integration.one_table import OneTable

ROWS = 24_000
DDL = "CREATE TABLE people (id int PRIMARY KEY, postcode text, filler text DEFAULT repeat('x', 200))"
FILL = f"INSERT INTO people SELECT i, (10000 + i % 90)::text FROM generate_series(1, {ROWS}) AS i"


@pytest.fixture
def people(bronze_dsn, lake_uri, lake, silver):
    """Lend a table of some megabytes, and a pipeline that reads one of them at a time."""
    people = OneTable(bronze_dsn, lake_uri, lake, silver, {"table": "people", "key": "id"})
    people.pipeline = people.pipeline.model_copy(
        update={"parts": people.pipeline.parts.model_copy(update={"chunk_mb": 1, "rows_per_part": 10_000})}
    )
    people.sql(DDL, FILL)
    return people


@contextmanager
def layout(people):
    """Lend a connection that holds the table's layout, and the layout."""
    source = people.pipeline.source
    with bronze_connection.connect(people.dsn) as connection:
        table = bronze_table.describe_table(connection, source)
        yield connection, bronze_chunks.plan_chunks(connection, source, table, Parts(chunk_mb=1))


def ids_by_chunk(people, window, done=(), found=None):
    """Read the chunks of a window (in an earlier layout) that are not done; return the ids of each."""
    source = people.pipeline.source
    with layout(people) as (connection, present):
        table, found = bronze_table.describe_table(connection, source), found or present
        another = partial(bronze_connection.connect, people.dsn)
        chunks = bronze_chunks.read_chunks(
            [partial(nullcontext, connection), another], source, table, window, found, done
        )
        ids: dict[int, list[int]] = {}
        for number, batch in chunks:
            ids.setdefault(number, []).extend(batch.column("id").to_pylist() if batch else [])
    return ids


def moments(lake, window):
    """Return when each raw file was written."""
    files = filesystem(lake)
    return {key: files.get_file_info(lake.path(key)).mtime for key in list_files(lake, stage_folder(window, RAW))}


def staged_ids(people, window, parts):
    """Return the ids in the staged parts, and how often each is there."""
    lake = people.connections.lake
    files = [file for part in parts for file in part.files]
    assert sorted(file.path for file in files) == list_files(lake, stage_folder(window, RAW))
    assert read_extracted(lake, window) == parts
    return Counter(n for rows in read_staged_rows(lake, files) for n in rows.column("id").to_pylist())


@pytest.mark.parametrize(
    ("parts", "chunks"), [(Parts(rows_per_part=10_000), 3), (Parts(rows_per_part=10_000, max_parts=2), 2), (Parts(), 1)]
)
def test_a_table_has_a_chunk_for_each_part(people, parts, chunks):
    """A part can then be a run of chunks, and its files become Gold's; a table of one part is one chunk."""
    people.sql("ANALYZE people")
    source = people.pipeline.source
    with bronze_connection.connect(people.dsn) as connection:
        found = bronze_chunks.plan_chunks(connection, source, bronze_table.describe_table(connection, source), parts)
    assert (found.chunks, len(found.conditions)) == (chunks, chunks)


def test_every_row_is_in_one_chunk(people):
    """All chunks together are the table, and no row is in two."""
    found = ids_by_chunk(people, people.begin())
    assert len(found) >= 4
    assert Counter(n for ids in found.values() for n in ids) == Counter(range(1, ROWS + 1))


def test_rows_that_move_meanwhile_are_left_to_the_next_window(people):
    """Rows updated between two chunks' reads are missed by this window at most: no version is read twice."""
    window = people.begin()
    with layout(people) as (_, found):
        pass
    first = ids_by_chunk(people, window, range(1, 64), found)[0]
    people.sql("UPDATE people SET filler = 'moved' WHERE id % 2 = 0")
    rest = ids_by_chunk(people, window, [0], found)
    read = Counter(first) + Counter(n for ids in rest.values() for n in ids)
    assert max(read.values()) == 1
    assert read.keys() >= {n for n in range(1, ROWS + 1) if n % 2}
    later = replace(people.begin(), after=window.upto)
    moved = {n for ids in ids_by_chunk(people, later).values() for n in ids}
    assert read.keys() | moved == set(range(1, ROWS + 1))


def test_chunks_cover_every_partition(people):
    """A range of blocks is that range in each partition."""
    people.sql(
        "DROP TABLE people",
        f"{DDL} PARTITION BY HASH (id)",
        *(f"CREATE TABLE p{n} PARTITION OF people FOR VALUES WITH (MODULUS 2, REMAINDER {n})" for n in (0, 1)),
        FILL,
    )
    found = ids_by_chunk(people, people.begin())
    assert len(found) >= 2
    assert Counter(n for ids in found.values() for n in ids) == Counter(range(1, ROWS + 1))


def test_a_table_is_not_rewritten_while_its_layout_is_read(people):
    """VACUUM FULL, which moves rows, waits for the reader."""
    with layout(people), psycopg.connect(people.dsn, autocommit=True) as other:
        other.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("VACUUM FULL people")


def test_a_killed_extract_goes_on_after_the_last_whole_chunk(people):
    """The chunks that were staged before the kill are not read again, and all rows are there once."""
    window = people.begin()
    kill_extract(people, window, after=2)
    lake = people.connections.lake
    saved = read_document(lake, f"{stage_folder(window, RAW)}/checkpoint.json", Checkpoint)
    before, done = moments(lake, window), {file.path for files in saved.files.values() for file in files.values()}
    parts = people.extract(window)
    assert len(saved.files) == 2
    assert done <= before.keys()
    assert {path: moments(lake, window)[path] for path in done} == {path: before[path] for path in done}
    assert staged_ids(people, window, parts) == Counter(range(1, ROWS + 1))


def test_what_a_killed_extract_left_of_a_chunk_is_deleted(people):
    """A file of a chunk that is not whole is not taken for one that is."""
    window, lake = people.begin(), people.connections.lake
    kill_extract(people, window, after=1)
    write_bytes(lake, part_file(window, RAW, 3, 63), b"no parquet")
    parts = people.extract(window)
    assert staged_ids(people, window, parts) == Counter(range(1, ROWS + 1))


def test_a_rewritten_table_is_read_from_its_start(people):
    """After VACUUM FULL the blocks hold other rows than before."""
    window = people.begin()
    kill_extract(people, window, after=3)
    people.sql(f"DELETE FROM people WHERE id <= {ROWS // 3}", "VACUUM FULL people")
    parts = people.extract(window)
    assert staged_ids(people, window, parts) == Counter(range(ROWS // 3 + 1, ROWS + 1))


def test_a_column_that_is_added_between_two_tries_is_in_no_chunk(people):
    """All chunks have the columns that the table had when the window was opened; the next window has the new one."""
    window, lake = people.begin(), people.connections.lake
    kill_extract(people, window, after=2)
    people.sql("ALTER TABLE people ADD phone text DEFAULT '1'")
    parts = people.extract(window)
    files = [file for part in parts for file in part.files]
    assert not any("phone" in read_schema(lake, file.path, file.info).names for file in files)
    assert staged_ids(people, window, parts) == Counter(range(1, ROWS + 1))


def test_a_chunk_whose_file_is_gone_is_read_again(people):
    """Rows whose staged file was deleted are read again."""
    window, lake = people.begin(), people.connections.lake
    kill_extract(people, window, after=2)
    filesystem(lake).delete_file(lake.path(list_files(lake, stage_folder(window, RAW))[0]))
    parts = people.extract(window)
    assert staged_ids(people, window, parts) == Counter(range(1, ROWS + 1))


def test_a_finished_extract_that_is_run_again_reads_all_rows_again(people):
    """No checkpoint is left: who clears `extract` wants the rows read again."""
    window, lake = people.begin(), people.connections.lake
    people.extract(window)
    people.sql("DELETE FROM people WHERE id > 100")
    parts = people.extract(window)
    assert staged_ids(people, window, parts) == Counter(range(1, 101))
    with layout(people) as (_, found):
        assert checkpoint.load(lake, window, found).files == {}


def test_a_part_whose_raw_files_were_written_again_is_refused(people):
    """An enriched part that was made from other rows than those that are staged now reaches no sink."""
    window = people.begin()
    people.stage(window)
    people.sql("DELETE FROM people WHERE id <= 10")
    people.extract(window)
    for sink in ("silver", "gold"):
        with pytest.raises(Incomplete, match=r"was extracted again after it was enriched: clear `enrich`"):
            people.apply(window, sink)
    assert people.positions() == {"silver": None, "gold": None}
    people.stage(window)
    assert people.apply(window, "silver").inserted == people.apply(window, "gold").inserted == ROWS - 10


def test_a_raw_file_that_another_try_writes_over_meanwhile_is_refused(people):
    """Rows that the manifest does not name stop `enrich` before anything is staged."""
    window, lake = people.begin(), people.connections.lake
    file = people.extract(window)[0].files[0]
    with create_parquet(lake, file.path, read_schema(lake, file.path, file.info)):
        pass
    with pytest.raises(ContractBroken, match=f"{file.path} is damaged"):
        people.enrich(window)


def test_chunks_of_a_first_load_are_files_of_gold(people):
    """A batch of several chunks arrives whole in both sinks."""
    summary = people.run()
    assert summary.sinks["gold"].inserted == summary.sinks["silver"].inserted == ROWS
    assert [row["id"] for row in people.gold()] == sorted((n for n in range(1, ROWS + 1)), key=str)
