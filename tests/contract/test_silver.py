"""
What Silver promises, on every backend: always the stand-in, and a real Snowflake if its settings are there.

SNOWFLAKE_ACCOUNT, _USER, _DATABASE, _WAREHOUSE, _SCHEMA and _PASSWORD (or
_PRIVATE_KEY_FILE) choose the real one; tables are made in a schema of their own
beside SNOWFLAKE_SCHEMA's, which is dropped at the end of each test.
"""

from __future__ import annotations

import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from threading import Barrier

import pyarrow as pa
import pytest
import snowflake.connector  # noqa: TID253 (its errors are part of the contract)

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken, SinkBehind, SourceChanged
from include.medallion.lake.object_store import Lake
from include.medallion.lake.parquet_files import create_parquet
from include.medallion.model.columns import TIMESTAMP_UTC
from include.medallion.model.window import Mode, Position, Window
from include.medallion.silver import sink as silver_sink
from include.medallion.silver.apply import apply_batch
from include.medallion.silver.sink import SilverSink
from include.medallion.staging.batch import Batch
from include.medallion.staging.layout import ENRICHED, part_file
from include.medallion.staging.parts import EnrichedPart, StagedFile
from tests.contract.tracing import Killed, TracedConnection, killed_at

NEEDED = ("ACCOUNT", "USER", "DATABASE", "WAREHOUSE", "SCHEMA")
SOURCE = "system.1.2.3"
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("name", pa.string()),
        ("hired", pa.date32()),
        ("pay", pa.decimal128(10, 2)),
        ("photo", pa.binary()),
        ("latitude", pa.float64()),
        ("seen", TIMESTAMP_UTC),
        ("_version", pa.int64()),
    ]
)
TABLES = "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = CURRENT_SCHEMA()"


class Backend:
    """A schema of one account: opens connections, reads."""

    def __init__(self, connect):
        self.connect = connect
        self.reader = connect()

    def sql(self, statement):
        """Run one statement on a connection that loads nothing."""
        with self.reader.cursor() as cursor:
            return cursor.execute(statement).fetchall()

    def rows(self, columns="ID, NAME", table="PEOPLE"):
        """Return a table's rows, sorted."""
        return sorted(self.sql(f"SELECT {columns} FROM {table}"), key=str)

    def ledger(self):
        """Return the batches that Silver holds."""
        return self.sql("SELECT BATCH_ID, UPTO_XID FROM _MEDALLION_BATCHES ORDER BY BATCH_ID")

    def tables(self):
        """Return the names of all tables."""
        return {name for (name,) in self.sql(TABLES)}


@pytest.fixture(params=["stand-in", "snowflake"])
def backend(request):
    """Return an empty schema of each backend."""
    if request.param == "stand-in":
        backend = Backend(request.getfixturevalue("snowflake_connect"))
        yield backend
        backend.reader.close()
        return
    missing = [f"SNOWFLAKE_{n}" for n in NEEDED if not os.environ.get(f"SNOWFLAKE_{n}")]
    if not {"SNOWFLAKE_PASSWORD", "SNOWFLAKE_PRIVATE_KEY_FILE"} & os.environ.keys():
        missing.append("SNOWFLAKE_PASSWORD or SNOWFLAKE_PRIVATE_KEY_FILE")
    if missing:
        pytest.skip(f"a real Snowflake is not set: {', '.join(missing)}")
    schema = f"{os.environ['SNOWFLAKE_SCHEMA']}_{uuid.uuid4().hex}".upper()
    with closing(_real()) as connection:
        connection.cursor().execute(f"CREATE TRANSIENT SCHEMA {schema}")
        backend = Backend(lambda: _real(schema))
        yield backend
        backend.reader.close()
        connection.cursor().execute(f"DROP SCHEMA {schema}")


def _real(schema=None):
    names = {n.lower(): os.environ[f"SNOWFLAKE_{n}"] for n in NEEDED}
    login = {n.lower(): os.environ.get(f"SNOWFLAKE_{n}") for n in ("PASSWORD", "PRIVATE_KEY_FILE", "ROLE")}
    chosen = names | {k: v for k, v in login.items() if v}
    return snowflake.connector.connect(**(chosen | ({"schema": schema} if schema else {})))


