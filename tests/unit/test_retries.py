"""When a failed task is tried again."""

import json
from pathlib import Path
from sys import path

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction

path.insert(0, str(Path(__file__).parents[2] / "plugins"))

from medallion_retries import MAX_RETRY_AFTER, PatientRetries

from include.medallion.errors import ProviderRefused, SinkBehind, Transient

POLICY = PatientRetries(base=10, cap=300)


def seconds(error: BaseException, try_number: int = 1) -> float:
    """Return the delay that the policy chooses."""
    decision = POLICY.evaluate(error, try_number, max_tries=3)
    assert decision.action is RetryAction.RETRY
    return decision.retry_delay.total_seconds()


@pytest.mark.parametrize("error", [ProviderRefused("enable the Geocoding API"), SinkBehind("run again", held=None)])
def test_refusal_fails_at_once_and_says_what_to_do(error):
    """No retry for what a person must mend; the reason keeps the exception's advice."""
    decision = POLICY.evaluate(error, 1, max_tries=3)
    assert decision.action is RetryAction.FAIL
    assert str(error) in decision.reason


def test_retry_after_is_waited_for_and_spread():
    """The other side's wish is a lower bound; jitter is added to it."""
    delays = {seconds(Transient("slow down", retry_after=42)) for _ in range(50)}
    assert all(42 <= delay <= 52 for delay in delays)
    assert len(delays) > 40


@pytest.mark.parametrize(
    ("retry_after", "least", "most"), [(float("inf"), MAX_RETRY_AFTER, MAX_RETRY_AFTER + 10), (-5, 0, 10)]
)
def test_absurd_values_of_retry_after_are_bounded(retry_after, least, most):
    """A wish that no timedelta can hold, or one in the past, gives a usable delay."""
    assert least <= seconds(Transient("slow down", retry_after=retry_after)) <= most


@pytest.mark.parametrize("error", [Transient("may pass"), TimeoutError("x"), ValueError("90210"), SystemExit(3)])
@pytest.mark.parametrize(("try_number", "ceiling"), [(1, 10), (2, 20), (4, 80), (6, 300), (5000, 300)])
def test_anything_else_backs_off_up_to_a_doubling_ceiling(error, try_number, ceiling):
    """Delays are drawn from the whole range up to the ceiling, which doubles until the cap."""
    delays = [seconds(error, try_number) for _ in range(200)]
    assert max(delays) <= ceiling
    assert max(delays) > ceiling * 0.7
    assert min(delays) < ceiling * 0.3


def test_parts_of_one_run_do_not_come_back_together():
    """Same exception, same try: delays differ, though nothing tells the parts apart."""
    assert len({seconds(TimeoutError(), try_number=3) for _ in range(100)}) == 100


def test_reason_never_quotes_a_foreign_message():
    """The reason is stored and logged: a driver's message may hold a row."""
    decision = POLICY.evaluate(ValueError("Key (email)=(jane@example.com)"), 1, max_tries=3)
    assert decision.reason == "ValueError: backing off"


def test_settings_survive_serialisation():
    """What is serialised as JSON gives an equal policy."""
    assert PatientRetries.deserialize(json.loads(json.dumps(POLICY.serialize()))) == POLICY
