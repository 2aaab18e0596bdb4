"""
One pipeline, and everything that may happen to it: the steps of runs one at a time, in any order, killed anywhere.

Every server is real. A step that is killed loses its connection to Snowflake, or every request to S3, from a chosen
statement or write on: what it did until then is all that it ever did.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from random import Random

import psycopg
import pyarrow.parquet as pq
import snowflake.connector  # noqa: TID253 (its errors are a lost race's)
from pyarrow.fs import FileType

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken, SchemaChanged, SinkBehind, SourceChanged
from include.medallion.lake.object_store import filesystem, list_files
from include.medallion.model import differences
from include.medallion.model.batch_id import new_batch_id
from include.medallion.model.columns import snowflake_name
from include.medallion.model.log_range import slot_name
from include.medallion.model.window import Mode, Position, Window
from include.medallion.ops import comparison, reconcile
from include.medallion.ops.log import finish_log
from include.medallion.staging.layout import RAW, part_manifest, stage_manifest
from include.medallion.staging.parts import Part
from include.medallion.staging.records.manifests import Incomplete, read_extracted
from include.medallion.steps.apply import apply_batch
from include.medallion.steps.commit import commit
from include.medallion.steps.enrich import enrich
from include.medallion.steps.extract import extract
from include.medallion.steps.open_window import open_window
from include.medallion.steps.run_options import RunOptions
from include.medallion.steps.sinks import open_sinks
from include.medallion.steps.summary.row_counts import RunSummary
from include.medallion.steps.watermark import advanced, corrected
from include.sandbox.google import KEY, places
from tests.contract.tracing import Killed, TracedConnection, killed_at
from tests.integration import history_ddl
from tests.integration.history_failover import left_behind
from tests.integration.one_table import OneTable
from tests.integration.s3_proxy import before

DDL = "CREATE TABLE rows (id int PRIMARY KEY, n int NOT NULL, postcode text, day date, a int, b text, m mood)"
POSTCODES = ("98052", "10001", "60601", "94105", "33101", "99553", "00000", None)
ENRICH = {
    "postcode": "postcode",
    "country": "US",
    "geocoder": "google_geocoding",
    "calls_per_second": 1000,
    "concurrency": 2,
    "timeout_seconds": 60,
    "max_attempts": 2,
}
OVERTAKEN = "newer than this full refresh"
NO_PART = "has no part"
CHANGED_SINCE = re.compile("cannot be applied again|got other columns after batch")
"""Refusals of a batch that is older than a change of the schema."""
NO_POSITION = re.compile("column .* but the rows of pipeline one bring .* nothing was written")
"""Refusal by a table that a killed or unfinished try has made in place of one that was lost."""
STAGED_FILE = re.compile(r"PUT .*/raw-[^/]*/part-.*")
SINKS = ("silver", "gold")


@dataclass
class Batch:
    """A run of the pipeline, as far as it has come."""

    window: Window
    parts: tuple[Part, ...] | None = None
    done: set[str] = field(default_factory=set)  # steps after `extract`
    overtaken: bool = False
    changes: int = 0  # of the schema, when its window was opened
    summary: RunSummary | None = None

    @property
    def steps(self) -> list[str]:
        """What may be done next: each step whose inputs are there."""
        if self.overtaken or self.parts is None:
            return [] if self.overtaken else ["extract"]
        enrich = [f"enrich {part.number}" for part in self.parts]
        enriched = bool(enrich) and self.done.issuperset(enrich)
        then = [("silver", enriched), ("gold", enriched and "silver" in self.done), ("commit", "gold" in self.done)]
        then += [("advance", "commit" in self.done)] if self.window.log else []
        return ["extract", *enrich, *(step for step, may in then if may)]

    @property
    def next(self) -> str | None:
        """The first step that was not done."""
        done = self.done | ({"extract"} if self.parts is not None else set())
        return next((step for step in self.steps if step not in done), None)

    def restart(self, parts: tuple[Part, ...] | None = None) -> None:
        """Forget all steps but, if it returned parts, the last extract."""
        self.parts, self.done = parts, set()


class History:
    """A source with writers, two sinks, and all batches there ever were."""

    def __init__(self, server, database, lake_uri, lake, silver, google):
        self.server, self.standby, self.database, dsn = server, None, database, server.uri(database)
        self.one = OneTable(dsn, lake_uri, lake, silver, {"table": "rows", "key": "id"}, {"geocode": ENRICH})
        few = {"parts": {"keys_per_part": 2, "max_parts": 3}, "quarantine": {"max_share": 1.0}}
        self.pipeline = self.one.pipeline = type(self.one.pipeline).model_validate(
            self.one.pipeline.model_dump(by_alias=True) | few
        )
        environ = {"GOOGLE_API_KEY": KEY, "GOOGLE_GEOCODING_URL": google.geocoding_url}
        self.connections = self.one.connections = replace(self.one.connections, environ=environ)
        self.google, self.since = google, len(google.calls)
        self.closing = ExitStack()
        self.reader = self.closing.enter_context(silver.connect())
        self._connect()
        self.n = 0
        self.changes = 0  # of the schema
        self.schema = history_ddl.Schema(self.plain, Random(0))
        self.dropped: dict[str, int] = {}  # columns that the source has no more, since which transaction
        self.batches: list[Batch] = []
        self.hints: list[dict[str, Position | None]] = [{}]
        self.excused: Counter[str] = Counter()  # calls whose answer died with its process
        self.ahead = False  # by an hour is the first batch's id
        self.lost: set[str] = set()  # sinks that were taken away
        self.left: set[str] = set()  # sources that were left for a promoted standby
        self.refused = False  # because a sink holds rows of a source that was left
        self.notes: list[str] = []
        self.rows = {"silver": {}, "gold": {}}
        for statement in (*history_ddl.SETUP, DDL, "CREATE PUBLICATION medallion_rows FOR TABLE rows"):
            self.plain.execute(statement)

    @property
    def key(self):
        """The key column."""
        return self.pipeline.source.key[0]

    def _connect(self):
        self.writers = [self._writer() for _ in range(3)]
        self.plain = self.closing.enter_context(psycopg.connect(self.one.dsn, autocommit=True))
        self.plain.execute("SET lock_timeout = '20ms'")

    def _writer(self):
        connection = self.closing.enter_context(psycopg.connect(self.one.dsn))
        connection.execute("SET lock_timeout = '20ms'")
        connection.commit()
        return connection

    def close(self):
        """Let go of everything."""
        for writer in self.writers:
            writer.rollback()
        self.lose_slot("dropped")
        self.closing.close()

    # the source

    def write(self, verb, some):
        """Write and commit; a locked row is left alone."""
        try:
            self._write_rows(self.plain, verb, some)
        except psycopg.errors.LockNotAvailable:
            verb += ", until a lock"
        self.note(f"a writer: {verb} {some}")

    def write_open(self, who, verb, some, *, savepoint):
        """Write in a transaction that stays open and had its id before; a locked row ends it, or its savepoint."""
        writer = self.writers[who]
        writer.execute("SELECT pg_current_xact_id()")
        try:
            with writer.transaction() if savepoint else nullcontext():
                self._write_rows(writer, verb, some)
        except psycopg.errors.LockNotAvailable:
            verb += ", and back at a lock"
            if not savepoint:
                writer.rollback()
        self.note(f"writer {who}: {verb} {some}{' behind a savepoint' if savepoint else ''}")

    def _write_rows(self, connection, verb, some):
        """Delete rows, insert them, or give them a new version; each has an n of its own, and one in nine is bad."""
        columns = [c for c in history_ddl.columns_of(self.plain) if not c.generated] if verb == "put" else []
        names, values = ", ".join(c.quoted for c in columns), ", ".join(f"%s::text::{c.type}" for c in columns)
        updates = ", ".join(f"{c.quoted} = excluded.{c.quoted}" for c in columns)
        for key in some:
            self.n += 1
            fixed = {
                self.key: str(key),
                "n": str(self.n),
                "day": "infinity" if self.n % 9 == 0 else "2020-02-29",
                "postcode": POSTCODES[self.n % len(POSTCODES)],
            }
            if verb == "put":
                put = f'INSERT INTO rows ({names}) VALUES ({values}) ON CONFLICT ("{self.key}") DO UPDATE SET {updates}'
                some = [c for c in columns if c.required or (self.n + len(c.name)) % 7]  # others are NULL
                others = dict.fromkeys(c.name for c in columns)
                others |= {c.name: history_ddl.value_of(self.plain, c.type, self.n) for c in some}
                connection.execute(put, [(others | fixed)[c.name] for c in columns])
            else:
                connection.execute(f'DELETE FROM rows WHERE "{self.key}"::text = %s', [str(key)])

    def read_by(self, way):
        """Read the source by transaction id, or by its log, from now on."""
        selected = self.pipeline.model_dump(by_alias=True, exclude_none=True)
        self.pipeline = self.one.pipeline = Pipeline.model_validate(
            selected | {"source": {**selected["source"], "read": way}}
        )
        self.note(f"read: {way}")

    def lose_slot(self, how):
        """Lose the replication slot, or what it had to keep."""
        name = slot_name(self.pipeline.name, self.connections.lake.root)
        call = f"pg_drop_replication_slot('{name}')"
        if how == "consumed":
            call = f"pg_replication_slot_advance('{name}', pg_current_wal_lsn())"
        if self.plain.execute(f"SELECT {call} FROM pg_replication_slots WHERE slot_name = '{name}'").rowcount:
            self.note(f"the slot is {how}")

    def leave_a_standby_behind(self, *, synchronised):
        """Start a standby that gets nothing from now on; with a copy of the slot, if there is one and it is ready."""
        name = slot_name(self.pipeline.name, self.connections.lake.root)
        self.standby, copied = self.closing.enter_context(left_behind(self.server, name, synchronised=synchronised))
        self.note(f"a standby is left behind{', with the slot' if copied else ''}")

    def fail_over(self):
        """Promote the standby: what was written since it was left behind is lost, open transactions too."""
        self.left |= {batch.window.source for batch in self.batches}
        self.lose_slot("dropped")
        for connection in (*self.writers, self.plain):
            connection.close()
        self.standby.promote()
        self.server, self.standby = self.standby, None
        self.one.dsn = self.server.uri(self.database)
        self.connections = self.one.connections = replace(self.connections, bronze=self.one.dsn)
        self._connect()
        self.schema.connection = self.plain
        self.note("the standby is promoted")

    def end(self, who, how):
        """End an open transaction."""
        getattr(self.writers[who], how)()
        self.note(f"writer {who}: {how}")

    # steps of a run

    @property
    def hint(self):
        """What Airflow remembers of the sinks' positions."""
        return self.hints[-1]

    def begin(self, mode=Mode.WINDOW, ahead=False, connections=None):
        """
        Open a window as `open_window` does; `ahead`: by a clock that is an hour ahead.

        None for a trial that has to wait for a change of the schema, and for a source that has to be accepted.
        """
        options, changes = RunOptions(mode, 3 if mode is Mode.TRIAL else None), self.changes
        try:
            window = open_window(self.pipeline, connections or self.connections, options, self.hint)
        except SchemaChanged as e:
            if not self.changes or not (mode is Mode.TRIAL or "was starting" in str(e)):
                raise
            self.note(f"no run: {e}")
            return None
        except SourceChanged as e:
            if not self.left:
                raise
            self.note(f"no run: {e}")
            self.refused = True
            return None
        if ahead:
            self.ahead = True
            wrong = datetime.now(UTC) + timedelta(hours=1)
            window = replace(window, batch_id=new_batch_id(wrong, window.batch_id))
        self.batches.append(Batch(window, changes=changes))
        plan = f"{window.mode} [{window.after}, {window.upto}) {window.log or ''} {'; '.join(window.changes)}"
        self.note(f"begin {self.name(self.batches[-1])}: {mode}, {plan}")
        return self.batches[-1]

    def step(self, batch, step, connections=None, how=""):
        """Do one step of a batch, the first time or again."""
        self.note(f"{how}{self.name(batch)}: {step}")
        try:
            self._do(batch, step, connections or self.connections)
        except SinkBehind as e:
            if not self.lost and not (batch.changes and CHANGED_SINCE.search(str(e))):
                raise
            self.note(f"  refused: {e}")
            batch.overtaken = True
            self.hints.append(corrected(self.hint, step, e.held))
        except (SourceChanged, SchemaChanged, ContractBroken, snowflake.connector.errors.Error) as e:
            self._refused(batch, step, e)
        finally:
            self.check([step] if step in SINKS else [], batch)

    def _refused(self, batch, step, error):
        """Take note of a failure that is right; raise any other."""
        why, changed = str(error), batch.changes < self.changes
        if (isinstance(error, Incomplete) or NO_PART in why) and self._is_incomplete(batch, step):
            batch.restart()
        else:
            too_old = isinstance(error, SchemaChanged) or CHANGED_SINCE.search(why)
            too_old = too_old or (self.lost and NO_POSITION.search(why))
            was_left = batch.window.source in self.left
            if not (OVERTAKEN in why or self._shares_its_id(batch) or (changed and too_old) or was_left):
                raise error
            batch.overtaken = True
        self.note(f"  refused: {error}")

    def _shares_its_id(self, batch):
        """Return whether two windows got one id, which is possible while a clock is behind: one may be refused."""
        return sum(b.window.batch_id == batch.window.batch_id for b in self.batches) > 1

    def _is_incomplete(self, batch, step):
        """Return whether a manifest that a step needs is missing, or names other files than the last `extract`."""
        lake, window = self.connections.lake, batch.window
        needed = [stage_manifest(window, RAW)]
        if not step.startswith("enrich"):
            needed += [part_manifest(window, part.number) for part in batch.parts]
        found = filesystem(lake).get_file_info([lake.path(path) for path in needed])
        return any(info.type is FileType.NotFound for info in found) or read_extracted(lake, window) != batch.parts

    def _do(self, batch, step, connections):
        if step == "extract":
            batch.restart(extract(self.pipeline, connections, batch.window))
            return
        if step in SINKS:
            apply_batch(self.pipeline, connections, batch.window, step)
        elif step == "advance":
            finish_log(self.pipeline, connections, batch.summary)
        elif step == "commit":
            batch.summary = commit(self.pipeline, connections.lake, batch.window)
            self.hints.append(advanced(self.hint, batch.window, SINKS))
        else:
            enrich(self.pipeline, connections, batch.window, int(step.removeprefix("enrich ")))
        batch.done.add(step)

    def whole(self, mode=Mode.WINDOW):
        """Run from begin to end; return the batch, None if nothing is new."""
        batch = self.begin(mode)
        while batch and (step := batch.next):
            self.step(batch, step)
        return batch if batch and batch.parts else None

    # changes of the schema

    def change_schema(self):
        """Change the table, or what the pipeline file says of its columns."""
        selected = self.pipeline.model_dump(by_alias=True, exclude_none=True)
        verb, statements, columns, key = self.schema.change(selected["columns"], self.key)
        before = {c.name for c in history_ddl.columns_of(self.plain)}
        failed = history_ddl.execute(self.plain, statements) if statements else "nothing to change"
        self.note(f"{verb}: {'; '.join(statements)}" + (f": not made ({failed})" if failed else ""))
        after = {c.name for c in history_ddl.columns_of(self.plain)}
        if failed and before == after:
            return
        now = self.plain.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()[0]
        self.dropped |= dict.fromkeys(before - after, now)
        self.dropped = {name: since for name, since in self.dropped.items() if name not in after}
        self.changes += 1
        changed = {"columns": columns, "source": {**selected["source"], "key": [key]}}
        self.pipeline = self.one.pipeline = Pipeline.model_validate(selected | changed)

    def begin_changed(self, mode, number):
        """Open a window, and change the schema before one of its statements to Snowflake."""
        sent = []

        def send(_):
            sent.append(len(sent))
            if sent[-1] == number:
                self.change_schema()

        self.hints.append({})  # so that Snowflake is asked
        traced = lambda: TracedConnection(self.one.account.connect(), before=send)  # noqa: E731
        return self.begin(mode, connections=replace(self.connections, silver=traced))

    def extract_changed(self, batch, number):
        """Stage a window's rows, and change the schema while they are read, if locks allow it."""
        with self._acting(STAGED_FILE, number, self.change_schema) as connections:
            self.step(batch, "extract", connections, "with DDL meanwhile ")

    @contextmanager
    def _acting(self, at, number, act):
        met = lambda reached: act() if reached == number else None  # noqa: E731
        with before(self.connections.lake.options["AWS_ENDPOINT_URL"], act=met, at=at) as proxy:
            yield replace(self.connections, lake=self._through(proxy))

    # kills and races

    @contextmanager
    def dying(self, where, number, delivered):
        """Lend connections of a process that dies at this write to S3, or at this statement to Snowflake."""
        last = number if where == "s3" else None
        with before(self.connections.lake.options["AWS_ENDPOINT_URL"], last=last, delivered=delivered) as proxy:
            lost = []

            def open_silver():
                connection = self.one.account.connect()
                return TracedConnection(connection) if where == "s3" else killed_at(connection, number)

            try:
                yield replace(self.connections, lake=self._through(proxy), silver=open_silver)
            except BaseException as e:
                if not (proxy.died or isinstance(e, Killed)):
                    raise
                lost.append(e)
            if lost:
                self.note("  killed")

    def killed(self, batch, step, where, number, delivered):
        """Do a step in a process that is killed on the way, if it gets that far."""
        asked = len(self.google.calls)
        with self.dying(where, number, delivered) as connections:
            self.step(batch, step, connections, "killed during: ")
        self._excuse(asked)

    def met(self, batch, step, number, act):
        """Do a step, and something else before its commit to Delta, or statement to Snowflake, of this number."""
        once, failed = acting_once(number, act)
        sent = []

        def send(_):
            sent.append(len(sent))
            once(sent[-1])

        with before(self.connections.lake.options["AWS_ENDPOINT_URL"], act=once) as proxy:
            racing = replace(self.connections, lake=self._through(proxy))
            if step == "silver":
                traced = lambda: TracedConnection(self.one.account.connect(), before=send)  # noqa: E731
                racing = replace(self.connections, silver=traced)
            try:
                self.step(batch, step, racing, "raced by another: ")
            except snowflake.connector.errors.Error as e:
                if "onflict" not in str(e):
                    raise
                self.note("  lost to the other: the task's next try decides")
        for error in failed:
            raise error

    def _through(self, proxy):
        lake = self.connections.lake
        endpoint = f"http://127.0.0.1:{proxy.server_port}"
        return replace(lake, options={**lake.options, "AWS_ENDPOINT_URL": endpoint})

    def _excuse(self, asked):
        """Answers that had not reached staging when their process died may be asked for again."""
        lost = {call.postcode for call in self.google.calls[asked:]} - self._staged()
        self.excused.update(lost)

    def _staged(self):
        lake = self.connections.lake
        files = filesystem(lake)
        tables = [pq.read_table(lake.path(key), filesystem=files) for key in list_files(lake, "_lookups")]
        if (merged := self.one.open("locations")) is not None:
            tables.append(merged.to_pyarrow_table())
        return {postcode for table in tables for postcode in table["postcode"].to_pylist()}

    # reconciles

    def reconcile(self, connections=None):
        """Reconcile as the DAG does: nothing was taken from a sink, so nothing may be called lost."""
        self.note("reconcile")
        try:
            report = reconcile.reconcile(self.pipeline, connections or self.connections)
            assert report is None or report.lost == 0, self.story(report)
        except (SchemaChanged, SourceChanged) as e:
            if not (self.left if isinstance(e, SourceChanged) else self.changes):
                raise
            self.note(f"  refused: {e}")
        except snowflake.connector.errors.ProgrammingError:
            if "silver" not in self.lost:  # one that was begun before cannot be finished
                raise
        finally:
            self.check(["silver", "gold"], None)

    def accept(self):
        """Accept the source after a failover; a full refresh, if the sinks cannot be compared with it."""
        self.note("accept the source")
        self.rows, self.refused = {"silver": {}, "gold": {}}, False  # versions are those of another source
        known = [c.name for c in history_ddl.columns_of(self.plain)]
        self.dropped = {name: since for name, since in self.dropped.items() if name not in known}
        try:
            report = reconcile.reconcile(self.pipeline, self.connections, accept=True, approve_deletes=True)
            differences.check_nothing_lost(report)
        except (SchemaChanged, SourceChanged) as e:
            if not (self.lost if isinstance(e, SourceChanged) else self.changes):
                raise
            self.note(f"  refused: {e}")
            self.whole(Mode.REFRESH)
        finally:
            self.check(["silver", "gold"], None)

    def look(self):
        """Begin a reconcile: read the keys of the source."""
        self.note("reconcile looks at the source")
        try:
            return comparison.stage_keys(self.pipeline, self.connections, open_sinks(self.pipeline, self.connections))
        except (SchemaChanged, SourceChanged) as e:
            if not (self.left if isinstance(e, SourceChanged) else self.changes):
                raise
            self.note(f"  refused: {e}")
            return None

    def compare(self, looked, sink):
        """Do one half of a reconcile that looked at the source before."""
        self.note(f"reconcile {sink} as the source was")
        try:
            with self.one.sink(sink).compare(looked) as comparison:
                comparison.delete()
        except ContractBroken:
            if not self.ahead:  # another reconcile may have got the same id, and staged other keys
                raise
        except (SourceChanged, snowflake.connector.errors.ProgrammingError):
            if not self.lost and looked.window.source not in self.left:
                raise
        self.check([sink], None)

    def lose(self, sink, ledger):
        """Take a sink away; Silver's ledger with it, or not."""
        self.note(f"{sink} is lost" + (", and its ledger" if ledger else ""))
        self.lost.add(sink)
        self.rows[sink] = {}
        if sink == "gold" and self.one.open("one") is not None:
            filesystem(self.connections.lake).delete_dir(self.connections.lake.path("one"))
        for table in ("ONE", "_MEDALLION_BATCHES")[: 1 + ledger] if sink == "silver" else ():
            self.reader.cursor().execute(f"DROP TABLE IF EXISTS {table}")

    def maintain(self, what):
        """Do what a maintenance of Gold does."""
        table = self.one.open("one")
        if table is None or not table.file_uris():
            return
        self.note(what)
        if what == "compact":
            table.optimize.compact()
        elif what == "z-order":
            table.optimize.z_order([key_in(table.schema().to_arrow().names)])
        else:
            table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        self.check(["gold"], None)

    # what must be so

    def check(self, sinks, batch):
        """Assert that no key is in a sink twice, and none in an older version than before."""
        for sink in sinks:
            found = getattr(self, f"_{sink}")()
            keys = [int(row[key_in(row)]) for row in found]
            twice = [key for key, count in Counter(keys).items() if count > 1]
            assert not twice, self.story(f"keys twice in {sink}: {twice}")
            rows, was = dict(zip(keys, found, strict=True)), self.rows[sink]
            gone = [] if self._may_remove(batch) else [key for key in was if key not in rows]
            older = [key for key in rows if key in was and rows[key]["_version"] < was[key]["_version"]]
            older = [key for key in older if not self._only_tried(batch, was[key])]
            assert not gone + older, self.story(f"gone from {sink}: {gone}, older: {older}")
            self.rows[sink] = rows

    def _may_remove(self, batch):
        """Return whether a full refresh, or with hard deletes a reconcile or the log, may have removed rows."""
        removes = self.pipeline.deletes == "hard" and (batch is None or batch.window.log is not None)
        return removes or (batch is not None and batch.window.mode is Mode.REFRESH)

    def _only_tried(self, batch, row):
        """Return whether a full refresh replaces rows of a trial that began after it: a trial moves no position."""
        trials = {b.window.batch_id for b in self.batches if b.window.mode is Mode.TRIAL}
        refresh = batch is not None and batch.window.mode is Mode.REFRESH
        return refresh and row["_batch_id"] in trials and row["_batch_id"] > batch.window.batch_id

    def settle(self):
        """Let all transactions end, and run until nothing is new; then everything must be right."""
        for writer in self.writers:
            writer.commit()
        self.note("all transactions ended")
        self.write("put", [99])  # that Silver was lost is found by a run that has rows
        for _ in range(6):
            if self.whole() is None and not self.refused:
                break
            if self.refused:
                self.accept()
        else:
            raise AssertionError(self.story("runs do not come to an end"))
        self.reconcile()
        assert self.whole() is None, self.story("a reconcile brought something new")
        self._compare()

    def _compare(self):
        columns = [c for c in history_ddl.columns_of(self.plain) if c.name not in self.pipeline.columns.exclude]
        is_date = {c.name for c in columns if c.name == "day" and c.type != "text"}
        read = ", ".join(f"nullif(day::text, 'infinity')::{c.type}" if c.name in is_date else c.quoted for c in columns)
        query = f"SELECT {read}, \"{self.key}\"::text::int, xmin::text::bigint, day::text = 'infinity' FROM rows"
        source = self.plain.execute(query).fetchall()
        bad = {row[-3] for row in source if row[-1] and is_date}
        names = [*(c.name for c in columns), "_version", *PLACED]
        postcode = names.index("postcode")
        wanted = {
            key: dict(zip(names, map(plain, (*values, version, *truth(values[postcode]))), strict=True))
            for *values, key, version, _ in source
        }
        for sink, rows in self.rows.items():
            living = {key: row for key, row in rows.items() if row["_deleted_at"] is None}
            found = {key: {name: plain(value) for name, value in row.items()} for key, row in living.items()}
            wrong = {
                key: {n: (v, found.get(key, {}).get(n, "absent")) for n, v in wanted.get(key, {"key": "none"}).items()}
                for key in wanted.keys() | found.keys()
                if key not in bad and (key not in wanted or not wanted[key].items() <= found.get(key, {}).items())
            }
            assert not wrong, self.story(f"{sink} differs: {wrong}")
            self._check_dropped(sink, living)
        calls = Counter(call.postcode for call in self.google.calls[self.since :])
        over = {p: count for p, count in calls.items() if count > 1 + self.excused[p]}
        assert not over, self.story(f"paid twice: {over}")

    def _check_dropped(self, sink, rows):
        """Assert that rows have no value in a column that the source dropped before they were written."""
        for name, since in self.dropped.items():
            kept = [k for k, row in rows.items() if row["_version"] > since and row.get(name) is not None]
            assert not kept, self.story(f"rows {kept} of {sink} have values of {name}, which was dropped before")

    def _silver(self):
        with self.reader.cursor() as cursor:
            if not cursor.execute("SHOW TERSE TABLES LIKE 'ONE'").fetchall():
                return []
            cursor.execute("SELECT * FROM ONE")
            gold = self.one.open("one")
            known = [*history_ddl.KEYS, *history_ddl.NAMES, *(gold.schema().to_arrow().names if gold else ())]
            known += [c.name for c in history_ddl.columns_of(self.plain)]
            there = {snowflake_name(name): name for name in known}
            names = [there.get(column[0], column[0].lower()) for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _gold(self):
        table = self.one.open("one")
        return table.to_pyarrow_table().to_pylist() if table else []

    # the story

    def name(self, batch):
        """Return a batch's short name."""
        return f"batch {self.batches.index(batch)}"

    def note(self, line):
        """Record what happens, for the message of a failure."""
        self.notes.append(line)

    def story(self, end):
        """Return all that happened, and how it ended."""
        return "\n".join(["", *self.notes, f"=> {end}"])


PLACED = ("latitude", "longitude", "geocode_status")


def acting_once(number, act):
    """Return a function that acts when it is called with this number first, and a list that gets its failure."""
    acted, failed = [], []

    def once(reached):
        if reached == number and not acted:
            acted.append(reached)
            try:
                act()
            except Exception as e:  # noqa: BLE001 (the proxy's thread would lose it)
                failed.append(e)

    return once, failed


def key_in(names):
    """Return which of the key's names is among these."""
    return next(name for name in history_ddl.KEYS if name in names)


def plain(value):
    """Return a value as it can be compared: numbers by value, times in UTC, arrays as Postgres prints them."""
    if isinstance(value, str) and value.startswith("["):  # an array of Snowflake's, whose words need no quotes
        value = json.loads(value)
    if isinstance(value, list):
        return f"{{{','.join(map(str, value))}}}"
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    try:
        return str(Decimal(str(value)).normalize() + 0)
    except InvalidOperation:
        return str(value)


def truth(postcode):
    """Return where a postcode is, and how its look-up must end."""
    if postcode is None:
        return None, None, "NO_POSTCODE"
    place = places.find("US", postcode)
    return (place.latitude, place.longitude, "OK") if place else (None, None, "ZERO_RESULTS")
