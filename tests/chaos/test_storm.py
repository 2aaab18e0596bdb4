"""The short storm: a dozen kills at the boundaries of every task, while somebody writes."""

from __future__ import annotations

import pytest

from .cases import EVERY
from .deployment import deployed, writing
from .inject import chaos_points
from .storm import sail, short
from .table import closing, table


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_dozen_kills_lose_double_and_regress_nothing(tmp_path):
    """Whatever is killed while rows are written: both sinks end as the source is, no answer is paid again."""
    legs = short()
    with deployed(tmp_path, 20_000, print) as rig, writing(rig) as pause:
        sail(rig, pause, legs, print)
        print(*table(legs), *closing(rig, legs), sep="\n")
    (leg,) = legs
    assert sum(leg.kills.values()) >= 6  # where a kill lands is drawn: some orders find their point passed already
    assert leg.verdict.details == rig.orders.failures == []


def test_every_case_has_its_point():
    """A storm whose orders name no point would strike nobody."""
    assert {case.order.point for case in EVERY} <= chaos_points.POINTS.keys()
