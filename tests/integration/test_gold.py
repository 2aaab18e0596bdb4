"""What Gold promises, on an S3 server: one fenced, named, conditional commit per batch."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from include.medallion.config import connections as connection_settings
from include.medallion.errors import ContractBroken, SettingError, SinkBehind, SourceChanged
from include.medallion.lake.object_store import filesystem, open_lake
from include.medallion.model.window import Mode, Position
from include.medallion.steps.open_window import open_window
from include.medallion.steps.run_options import RunOptions
from tests.integration.gold_people import (
    FIRST,
    SCHEMA,
    SECOND,
    SOURCE,
    TEXT_KEY,
    People,
    batch,
    counts,
    met,
    person,
)


@pytest.fixture
def people(lake, lake_uri):
    """Lend an empty prefix on S3 and a pipeline into it."""
    return People(open_lake(lake_uri, lake.options))


def test_the_first_batch_makes_the_table(people):
    """Rows of all parts are there, with the batch they came in and its moment."""
    applied = people.write(batch(1), [person(1, "ann@")], [person(2, "bob@")])
    assert counts(applied) == (2, 0, 0)
    loaded = datetime(2026, 1, 1, 0, 0, 0, 1000, UTC)
    assert people.rows("id", "email", "_version", "_batch_id", "_loaded_at") == [
        (1, "ann@", 50, FIRST, loaded),
        (2, "bob@", 50, FIRST, loaded),
    ]


def test_a_batch_is_one_commit(people):
    """Making the table is version 0; each batch after it is one version."""
    versions = [people.write(batch(n), [person(n, "x@", 100 * n - 50)]).version for n in (1, 2, 3)]
    assert versions == [1, 2, 3]


def test_newer_rows_replace_and_new_ones_are_added(people):
    """A batch into a table with rows is an upsert by key."""
    people.write(batch(1), [person(1, "ann@"), person(2, "bob@")])
    applied = people.write(batch(2), [person(2, "bobby@", 150), person(3, "cid@", 150)])
    assert counts(applied) == (1, 1, 0)
    assert people.rows() == [(1, "ann@"), (2, "bobby@"), (3, "cid@")]


def test_an_older_version_is_fenced_off_and_counted(people):
    """A row that Gold holds in a newer version stays, and is counted as superseded."""
    people.write(batch(1), [person(1, "new@", 90), person(2, "bob@")])
    applied = people.write(batch(2, after=0), [person(1, "old@", 10), person(2, "bobby@", 150), person(3, "cid@", 150)])
    assert counts(applied) == (1, 1, 1)
    assert people.rows() == [(1, "new@"), (2, "bobby@"), (3, "cid@")]


@pytest.mark.parametrize("replayed", [1, 2])
def test_a_replayed_batch_makes_no_commit(people, replayed):
    """The newest batch and an older one, written again, leave the version as it is."""
    people.write(batch(1), [person(1, "ann@")])
    before = people.write(batch(2), [person(2, "bob@", 150)]).version
    applied = people.write(batch(replayed), [person(replayed, "again@", 999)])
    assert applied.replayed
    assert people.table().version() == applied.version == before


def test_a_batch_that_changes_nothing_is_recorded(people):
    """A batch whose rows are all superseded moves the position: it is not read for ever."""
    people.write(batch(1), [person(1, "new@", 90)])
    assert counts(people.write(batch(2, after=0), [person(1, "old@", 10)])) == (0, 0, 1)
    assert people.held() == Position(SOURCE, 200, SECOND)
    assert people.rows() == [(1, "new@")]


@pytest.mark.parametrize("first", [True, False])
def test_a_batch_without_good_rows_is_recorded(people, first):
    """A batch whose rows are all in quarantine moves the position, of an empty table too."""
    if not first:
        people.write(batch(1), [person(1, "ann@")])
    applied = people.write(batch(2, after=0 if first else 100), [])
    assert (counts(applied), applied.replayed) == ((0, 0, 0), False)
    assert people.held() == Position(SOURCE, 200, SECOND)


def test_a_batch_after_an_empty_one_arrives(people):
    """A table that holds a position but no file takes rows."""
    people.write(batch(1), [])
    assert counts(people.write(batch(2), [person(1, "ann@", 150)])) == (1, 0, 0)
    assert people.rows() == [(1, "ann@")]


def test_a_trial_leaves_no_position(people):
    """A trial's rows arrive, and Gold holds what it held: nothing."""
    people.write(batch(1, mode=Mode.TRIAL), [person(1, "ann@")])
    assert people.rows() == [(1, "ann@")]
    assert people.held() is None