@pytest.fixture
def people(backend, tmp_path):
    """Return an empty Silver and a lake in a folder."""
    return People(backend, Lake(f"file://{tmp_path}"))


class People:
    """A pipeline whose enriched parts a test writes itself."""

    def __init__(self, backend, lake, table="people", key="id"):
        self.backend, self.lake = backend, lake
        self.pipeline = Pipeline.model_validate(
            {
                "name": "people",
                "source": {"table": "people", "key": key},
                "enrich": {"geocode": {"postcode": "postcode", "country": "US"}},
                "silver": {"table": table},
                "gold": {"table": "people"},
            }
        )

    @property
    def sink(self):
        """The Silver sink of the pipeline."""
        return SilverSink(self.lake, self.pipeline, self.backend.connect)

    def stage(self, window, *parts, schema=SCHEMA):
        """Write enriched parts and return them as a batch; a row is a mapping, what it leaves out is NULL."""
        staged = tuple(self._part(window, number, rows, schema) for number, rows in enumerate(parts))
        return Batch(self.lake, self.pipeline, window, staged)

    def load(self, window, *parts, schema=SCHEMA, connection=None):
        """Stage parts and load them, over a new connection unless one is given."""
        staged = self.stage(window, *parts, schema=schema)
        return apply_over(connection, staged) if connection else self.sink.apply(staged)

    def held(self):
        """Return Silver's position."""
        return self.sink.position(SOURCE)

    def _part(self, window, number, rows, schema):
        path = part_file(window, ENRICHED, number)
        with create_parquet(self.lake, path, schema) as out:
            whole = [{name: row.get(name) for name in schema.names} for row in rows]
            out.write_table(pa.Table.from_pylist(whole, schema))
        return EnrichedPart(number, (), len(rows), (StagedFile(path, 0, out.file),), ())


def apply_over(connection, staged):
    """Apply a batch over a connection that stays open."""
    with connection.cursor() as cursor:
        return apply_batch(cursor, staged)


def batch(number, after=None, mode=Mode.WINDOW, source=SOURCE):
    """Give the window of the n-th batch: it ends at transaction 100 n."""
    start = 100 * (number - 1) if after is None else after
    return Window("people", source, start, 100 * number, 20260101000000000 + number, mode)


def person(key, name, version=50, **more):
    """Give a row as an enriched part holds it."""
    return {"id": key, "name": name, "_version": version, **more}


def test_table_and_columns_are_made_and_every_type_comes_back(people):
    """The first batch makes the table; each value is there as it was, and the batch's own columns too."""
    ann = person(
        1, "Ann", hired=date(2020, 2, 29), pay=Decimal("-1.50"), photo=b"\x00\xff", latitude=47.67,
        seen=datetime(2021, 1, 1, 8, 0, 0, 123456, UTC),
    )  # fmt: skip
    people.load(batch(1), [ann])
    found = people.backend.rows("ID, NAME, HIRED, PAY, PHOTO, LATITUDE, SEEN, _VERSION, _BATCH_ID, _LOADED_AT")
    loaded = (20260101000000001, datetime(2026, 1, 1, 0, 0, 0, 1000, UTC))
    assert found == [(*(ann[c] for c in SCHEMA.names), *loaded)]


def test_null_comes_back_as_none_in_every_type(people):
    """No type turns NULL into another value: neither 1970 nor zero nor an empty text."""
    people.load(batch(1), [person(1, None)])
    assert people.backend.rows("NAME, HIRED, PAY, PHOTO, LATITUDE, SEEN") == [(None,) * 6]


def test_parts_of_a_batch_arrive_together(people):
    """All parts are one batch: one ledger row, the counts of all."""
    applied = people.load(batch(1), [person(1, "Ann")], [person(2, "Bob"), person(3, "Cid")])
    assert (applied.read, applied.inserted, applied.updated, applied.superseded) == (3, 3, 0, 0)
    assert people.backend.rows() == [(1, "Ann"), (2, "Bob"), (3, "Cid")]
    assert people.backend.ledger() == [(20260101000000001, 100)]


