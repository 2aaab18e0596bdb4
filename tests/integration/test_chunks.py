"""A table read in chunks: none of its rows twice or not at all, and a killed extract goes on after the last chunk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import psycopg
import pyarrow.parquet as pq
import pytest

from include.medallion.bronze import checkpoint
from include.medallion.bronze import chunks as bronze_chunks
from include.medallion.bronze import table as bronze_table
from include.medallion.bronze.postgres import connection as bronze_connection
from include.medallion.config.pipeline import Parts
from include.medallion.errors import ContractBroken
from include.medallion.lake.object_store import filesystem, list_files, put_json, read_json
from include.medallion.staging.layout import RAW, part_file, stage_folder
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


def struck(people, window, after):
    """Extract in a process of its own that is killed when so many chunks are staged."""
    code = f"""
import os, signal
from include.medallion import checkpoint
from include.medallion.lake import open_lake
from include.medallion.pipeline import Pipeline
from include.medallion.run import Connections, read
from include.medallion.window import Window
import logging
class Strike(logging.Handler):
    def emit(self, record):
        if record.args and record.args[0] == {after}:
            os.kill(os.getpid(), signal.SIGKILL)
logging.getLogger("include.medallion.bronze.extract").addHandler(Strike())
logging.getLogger("include.medallion.bronze.extract").setLevel("INFO")
lake = open_lake({people.connections.lake.root!r}, {dict(people.connections.lake.options)!r})
read(Pipeline.model_validate_json({people.pipeline.model_dump_json(by_alias=True)!r}),
     Connections({people.dsn!r}, None, lake, {{}}), Window.from_json({window.to_json()!r}))
"""
    ended = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": "."}, check=False)
    assert ended.returncode == -signal.SIGKILL


def moments(lake, window):
    """Return when each raw file was written."""
    files = filesystem(lake)
    return {key: files.get_file_info(lake.path(key)).mtime for key in list_files(lake, stage_folder(window, RAW))}


def staged_ids(people, window, parts):
    """Return the ids in the staged parts, and how often each is there."""
    lake = people.connections.lake
    files = [key for part in parts for key in part.files(window, RAW)]
    assert sorted(files) == list_files(lake, stage_folder(window, RAW))
    return Counter(
        n for key in files for n in pq.read_table(lake.path(key), filesystem=filesystem(lake))["id"].to_pylist()
    )


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


def test_a_table_is_not_written_anew_while_its_layout_is_read(people):
    """VACUUM FULL, which moves rows, waits for the reader."""
    with layout(people), psycopg.connect(people.dsn, autocommit=True) as other:
        other.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("VACUUM FULL people")


def test_a_killed_extract_goes_on_after_the_last_whole_chunk(people):
    """The chunks that were staged before the kill are not read again, and all rows are there once."""
    window = people.begin()
    struck(people, window, after=2)
    lake = people.connections.lake
    before, done = moments(lake, window), read_json(lake, f"{stage_folder(window, RAW)}/checkpoint.json")["rows"]
    parts = people.extract(window)
    kept = {key for key in before if key.endswith(tuple(f"-{int(n):04d}.parquet" for n in done))}
    assert len(done) == len(kept) == 2
    assert {key: moments(lake, window)[key] for key in kept} == {key: before[key] for key in kept}
    assert staged_ids(people, window, parts) == Counter(range(1, ROWS + 1))


def test_what_a_killed_extract_left_of_a_chunk_is_deleted(people):
    """A file of a chunk that is not whole is not taken for one that is."""
    window, lake = people.begin(), people.connections.lake
    struck(people, window, after=1)
    put_json(lake, part_file(window, RAW, 3, 63), {"no": "parquet"})
    parts = people.extract(window)
    assert staged_ids(people, window, parts) == Counter(range(1, ROWS + 1))


def test_a_table_that_was_written_anew_is_read_from_its_start(people):
    """After VACUUM FULL the blocks hold other rows than before."""
    window = people.begin()
    struck(people, window, after=3)
    people.sql(f"DELETE FROM people WHERE id <= {ROWS // 3}", "VACUUM FULL people")
    parts = people.extract(window)
    assert staged_ids(people, window, parts) == Counter(range(ROWS // 3 + 1, ROWS + 1))


def test_a_table_with_another_column_is_read_from_its_start(people):
    """A column that was added between two tries is in all chunks, not in the later ones only."""
    window, lake = people.begin(), people.connections.lake
    struck(people, window, after=2)
    people.sql("ALTER TABLE people ADD phone text DEFAULT '1'")
    parts = people.extract(window)
    files = [lake.path(key) for part in parts for key in part.files(window, RAW)]
    assert all("phone" in pq.read_schema(file, filesystem=filesystem(lake)).names for file in files)
    assert staged_ids(people, window, parts) == Counter(range(1, ROWS + 1))


def test_a_chunk_whose_file_is_gone_is_read_again(people):
    """Staging that somebody emptied does not lose rows."""
    window, lake = people.begin(), people.connections.lake
    struck(people, window, after=2)
    filesystem(lake).delete_file(lake.path(list_files(lake, stage_folder(window, RAW))[0]))
    parts = people.extract(window)
    assert staged_ids(people, window, parts) == Counter(range(1, ROWS + 1))


def test_a_finished_extract_that_is_run_again_starts_anew(people):
    """Nothing tells how far it had come: who clears it wants the rows read again."""
    window, lake = people.begin(), people.connections.lake
    people.extract(window)
    people.sql("DELETE FROM people WHERE id > 100")
    parts = people.extract(window)
    assert staged_ids(people, window, parts) == Counter(range(1, 101))
    assert checkpoint.load(lake, window, RAW, bronze_chunks.SINGLE_CHUNK).rows == {}


def test_a_part_whose_files_another_try_wrote_over_is_refused(people):
    """Rows that `extract` did not tell of, or that are gone, stop the run before a sink sees them."""
    window = people.begin()
    parts = people.extract(window)
    people.sql("DELETE FROM people WHERE id <= 10")
    people.extract(window)
    with pytest.raises(ContractBroken, match=r"holds \d+ rows, but \d+ were extracted: clear `extract`"):
        [people.enrich(window, part.number) for part in parts]


def test_chunks_of_a_first_load_are_files_of_gold(people):
    """A batch of several chunks arrives whole in both sinks."""
    summary = people.run()
    assert summary.sinks["gold"].inserted == summary.sinks["silver"].inserted == ROWS
    assert [row["id"] for row in people.gold()] == sorted((n for n in range(1, ROWS + 1)), key=str)
