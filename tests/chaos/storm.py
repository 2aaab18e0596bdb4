"""The storm: runs that are struck while somebody writes, then calm, then the reckoning."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .cases import NETWORK, REFRESH, SCHEDULER, SERVERS, TASKS, Case, named
from .oracle import Oracle, Verdict
from .rig import Rig

# a task is tried thirteen times here: tries of `load_silver` also fail on the locks that a killed one left
MOST = {"open_window": 1, "extract": 4, "enrich": 8, "load_silver": 4, "write_gold": 5, "commit": 2}
Say = Callable[[str], None]


@dataclass
class Leg:
    """Some runs, how often each case struck in them, and what was found afterwards."""

    name: str
    plan: list[list[Case]]
    params: dict[str, object] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    verdict: Verdict | None = None
    seconds: float = 0.0


def short() -> list[Leg]:
    """Return a storm of two minutes."""
    first = named(
        "extract: in the middle of the rows",
        "extract: all staged, before it returns",
        "enrich: calls in flight",
        "enrich: paid, not yet staged",
        "enrich: all staged, before it returns",
        "load_silver: between COPY and BEGIN",
        "load_silver: before COMMIT",
        "load_silver: after COMMIT",
        "write_gold: during the Delta commit",
        "write_gold: right after its commit",
        "commit: before the watermark",
        "commit: after the watermark",
    )
    return [Leg("short", [first[:5], first[5:]])]


def long() -> list[Leg]:
    """Return a storm of more than two hundred strikes."""
    runs = list(_waves(TASKS, 8))
    return [
        Leg("tasks", [[], *runs[:4]]),
        Leg("tasks again", runs[4:]),
        Leg("full refresh", list(_waves(REFRESH, 2)), {"full_refresh": True}),
        Leg("scheduler", [[case] for case in SCHEDULER]),
        Leg("servers", [[case] for case in SERVERS]),
        Leg("network", [[case] for case in NETWORK]),
    ]


def sail(rig: Rig, pause: Callable[[bool], None], legs: list[Leg], say: Say) -> None:
    """Go through all legs; each ends with a check of everything."""
    oracle = Oracle(rig)
    for leg in legs:
        begun = time.monotonic()
        for cases in leg.plan:
            state = _struck_run(rig, cases, leg)
            say(f"{leg.name}: run {rig.runs} {state}, {sum(leg.kills.values())} strikes")
        pause(True)
        settle(rig)
        rig.end_orphans()
        leg.verdict = oracle.check()
        leg.seconds = time.monotonic() - begun
        say(f"{leg.name}: checked, {leg.verdict.faults} faults {leg.verdict.details or ''}")
        pause(False)
        time.sleep(3)  # the next run is to find something


def settle(rig: Rig) -> None:
    """Run until a run finds nothing new."""
    for _ in range(8):
        if rig.run() == "success" and not rig.loaded():
            return
    raise AssertionError("runs do not come to an end: the last of eight found something new")


def _struck_run(rig: Rig, cases: list[Case], leg: Leg) -> str:
    placed = {rig.orders.place(case.draw(rig)): case for case in cases}
    state = rig.run(**leg.params)
    rig.orders.withdraw()
    for proxy in rig.proxies.values():
        proxy.off()
    leg.kills.update(case.label for name, case in placed.items() if rig.orders.struck(name))
    return state


def _waves(cases: list[Case], count: int) -> Iterator[list[Case]]:
    """Deal cases out to runs: each in turn, no task more often than it is tried again."""
    decks = defaultdict(list)
    for case in cases:
        decks[case.task].append(case)
    for wave in range(count):
        chosen = []
        for task, deck in decks.items():
            most = min(MOST[task], max(len(deck), 2))
            chosen += [deck[(wave * most + i) % len(deck)] for i in range(most)]
        random.shuffle(chosen)
        yield chosen
