"""The short chaos run: a dozen kills at the boundaries of every task, while a workload writes."""

from __future__ import annotations

from importlib import import_module
from operator import attrgetter

import pytest

from .cases import EVERY
from .chaos_run import quick, run_phases
from .deployment import deployed, writing
from .inject import chaos_points
from .table import closing, table


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_dozen_kills_lose_double_and_regress_nothing(tmp_path):
    """
    Tasks are killed while rows are written: both sinks end equal to the source, and no answer is paid for twice.

    Then columns and types change, all rows are replaced, and reconciles are killed during a run.
    """
    phases = quick()
    with deployed(tmp_path, 20_000, print) as cluster, writing(cluster) as pause:
        run_phases(cluster, pause, phases, print)
        print(*table(phases), *closing(cluster, phases), sep="\n")
    assert sum(phases[0].kills.values()) >= 5  # delays are drawn: some faults come after their process has ended
    assert [detail for phase in phases for detail in phase.verdict.details] == cluster.faults.failures == []


def test_every_case_has_its_point():
    """A fault whose point does not exist would never happen."""
    assert {case.fault.point for case in EVERY} <= chaos_points.POINTS.keys()


def test_every_point_is_in_the_code():
    """A point whose function was renamed would never be reached."""
    for point in chaos_points.POINTS.values():
        for target in filter(None, (point.target, point.inside)):
            module, _, path = target.partition(":")
            assert callable(attrgetter(path)(import_module(module)))