def test_a_batch_of_many_rows_arrives_whole(people):
    """What a transaction writes at once, and then updates, has no limit at some size of a database's pages."""
    many = 150_000
    people.load(batch(1), [person(n, "Ann") for n in range(many)])
    people.load(batch(2), [person(n, "Bea", version=150) for n in range(0, many, 1000)])
    counted = "COUNT(*), COUNT(DISTINCT ID), COUNT_IF(NAME = 'Bea')"
    assert people.backend.rows(counted, "PEOPLE") == [(many, many, many // 1000)]


def test_a_batch_without_good_rows_is_recorded(people):
    """A batch whose rows are all in quarantine moves the position nevertheless."""
    applied = people.load(batch(1), [])
    assert (applied.read, applied.inserted, applied.replayed) == (0, 0, False)
    assert people.held() == Position(SOURCE, 100, 20260101000000001)


def test_a_new_column_is_added(people):
    """A column that the source got later is there after the next batch, NULL in older rows."""
    people.load(batch(1), [person(1, "Ann")])
    wider = SCHEMA.insert(1, pa.field("nickname", pa.string()))
    people.load(batch(2), [person(2, "Bob", 150, nickname="B")], schema=wider)
    assert people.backend.rows("ID, NICKNAME") == [(1, None), (2, "B")]


@pytest.fixture
def viewed(people):
    """Return a pipeline whose file names a view of the living rows."""
    document = people.pipeline.model_dump(by_alias=True, exclude_unset=True)
    document["silver"]["live_view"] = "people_live"
    people.pipeline = Pipeline.model_validate(document)
    return people


def test_a_view_shows_the_rows_that_are_not_deleted(viewed):
    """It has every column of the table but the one that marks deleted rows, also columns that came later."""
    viewed.load(batch(1), [person(1, "Ann"), person(2, "Bob")])
    viewed.backend.sql("UPDATE PEOPLE SET _DELETED_AT = _LOADED_AT WHERE ID = 2")
    assert viewed.backend.rows(table="PEOPLE_LIVE") == [(1, "Ann")]
    wider = SCHEMA.insert(1, pa.field("nickname", pa.string()))
    viewed.load(batch(2), [person(3, "Cid", 150, nickname="C")], schema=wider)
    assert viewed.backend.rows("ID, NICKNAME", "PEOPLE_LIVE") == [(1, None), (3, "C")]
    names = "SELECT COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = '{}'"
    table, view = ({name for (name,) in viewed.backend.sql(names.format(t))} for t in ("PEOPLE", "PEOPLE_LIVE"))
    assert table - view == {"_DELETED_AT"}


def test_a_view_is_left_alone_while_the_columns_are_the_same(viewed):
    """It may have been given another definition by its owner; no run issues DDL that it does not need."""
    viewed.load(batch(1), [person(1, "Ann")])
    columns = ", ".join(f'"{row[0]}"' for row in viewed.backend.sql("DESCRIBE VIEW PEOPLE_LIVE"))
    viewed.backend.sql(f"CREATE OR REPLACE VIEW PEOPLE_LIVE AS SELECT {columns} FROM PEOPLE WHERE ID > 1")
    viewed.load(batch(2), [person(2, "Bob", 150)])
    assert viewed.backend.rows(table="PEOPLE_LIVE") == [(2, "Bob")]


def test_an_older_version_is_fenced_off_and_counted(people):
    """A row that Silver holds in a newer version stays, and is counted as superseded."""
    people.load(batch(1), [person(1, "new", version=90), person(2, "Bob")])
    applied = people.load(batch(2, after=0), [person(1, "old", version=10), person(2, "Bobby", version=150)])
    assert (applied.inserted, applied.updated, applied.superseded) == (0, 1, 1)
    assert people.backend.rows() == [(1, "new"), (2, "Bobby")]


def test_an_equal_version_is_applied_again_without_harm(people):
    """A window that overlaps an older one updates its rows to what they are."""
    people.load(batch(1), [person(1, "Ann", version=50)])
    applied = people.load(batch(2, after=0), [person(1, "Ann", version=50)])
    assert (applied.inserted, applied.updated, applied.superseded) == (0, 1, 0)
    assert people.backend.rows() == [(1, "Ann")]


@pytest.mark.parametrize("replayed", [1, 2])
def test_a_replayed_batch_changes_nothing(people, replayed):
    """The newest batch and an older one, loaded again, are found in the ledger: no row is touched."""
    people.load(batch(1), [person(1, "Ann")])
    people.load(batch(2), [person(2, "Bob", 150)])
    people.backend.sql("UPDATE PEOPLE SET NAME = 'kept'")  # what a replay wrote would show
    assert people.load(batch(replayed), [person(replayed, "again", 999)]).replayed
    assert people.backend.rows() == [(1, "kept"), (2, "kept")]
    assert len(people.backend.ledger()) == 2


def test_a_gap_is_refused_with_the_position_that_silver_holds(people):
    """A batch that starts after what Silver holds is not applied: rows between would be lost."""
    people.load(batch(1), [person(1, "Ann")])
    with pytest.raises(SinkBehind) as refusal:
        people.load(batch(3), [person(3, "Cid", 250)])
    assert refusal.value.held == Position(SOURCE, 100, 20260101000000001)
    assert people.backend.rows() == [(1, "Ann")]
    assert people.backend.ledger() == [(20260101000000001, 100)]


def test_an_emptied_silver_refuses_a_later_window(people):
    """Without a ledger row only a window from the very start is taken."""
    with pytest.raises(SinkBehind) as refusal:
        people.load(batch(2), [person(2, "Bob", 150)])
    assert refusal.value.held is None
    assert people.backend.tables() == {"_MEDALLION_BATCHES"}


def test_rows_of_another_source_are_refused(people):
    """A batch of a re-created table is not mixed with the old one's rows."""
    people.load(batch(1), [person(1, "Ann")])
    with pytest.raises(SourceChanged):
        people.load(batch(2, source="system.1.2.4"), [person(1, "Zoe", 150)])
    assert people.backend.rows() == [(1, "Ann")]


def test_a_key_that_is_in_the_batch_twice_is_refused(people):
    """Two rows of one key, in different parts even, are a broken contract: nothing is written."""
    people.load(batch(1), [person(1, "Ann")])
    with pytest.raises(ContractBroken, match="repeat a key"):
        people.load(batch(2), [person(1, "Anna", 150)], [person(1, "Bob", 160), person(2, "Cid", 150)])
    assert people.backend.rows() == [(1, "Ann")]
    assert people.held() == batch(1).position


@pytest.mark.parametrize("claimed", [1, 3])
def test_staged_rows_that_are_not_those_read_are_refused(people, claimed):
    """More or fewer rows than the enrichment counted: nothing is written."""
    people.load(batch(1), [person(1, "Zoe")])
    staged = people.stage(batch(2), [person(1, "Ann", 150), person(2, "Bob", 150)])
    (part,), (file,) = staged.parts, staged.files
    wrong = replace(part, files=(replace(file, info=replace(file.info, rows=claimed)),))
    with pytest.raises(ContractBroken, match=f"2 of {claimed} rows"):
        people.sink.apply(replace(staged, parts=(wrong,)))
    assert people.backend.rows() == [(1, "Zoe")]
    assert people.held() == batch(1).position


def test_rows_that_another_writer_wrote_without_a_version_are_not_ignored(people):
    """A row that can be neither updated nor called newer is reported, and the batch is not recorded."""
    people.load(batch(1), [person(1, "Ann")])
    people.backend.sql("UPDATE PEOPLE SET _VERSION = NULL")
    with pytest.raises(ContractBroken, match="without a _VERSION"):
        people.load(batch(2), [person(1, "Anna", 150), person(2, "Bob", 150)])
    assert people.backend.rows() == [(1, "Ann")]
    assert people.held().batch_id == 20260101000000001


def test_a_failure_in_the_transaction_leaves_nothing_and_a_usable_connection(people):
    """A ledger that takes no row undoes the rows too; once it does, the same connection loads the batch."""
    ledger = (Path(silver_sink.__file__).parent / "sql" / "ledger.sql").read_text()
    people.backend.sql(ledger.replace("PIPELINE VARCHAR", "REFUSES BIGINT NOT NULL, PIPELINE VARCHAR"))
    with closing(people.backend.connect()) as connection:
        with pytest.raises(snowflake.connector.errors.Error):
            people.load(batch(1), [person(1, "Ann")], connection=connection)
        assert people.backend.rows() == []
        connection.cursor().execute("DROP TABLE _MEDALLION_BATCHES")
        assert people.load(batch(1), [person(1, "Ann")], connection=connection).inserted == 1
    assert people.backend.rows() == [(1, "Ann")]


def test_a_full_refresh_replaces_rows_in_one_transaction(people):
    """After every statement of a full refresh, another connection sees all old rows or all new ones."""
    people.load(batch(1), [person(1, "Ann"), person(2, "Bob"), person(3, "Cid")])
    seen = []
    with closing(people.backend.connect()) as writer, closing(people.backend.connect()) as reader:

        def look(_):
            found = reader.cursor().execute("SELECT ID, NAME FROM PEOPLE ORDER BY ID").fetchall()
            if found not in seen:
                seen.append(found)

        applied = people.load(
            batch(2, mode=Mode.REFRESH),
            [person(3, "Cyd"), person(4, "Dee")],
            connection=TracedConnection(writer, after=look),
        )
    assert seen == [[(1, "Ann"), (2, "Bob"), (3, "Cid")], [(3, "Cyd"), (4, "Dee")]]
    assert (applied.read, applied.inserted) == (2, 2)


def test_a_full_refresh_takes_another_source(people):
    """A full refresh takes what a window refuses: afterwards Silver holds the new table's position."""
    people.load(batch(1), [person(1, "Ann")])
    people.load(batch(2, mode=Mode.REFRESH, source="system.1.2.4"), [person(1, "Zoe", version=3)])
    assert people.backend.rows() == [(1, "Zoe")]
    assert people.held().source == "system.1.2.4"


def test_a_full_refresh_that_a_newer_batch_overtook_is_refused(people):
    """An old full refresh, run again, would bring old rows back."""
    people.load(batch(1), [person(1, "Ann")])
    people.load(batch(3, after=0), [person(1, "Anna", 250)])
    with pytest.raises(ContractBroken, match="newer than this full refresh"):
        people.load(batch(2, mode=Mode.REFRESH), [person(1, "Ann")])
    assert people.backend.rows() == [(1, "Anna")]


def test_a_trial_leaves_no_ledger_row(people):
    """A trial's rows arrive, and Silver's position is what it was: nothing."""
    people.load(batch(1, mode=Mode.TRIAL), [person(1, "Ann")])
    assert people.backend.rows() == [(1, "Ann")]
    assert people.held() is None


@pytest.mark.parametrize("mode", [Mode.WINDOW, Mode.REFRESH])
def test_a_try_that_is_killed_at_any_statement_is_completed_by_the_next(people, mode):
    """The connection is lost before each statement from PUT on: rows and ledger agree, a retry completes them."""
    people.load(batch(1), [person(1, "Ann"), person(2, "Bob")])
    before, after = [(1, "Ann"), (2, "Bob")], [(1, "Anna"), (2, "Bobby")]
    window, rows = batch(2, mode=mode), [person(1, "Anna", 150), person(2, "Bobby", 150)]
    statements = []
    with closing(people.backend.connect()) as connection:
        people.load(window, rows, connection=TracedConnection(connection, after=statements.append))
    first = next(n for n, statement in enumerate(statements) if statement.startswith("PUT"))
    for number in range(first, len(statements)):
        people.backend.sql("UPDATE PEOPLE SET NAME = IFF(ID = 1, 'Ann', 'Bob'), _VERSION = 50")
        people.backend.sql(f"DELETE FROM _MEDALLION_BATCHES WHERE BATCH_ID = {window.batch_id}")
        _killed(people, window, rows, number)
        applied = len(people.backend.ledger()) == 2
        assert people.backend.rows() == (after if applied else before), statements[number]
        assert people.load(window, rows).replayed is applied
        assert people.backend.rows() == after, statements[number]
        assert people.backend.tables() == {"PEOPLE", "_MEDALLION_BATCHES"}, statements[number]


def _killed(people, window, rows, number):
    """Load a batch, but lose the connection before statement `number`."""
    with pytest.raises(Killed):
        people.load(window, rows, connection=killed_at(people.backend.connect(), number))


def test_nothing_of_a_batch_but_its_rows_remains(people):
    """After a load neither the batch's own table nor a file in any stage is there."""
    tables = []
    with closing(people.backend.connect()) as connection:
        traced = TracedConnection(
            connection, after=lambda s: tables.append(s.split("@%")[1].split()[0]) if "PUT" in s else None
        )
        people.load(batch(1), [person(1, "Ann")], [person(2, "Bob")], connection=traced)
        assert len(tables) == 2
        assert people.backend.tables() == {"PEOPLE", "_MEDALLION_BATCHES"}
        with pytest.raises(snowflake.connector.errors.ProgrammingError, match="does not exist"):
            connection.cursor().execute(f"LIST @%{tables[0]}")


def test_a_refused_batch_leaves_no_table(people):
    """A batch that fails drops its own table: no data stays behind."""
    people.load(batch(1), [person(1, "Ann")])
    with pytest.raises(ContractBroken):
        people.load(batch(2), [person(1, "Anna", 150), person(1, "Bob", 150)])
    assert people.backend.tables() == {"PEOPLE", "_MEDALLION_BATCHES"}


def test_only_own_leftovers_are_dropped(people):
    """Tables of killed tries of this batch and older ones go; those of newer batches and other pipelines stay."""
    hexes = uuid.uuid4().hex.upper()
    old, new = f"_MEDALLION_PEOPLE_20260101000000001_{hexes}", f"_MEDALLION_PEOPLE_20260101000000009_{hexes}"
    other = f"_MEDALLION_PEOPLE_OLD_20260101000000001_{hexes}"
    for table in (old, new, other):
        people.backend.sql(f"CREATE TRANSIENT TABLE {table} (ID BIGINT)")
    people.load(batch(1), [person(1, "Ann")])
    assert people.backend.tables() == {"PEOPLE", "_MEDALLION_BATCHES", new, other}


def test_identifiers_of_any_spelling_arrive(backend, tmp_path):
    """Spaces, quotes, capitals, per cent signs, braces and reserved words in table, column and key names are kept."""
    people = People(backend, Lake(f"file://{tmp_path}"), table='Some "odd" table, 100 %s', key="The {Id} %")
    schema = pa.schema(
        [("The {Id} %", pa.int64()), ('say "hi"', pa.string()), ("select", pa.string()), ("_version", pa.int64())]
    )
    row = {"The {Id} %": 1, 'say "hi"': "hi", "select": "yes", "_version": 50}
    people.load(batch(1), [row], schema=schema)
    people.load(batch(2), [row | {"_version": 150, "select": "no"}], schema=schema)
    assert backend.rows('"The {Id} %", "say ""hi""", "SELECT"', '"Some ""odd"" table, 100 %s"') == [(1, "hi", "no")]


def test_two_loaders_of_one_batch_at_once_end_as_one(people):
    """Both have staged their rows before either begins: rows and ledger are as after one, and a retry is a replay."""
    barrier, window, rows = Barrier(2, timeout=60), batch(1), [person(1, "Ann"), person(2, "Bob")]
    people.load(batch(1, mode=Mode.TRIAL), [person(9, "Zed")])  # the table is there
    staged = people.stage(window, rows)

    def load(_):
        with closing(people.backend.connect()) as connection:
            traced = TracedConnection(connection, before=lambda s: barrier.wait() if s == "BEGIN" else None)
            try:
                return apply_over(traced, staged)
            except snowflake.connector.errors.Error:
                return apply_over(connection, staged)

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(load, range(2)))
    assert sorted(o.replayed for o in outcomes) == [False, True]
    assert people.backend.rows() == [(1, "Ann"), (2, "Bob"), (9, "Zed")]
    assert len(people.backend.ledger()) == 1


def test_a_table_that_two_tries_drop_at_once_fails_neither(people):
    """Both find the same leftover of a killed try and drop it in the same moment; each load is done."""
    people.load(batch(1), [person(1, "Ann")])
    staged = people.stage(batch(1), [person(1, "Ann")])

    def load(left, barrier):
        tried = []

        def meet(statement):
            if left in statement and not tried:
                tried.append(statement)
                barrier.wait()

        with closing(people.backend.connect()) as connection:
            return apply_over(TracedConnection(connection, before=meet), staged)

    for number in range(20):
        left, barrier = f"_MEDALLION_PEOPLE_20260101000000001_{uuid.uuid4().hex.upper()}", Barrier(2, timeout=60)
        people.backend.sql(f"CREATE TRANSIENT TABLE {left} (ID BIGINT)")
        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(load, [left, left], [barrier, barrier]))
        assert [done.replayed for done in outcomes] == [True, True], number
    assert people.backend.tables() == {"PEOPLE", "_MEDALLION_BATCHES"}
