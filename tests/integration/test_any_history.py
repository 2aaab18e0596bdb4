"""Any events in any order: source, Silver and Gold end equal, and no look-up is billed twice."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from itertools import count
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from include.medallion.bronze.log import slot
from include.medallion.model.window import Mode
from include.sandbox import google as stand_in
from tests.integration.history import SINKS, History
from tests.integration.history_failover import server_of
from tests.integration.one_cluster import cluster

STEPS = 36
MODES = {Mode.WINDOW: 4, Mode.REFRESH: 1, Mode.TRIAL: 2}
UPKEEP = {"compact": 2, "z-order": 1, "vacuum": 1}
WEIGHTS = {
    "write": 6,
    "write_in_a_transaction": 6,
    "end_a_transaction": 7,
    "begin": 4,
    "go_on": 7,
    "do_again": 5,
    "be_overtaken": 2,
    "kill": 5,
    "meet": 4,
    "run": 5,
    "reconcile": 2,
    "kill_a_reconcile": 1,
    "look": 1,
    "compare": 2,
    "set_the_watermark_back": 2,
    "lose_a_sink": 1,
    "maintain": 2,
    "freeze": 1,
    "change_the_schema": 6,
    "change_the_schema_at_the_start": 2,
    "change_the_schema_while_rows_are_read": 2,
    "replay_after_a_change": 2,
    "read_another_way": 2,
    "lose_the_slot": 1,
    "fail_over": 1,
}
LOST = (
    "write",
    "write",
    "write_in_a_transaction",
    "end_a_transaction",
    "begin",
    "go_on",
    "run",
    "run",
    "reconcile",
    "look",
)
"""What may happen between the last change that a standby has and its promotion."""
UNACCEPTED = ("write", "write", "write_in_a_transaction", "go_on", "do_again", "kill", "run", "reconcile", "compare")
"""What may happen before a promoted standby is accepted."""
serial = count(1)


class Fate:
    """Draws what happens next; one seed, one sequence of draws."""

    def __init__(self, history, seed):
        self.history, self.draw, self.looks = history, Random(seed), []
        history.pipeline = history.pipeline.model_copy(update={"deletes": self.draw.choice(["soft", "soft", "hard"])})
        columns = history.pipeline.columns.model_copy(update={"dropped_columns": self.draw.choice(["keep", "drop"])})
        history.pipeline = history.pipeline.model_copy(update={"columns": columns})
        history.schema.draw = self.draw
        history.read_by(self.draw.choice(["log", "xmin"]))
        history.note(f"seed {seed}, deletes: {history.pipeline.deletes}, dropped columns: {columns.dropped_columns}")

    def run_its_course(self):
        """Bring the first rows, by a clock that is ahead perhaps; then let anything happen."""
        self.write()
        first = self.history.begin(ahead=self.draw.random() < 0.3)
        while step := first.next:
            self.history.step(first, step)
        for _ in range(STEPS):
            getattr(self, self._one(WEIGHTS))()
        self.history.settle()

    def write(self):
        """Write and commit."""
        self.history.write(*self._change())

    def write_in_a_transaction(self):
        """Write in a transaction that stays open."""
        self.history.write_open(self.draw.randrange(3), *self._change(), savepoint=self.draw.random() < 0.5)

    def end_a_transaction(self):
        """End a transaction, late perhaps."""
        self.history.end(self.draw.randrange(3), self.draw.choice(["commit", "commit", "rollback"]))

    def begin(self):
        """Open a window; what was begun before is left as it is."""
        self.history.begin(self._one(MODES))

    def go_on(self):
        """Do the next steps of a batch."""
        batch = self._batch()
        for _ in range(self.draw.randint(1, 5)):
            if step := batch.next:
                self.history.step(batch, step)

    def do_again(self):
        """Do any step that a batch may do, the first time or again."""
        batch = self._batch()
        if batch.steps:
            self.history.step(batch, self.draw.choice(batch.steps))

    def be_overtaken(self):
        """Let a batch wait before the sinks until newer versions of its rows have landed there."""
        some = self.draw.sample(range(1, 25), 3)
        for who in range(3):
            self.history.end(who, "commit")  # nothing holds the horizon
        self.history.write("put", some)
        batch = self.history.begin(self._one(MODES))
        while batch and (step := batch.next) and step != "silver":
            self.history.step(batch, step)
        self.history.write("put", some)
        self.history.whole()
        while batch and (step := batch.next):
            self.history.step(batch, step)

    def kill(self):
        """Kill the next step of a batch on its way, or one that is done again."""
        batch = self._batch()
        step = batch.next if self.draw.random() < 0.7 else self.draw.choice(batch.steps or [None])
        if step and step != "commit":
            where = self.draw.choice(["s3", "silver"] if step == "silver" else ["s3"])
            number = self.draw.randint(0, 12 if where == "silver" else 4)
            self.history.killed(batch, step, where, number, self.draw.random() < 0.5)

    def meet(self):
        """While a batch is applied to a sink, another one is, or Gold is maintained."""
        batch, other, upkeep = self._batch(), self._batch(), self.draw.choice([None, self._one(UPKEEP)])
        steps = [step for step in batch.steps if step in SINKS]
        if not steps or (not upkeep and (other is batch or steps[-1] not in other.steps)):
            return

        def act():
            if upkeep:
                self.history.maintain(upkeep)
            else:
                self.history.step(other, steps[-1], how="meanwhile ")

        self.history.met(batch, steps[-1], self.draw.randint(0, 10 if steps[-1] == "silver" else 1), act)

    def run(self):
        """Run from begin to end."""
        self.history.whole(self._one(MODES))

    def reconcile(self):
        """Reconcile from begin to end."""
        self.history.reconcile()

    def kill_a_reconcile(self):
        """Kill a reconcile on its way."""
        where = self.draw.choice(["s3", "silver"])
        with self.history.dying(where, self.draw.randint(0, 9), self.draw.random() < 0.5) as connections:
            self.history.reconcile(connections)

    def look(self):
        """Begin a reconcile."""
        if looked := self.history.look():
            self.looks.append(looked)

    def compare(self):
        """Continue a reconcile that was begun, after other events."""
        if self.looks:
            self.history.compare(self.looks[-1], self.draw.choice(["silver", "gold"]))

    def set_the_watermark_back(self):
        """Give Airflow an older watermark, or none."""
        hints = self.history.hints
        hints.append(self.draw.choice([{}, *hints[-4:]]))
        self.history.note(f"the watermark is {self.history.hint}")

    def lose_a_sink(self):
        """Take a sink away."""
        self.history.lose(self.draw.choice(["silver", "gold"]), self.draw.random() < 0.5)

    def maintain(self):
        """Maintain Gold."""
        self.history.maintain(self._one(UPKEEP))

    def freeze(self):
        """Let the source freeze its rows."""
        self.history.plain.execute("VACUUM FREEZE rows")
        self.history.note("frozen")

    def change_the_schema(self):
        """Change the table; usually when no other transaction keeps its lock."""
        if self.draw.random() < 0.8:
            for who in range(3):
                self.history.end(who, self.draw.choice(["commit", "commit", "rollback"]))
        for _ in range(self.draw.choice([1, 1, 1, 2, 3])):
            self.history.change_schema()

    def change_the_schema_at_the_start(self):
        """Change the table while a window is opened, and go on with its batch."""
        for who in range(3):
            self.history.end(who, "commit")
        batch = self.history.begin_changed(self._one(MODES), self.draw.randint(0, 4))
        for _ in range(self.draw.randint(0, 9)):
            if batch and (step := batch.next):
                self.history.step(batch, step)

    def change_the_schema_while_rows_are_read(self):
        """Change the table during an extract, the first one of its batch or another."""
        batch = self._batch()
        if "extract" in batch.steps:
            self.history.extract_changed(batch, self.draw.randint(0, 1))

    def replay_after_a_change(self):
        """Stage a batch, change the schema, run with the new one, and apply the batch then."""
        for who in range(3):
            self.history.end(who, "commit")
        self.write()
        batch = self.history.begin(self._one(MODES))
        while batch and (step := batch.next) and step != "silver":
            self.history.step(batch, step)
        self.history.change_schema()
        self.write()
        self.history.whole()
        while batch and (step := batch.next):
            self.history.step(batch, step)

    def read_another_way(self):
        """Switch between transaction ids and the log."""
        self.history.read_by("xmin" if self.history.pipeline.source.read == "log" else "log")

    def lose_the_slot(self):
        """Lose the slot, or what it had to keep."""
        self.history.lose_slot(self.draw.choice(["dropped", "consumed"]))

    def fail_over(self):
        """Promote a standby that lacks the newest changes, and accept it, each after some other events."""
        self.history.leave_a_standby_behind(synchronised=self.draw.random() < 0.5)
        for _ in range(self.draw.randint(0, 6)):
            getattr(self, self.draw.choice(LOST))()
        self.history.fail_over()
        for _ in range(self.draw.randint(0, 4)):
            getattr(self, self.draw.choice(UNACCEPTED))()
        self.history.accept()

    def _change(self):
        return self.draw.choice(["put", "put", "put", "delete"]), self.draw.sample(
            range(1, 25), self.draw.randint(1, 5)
        )

    def _batch(self):
        """Choose one of the last batches, rather one that is not done."""
        recent = self.history.batches[-5:]
        return self.draw.choice([batch for batch in recent if batch.next] * 3 + recent)

    def _one(self, weights):
        return self.draw.choices(list(weights), weights.values())[0]


@pytest.fixture(scope="module")
def quiet(sandbox_state):
    """Lend a cluster without autovacuum: no transaction but those of the test."""
    with cluster(sandbox_state, "history") as lent:
        yield lent


@pytest.fixture(scope="module", autouse=True)
def hasty():
    """Create no slot beside open transactions: waiting for them takes ten seconds each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slot, "_SECONDS_TO_CREATE", 0.1)
        yield


@pytest.fixture(scope="module")
def fresh(quiet, lake, snowflake_account):
    """Lend a function that makes a new history."""
    with stand_in.serving() as google:

        def make():
            number = next(serial)
            account = replace(snowflake_account, schema=f"HISTORY_{number}")
            database = quiet.database().rpartition("/")[2]
            return History(server_of(quiet), database, f"s3://{lake.bucket}/history-{number}", lake, account, google)

        yield make


@settings(
    max_examples=settings.default.max_examples // 25,
    derandomize=settings.default.max_examples <= 100,  # `--hypothesis-profile=long` hunts with other seeds each time
    phases=[Phase.explicit, Phase.generate],  # of a seed there is nothing to shrink
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 1 << 32))
def test_any_history_ends_right(fresh, seed):
    """
    Writes, open transactions, runs step by step, killed, replayed, raced, reconciled; sinks and watermarks lost.

    The source is read by transaction id and by its log, in turns.
    """
    with closing(fresh()) as history:
        Fate(history, seed).run_its_course()