def test_a_gap_is_refused_with_the_position_that_gold_holds(people):
    """A batch that starts after what Gold holds is not applied: rows between would be lost."""
    people.write(batch(1), [person(1, "ann@")])
    with pytest.raises(SinkBehind) as refusal:
        people.write(batch(3), [person(3, "cid@", 250)])
    assert refusal.value.held == Position(SOURCE, 100, FIRST)
    assert people.table().version() == 1


def test_a_key_that_is_in_the_batch_twice_is_refused(people):
    """Two rows of one key, in different parts even, are a broken contract: no table is made."""
    with pytest.raises(ContractBroken, match="repeat a key"):
        people.write(batch(1), [person(1, "ann@")], [person(1, "bob@"), person(2, "cid@")])
    assert people.held() is None


def test_a_recreated_source_is_refused_until_a_full_refresh(people, bronze_dsn):
    """A table filled from another source opens no window; a full refresh does, and replaces its rows."""
    people.write(batch(1), [person(7, "old@")])
    with psycopg.connect(bronze_dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE people (id bigint PRIMARY KEY, postcode text)")
    connections = connection_settings.Connections(bronze_dsn, None, people.lake, {})
    with pytest.raises(SourceChanged, match="full_refresh"):
        open_window(people.pipeline, connections, remembered={"silver": None})
    window = open_window(people.pipeline, connections, RunOptions(Mode.REFRESH), {"silver": None})
    people.write(window, [person(1, "new@", 3)])
    assert people.rows() == [(1, "new@")]
    assert people.held(window.source) == window.position


def test_a_full_refresh_is_one_commit_between_whole_tables(people):
    """The version before holds all old rows, the one after it all new ones; there is none between."""
    people.write(batch(1), [person(1, "ann@"), person(2, "bob@")])
    applied = people.write(batch(2, mode=Mode.REFRESH), [person(2, "bobby@")], [person(3, "cid@")])
    assert (counts(applied), applied.version) == ((2, 0, 0), 2)
    assert people.rows(version=1) == [(1, "ann@"), (2, "bob@")]
    assert people.rows(version=2) == [(2, "bobby@"), (3, "cid@")]


def test_a_full_refresh_is_replayed_once(people):
    """The same full refresh again makes no commit."""
    window = batch(2, mode=Mode.REFRESH)
    before = people.write(window, [person(1, "ann@")]).version
    assert people.write(window, [person(1, "ann@")]).replayed
    assert people.table().version() == before


def test_a_full_refresh_that_a_newer_batch_overtook_is_refused(people):
    """An old full refresh, run again, would bring old rows back."""
    people.write(batch(3, after=0), [person(1, "anna@", 250)])
    with pytest.raises(ContractBroken, match="newer than this full refresh"):
        people.write(batch(2, mode=Mode.REFRESH), [person(1, "ann@")])
    assert people.rows() == [(1, "anna@")]


def test_the_position_survives_maintenance(people):
    """Compaction, vacuum, a checkpoint and a log cut short leave the position and the rows."""
    for n in (1, 2, 3):
        people.write(batch(n), [person(n, f"{n}@", 100 * n - 50)])
    table = people.table()
    table.optimize.compact()
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    table.create_checkpoint()
    table.alter.set_table_properties({"delta.logRetentionDuration": "interval 0 seconds"})
    table.create_checkpoint()
    table.cleanup_metadata()
    assert people.held() == Position(SOURCE, 300, 20260101000000003)
    assert people.write(batch(2), [person(2, "again@", 999)]).replayed
    assert people.rows() == [(1, "1@"), (2, "2@"), (3, "3@")]


def test_a_new_column_is_added(people):
    """A column that the source got later is there after the next batch, NULL in older rows."""
    people.write(batch(1), [person(1, "ann@")])
    wider = SCHEMA.insert(1, pa.field("nickname", pa.string()))
    people.write(batch(2), [person(2, "bob@", 150, nickname="B")], schema=wider)
    assert people.rows("id", "nickname") == [(1, None), (2, "B")]


def test_no_file_tells_bounds_of_a_text(people):
    """Whoever wrote a file (we, or delta-rs, which merges if there is a new column), it has bounds of numbers alone."""
    people.write(batch(1), [person(n, f"{n}@secret.test", 50) for n in (1, 2, 3)])
    people.write(batch(2), [person(2, "b@secret.test", 150)])
    wider = SCHEMA.append(pa.field("city", pa.string()))
    people.write(batch(3), [person(3, "c@secret.test", 250, city="Ulm")], schema=wider)
    people.write(batch(4, mode=Mode.REFRESH), [person(4, "d@secret.test", 350)])
    files = filesystem(people.lake)
    found = files.get_file_info(pa.fs.FileSelector(people.lake.path("people")))
    footers = [pq.ParquetFile(files.open_input_file(f.path)).metadata for f in found if f.path.endswith(".parquet")]
    columns = [footer.row_group(0).column(n) for footer in footers for n in range(footer.num_columns)]
    assert {footer.created_by.split()[0] for footer in footers} == {"parquet-cpp-arrow", "parquet-rs"}
    assert {c.path_in_schema for c in columns if c.statistics and c.statistics.has_min_max} == {
        *("id", "_version", "_batch_id")
    }
    assert {c.compression for c in columns} == {"ZSTD"}


def test_a_text_key_is_matched_without_bounds(people):
    """A text key is upserted like any other, and no bound of it is in the log."""
    people = People(people.lake, key="email")
    people.write(batch(1), [{"email": "ann@secret.test", "_version": 50}], schema=TEXT_KEY)
    applied = people.write(
        batch(2),
        [{"email": "ann@secret.test", "_version": 150}, {"email": "bob@secret.test", "_version": 150}],
        schema=TEXT_KEY,
    )
    assert counts(applied) == (1, 1, 0)
    people.table().create_checkpoint()
    commits, checkpoint = people.log()
    assert "secret.test" not in commits + checkpoint
    assert checkpoint


def test_the_log_holds_no_text_of_a_row(people):
    """Statistics are there for keys and versions only: no e-mail, no postcode, in commits and checkpoint."""
    secret = {"email": "ann@secret.test", "postcode": "1012 JS"}
    people.write(batch(1), [person(123456, version=50, **secret)])
    people.write(batch(2), [person(123456, version=150, **secret), person(123457, version=150, **secret)])
    people.write(batch(3, mode=Mode.REFRESH), [person(123457, version=250, **secret)])
    people.write(batch(4), [person(123457, version=350, **secret)])
    people.table().optimize.compact()
    people.table().create_checkpoint()
    for text in people.log():
        assert "123457" in text
        assert "secret.test" not in text
        assert "1012 JS" not in text


def test_the_same_batch_written_meanwhile_is_a_replay(people, lake):
    """A writer whose commit loses to another try of its own batch finds the batch there, and its rows once."""
    people.write(batch(1), [person(1, "ann@")])
    rows = [person(1, "anna@", 150), person(2, "bob@", 150)]
    applied, proxy = met(people, lake, batch(2), rows, lambda: people.write(batch(2), rows))
    assert applied.replayed
    assert proxy.answers[0] == 412
    assert people.rows() == [(1, "anna@"), (2, "bob@")]
    assert people.table().version() == 2


def test_a_compaction_meanwhile_loses_nothing(people, lake):
    """A writer whose files were compacted between read and commit decides again on the current files."""
    people.write(batch(1), [person(1, "ann@")])
    people.write(batch(2), [person(2, "bob@", 150)])
    rows = [person(1, "anna@", 250), person(3, "cid@", 250)]
    applied, proxy = met(people, lake, batch(3), rows, people.table().optimize.compact)
    assert (counts(applied), len(proxy.answers)) == ((1, 1, 0), 2)
    assert people.rows() == [(1, "anna@"), (2, "bob@"), (3, "cid@")]


def test_another_pipeline_writes_to_the_same_table_meanwhile(people, lake):
    """Two pipelines into one table: both batches arrive, each with its own position."""
    people.write(batch(1), [person(1, "ann@")])
    others = People(people.lake, name="others")
    applied, proxy = met(
        people,
        lake,
        batch(2),
        [person(2, "bob@", 150)],
        lambda: others.write(batch(3, after=0, name="others"), [person(3, "cid@", 150)]),
    )
    assert (counts(applied), len(proxy.answers)) == ((1, 0, 0), 2)
    assert people.rows() == [(1, "ann@"), (2, "bob@"), (3, "cid@")]
    assert people.held() == Position(SOURCE, 200, SECOND)
    assert others.held().batch_id == 20260101000000003


def test_a_table_made_meanwhile_is_used(people, lake):
    """Two first batches of one table: neither takes the other's rows away."""
    others = People(people.lake, name="others")
    met(
        people,
        lake,
        batch(1),
        [person(1, "ann@")],
        lambda: others.write(batch(2, after=0, name="others"), [person(2, "bob@", 150)]),
    )
    assert people.rows() == [(1, "ann@"), (2, "bob@")]


def test_one_key_in_two_first_batches_is_one_row(people, lake):
    """A batch that meant to append to an empty table, and finds a row of its key there, updates it instead."""
    people.write(batch(1), [])
    others = People(people.lake, name="others")
    applied, _ = met(
        people,
        lake,
        batch(2),
        [person(1, "anna@", 150)],
        lambda: others.write(batch(1, name="others"), [person(1, "ann@", 50)]),
    )
    assert counts(applied) == (0, 1, 0)
    assert people.rows() == [(1, "anna@")]


def test_a_newer_batch_meanwhile_stops_a_full_refresh(people, lake):
    """A full refresh that is overtaken between read and commit replaces nothing."""
    people.write(batch(1), [person(1, "ann@")])
    with pytest.raises(ContractBroken, match="newer than this full refresh"):
        met(
            people,
            lake,
            batch(2, mode=Mode.REFRESH),
            [person(1, "ann@")],
            lambda: people.write(batch(3, after=100), [person(1, "anna@", 250)]),
        )
    assert people.rows() == [(1, "anna@")]


def test_the_server_refuses_a_second_commit_of_one_version(people, lake):
    """A commit that is put on condition does not replace another; without the condition it would: the control."""
    people.write(batch(1), [person(1, "ann@")])
    key = people.lake.path("people/_delta_log/00000000000000000001.json").removeprefix(f"{lake.bucket}/")
    client = lake.client()
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=lake.bucket, Key=key, Body=b"{}", IfNoneMatch="*")
    assert people.held() == Position(SOURCE, 100, FIRST)
    client.put_object(Bucket=lake.bucket, Key=key, Body=b"{}")
    assert client.get_object(Bucket=lake.bucket, Key=key)["Body"].read() == b"{}"


@pytest.mark.parametrize("name", ["AWS_S3_ALLOW_UNSAFE_RENAME", "aws_s3_allow_unsafe_rename"])
def test_a_setting_that_gives_up_safe_commits_is_refused(name):
    """With unsafe renames concurrent commits would be lost, so no lake is opened."""
    with pytest.raises(SettingError, match="UNSAFE_RENAME"):
        open_lake("s3://bucket/prefix", {name: "true"})
