"""The chaos run: faults are injected into runs while a workload writes; then runs without faults, then the check."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .cases import LOG, NETWORK, REFRESH, SCHEDULER, SERVERS, TASKS, Case, named
from .cluster import Cluster
from .meanwhile import meanwhile
from .oracle import Oracle, Verdict

# tasks have thirteen tries here: tries of `load_silver` also fail on the locks that a killed one left
MAX_FAULTS = {"open_window": 1, "extract": 4, "enrich": 8, "load_silver": 4, "write_gold": 5, "commit": 2}
WHILE_IT_CHANGES = ("ddl", "reload", "reconcile")
WHILE_ALL_CHANGES = (*WHILE_IT_CHANGES, "restore")
TRIES = 4  # of a run that DDL stops
Say = Callable[[str], None]


@dataclass
class Phase:
    """Some runs, how often each case happened in them, and what the check found afterwards."""

    name: str
    plan: list[list[Case]]
    params: dict[str, object] = field(default_factory=dict)
    meanwhile: tuple[str, ...] = ()  # what else happens: `ddl`, `reload`, `reconcile`, `restore`
    kills: Counter[str] = field(default_factory=Counter)
    verdict: Verdict | None = None
    seconds: float = 0.0


def short() -> list[Phase]:
    """Return a chaos run of two minutes."""
    first = named(
        "extract: in the middle of the rows",
        "extract: all staged, before the manifest",
        "enrich: calls in flight",
        "enrich: paid, not yet staged",
        "enrich: all staged, before the manifest",
        "load_silver: between COPY and BEGIN",
        "load_silver: before COMMIT",
        "load_silver: after COMMIT",
        "write_gold: during the Delta commit",
        "write_gold: right after its commit",
        "commit: before the watermark",
        "commit: after the watermark",
    )
    return [Phase("short", [first[:5], first[5:]])]


def around_the_slot() -> list[Phase]:
    """Return a chaos run of a minute for `read: log`; the first run creates the slot, the third reads the log."""
    first = named("extract: all staged, before the manifest", "write_gold: right after its commit")
    return [Phase("log", [[], [], [*first, *LOG[:2]], LOG[1:]])]


def quick() -> list[Phase]:
    """Return the short run, and one run without kills while the table changes."""
    return [*short(), Phase("changes", [[]], meanwhile=WHILE_IT_CHANGES)]


def changing() -> list[Phase]:
    """
    Return as many kills while the table changes: DDL, rows replaced as a whole, reconciles that are killed, too.

    Then once more with sinks that are restored to the past meanwhile.
    """
    (phase,) = short()
    return [
        Phase("schema", phase.plan, meanwhile=WHILE_IT_CHANGES),
        Phase("restores", phase.plan, meanwhile=WHILE_ALL_CHANGES),
    ]


def long() -> list[Phase]:
    """Return a chaos run of more than two hundred faults."""
    runs = list(_waves(TASKS, 8))
    return [
        Phase("tasks", [[], *runs[:4]]),
        Phase("tasks again", runs[4:]),
        Phase("schema", list(_waves(TASKS, 4)), meanwhile=WHILE_IT_CHANGES),
        Phase("restores", list(_waves(TASKS, 4)), meanwhile=WHILE_ALL_CHANGES),
        Phase("full refresh", list(_waves(REFRESH, 2)), {"full_refresh": True}),
        Phase("scheduler", [[case] for case in SCHEDULER]),
        Phase("servers", [[case] for case in SERVERS]),
        Phase("network", [[case] for case in NETWORK]),
    ]


def run_phases(cluster: Cluster, pause: Callable[[bool], None], phases: list[Phase], say: Say) -> None:
    """Run all phases; each ends with a check of everything."""
    oracle = Oracle(cluster)
    for phase in phases:
        begun = time.monotonic()
        with meanwhile(cluster, phase.meanwhile):
            for cases in phase.plan:
                state = _run_with_faults(cluster, cases, phase)
                say(f"{phase.name}: run {cluster.runs} {state}, {sum(phase.kills.values())} faults")
            pause(True)
        if "restore" in phase.meanwhile:
            cluster.touch()  # a run that finds nothing new asks Silver for nothing
        settle(cluster)
        cluster.end_orphans()
        phase.verdict = oracle.check()
        phase.seconds = time.monotonic() - begun
        restored = f"; restored so far: {dict(cluster.restores)}" if cluster.restores else ""
        say(f"{phase.name}: checked, {phase.verdict.faults} faults {phase.verdict.details or ''}{restored}")
        pause(False)
        time.sleep(3)  # so that the next run finds something


def settle(cluster: Cluster) -> None:
    """Run until a run finds nothing new."""
    for _ in range(8):
        if cluster.run() == "success" and not cluster.loaded():
            return
    raise AssertionError("the last of eight runs still found something new")


def _run_with_faults(cluster: Cluster, cases: list[Case], phase: Phase) -> str:
    """Run with faults; again, with those that have not happened, if DDL stopped the run, as the next run would."""
    for _ in range(TRIES if phase.meanwhile and cases else 1):
        state, left = _try_with_faults(cluster, cases, phase)
        if state == "success":
            break
        cases = left
    return state


def _try_with_faults(cluster: Cluster, cases: list[Case], phase: Phase) -> tuple[str, list[Case]]:
    placed = {cluster.faults.place(case.draw(cluster)): case for case in cases}
    state = cluster.run(**phase.params)
    cluster.faults.withdraw()
    for proxy in cluster.proxies.values():
        proxy.off()
    happened = {name for name in placed if cluster.faults.happened(name)}
    phase.kills.update(placed[name].label for name in happened)
    return state, [case for name, case in placed.items() if name not in happened]


def _waves(cases: list[Case], count: int) -> Iterator[list[Case]]:
    """Distribute cases over runs: each in turn, no task more often than it is retried."""
    decks = defaultdict(list)
    for case in cases:
        decks[case.task].append(case)
    for wave in range(count):
        chosen = []
        for task, deck in decks.items():
            most = min(MAX_FAULTS[task], max(len(deck), 2))
            chosen += [deck[(wave * most + i) % len(deck)] for i in range(most)]
        random.shuffle(chosen)
        yield chosen
