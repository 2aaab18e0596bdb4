"""Calls of a provider: rate limit, retries, circuit breaker, budget and threads."""

import threading
import time
from itertools import pairwise

import pytest

from include.medallion.config.sections.enrichment import GeocodeSettings
from include.medallion.errors import ProviderRefused, Transient
from include.medallion.geocoders import open_geocoder
from include.medallion.lookups import calls
from include.medallion.lookups.limits.call_budget import CallBudget
from include.sandbox.google import KEY, serving


@pytest.fixture
def google():
    """Start the stand-in, with nothing wrong."""
    with serving() as server:
        yield server


def paced(**changes):
    """Return settings with a high rate limit and few attempts, with changes."""
    quick = {"calls_per_second": 1000, "concurrency": 4, "timeout_seconds": 5, "max_attempts": 3}
    return GeocodeSettings(postcode="postcode", country="US", **(quick | changes))


def locator(server, settings):
    """Open the Geocoding API on the stand-in."""
    opened = open_geocoder(settings, {"GOOGLE_API_KEY": KEY, "GOOGLE_GEOCODING_URL": server.geocoding_url})
    return lambda key: opened.locate(*key)


def look_up(questions, ask, settings, share=1, budget=None):
    """Make calls, without a limit unless a budget is given."""
    return calls.make_calls(questions, ask, settings, budget or CallBudget(), share)


def some(count):
    """Give distinct keys; not all are postcodes."""
    return [("US", f"{98001 + i:05}") for i in range(count)]


def drain(iterator):
    """Take all answers until the end or the failure; give both."""
    taken = []
    try:
        taken.extend(iterator)
    except (ProviderRefused, Transient) as failure:
        return taken, failure
    return taken, None


def test_every_key_is_answered_once(google):
    """Each key comes back with its own answer."""
    settings = paced()
    found = list(look_up(some(40), locator(google, settings), settings))
    assert sorted(key for key, _ in found) == some(40)
    assert dict(found)["US", "98004"].latitude == pytest.approx(47.62, abs=0.01)
    assert len(google.calls) == 40


def test_no_keys_are_no_calls(google):
    """Nothing to look up ends at once."""
    assert list(look_up([], locator(google, paced()), paced())) == []


def test_the_rate_limit_is_kept(google):
    """Thirty calls at fifty a second reach the server over at least most of the 0.58 s that they must take."""
    settings = paced(calls_per_second=50, concurrency=8)
    list(look_up(some(30), locator(google, settings), settings))
    at = sorted(call.at for call in google.calls)
    assert at[-1] - at[0] > 0.8 * 29 / 50


def test_the_rate_is_shared(google):
    """One of four look-ups of the deployment gets a fourth of the rate."""
    settings = paced(calls_per_second=80, concurrency=8)
    list(look_up(some(12), locator(google, settings), settings, share=4))
    at = sorted(call.at for call in google.calls)
    assert at[-1] - at[0] > 0.8 * 11 / 20


def test_a_rate_below_one_a_second_is_kept(google):
    """At half a call per second, two seconds pass between two calls."""
    settings = paced(calls_per_second=0.5)
    list(look_up(some(2), locator(google, settings), settings))
    first, second = sorted(call.at for call in google.calls)
    assert second - first > 1.6


def test_what_may_pass_is_tried_again(google):
    """A third of the calls fails; all keys are answered, and every call is counted."""
    google.fail("UNKNOWN_ERROR", share=0.3)
    settings, budget = paced(max_attempts=8), CallBudget()
    found = list(look_up(some(30), locator(google, settings), settings, budget=budget))
    assert len(found) == 30
    assert budget.calls == len(google.calls) > 30


def test_a_call_is_tried_as_often_as_is_set(google):
    """After its attempts the failure is raised as it was."""
    google.fail("UNKNOWN_ERROR")
    settings, budget = paced(max_attempts=2), CallBudget()
    _, failure = drain(look_up(some(1), locator(google, settings), settings, budget=budget))
    assert isinstance(failure, Transient)
    assert (budget.calls, len(google.calls)) == (2, 2)


def test_retry_after_is_honoured(google):
    """The second try comes no sooner than the server asked for."""
    google.fail("429", times=1, retry_after="1")
    settings = paced()
    list(look_up(some(1), locator(google, settings), settings))
    first, second = (call.at for call in google.calls)
    assert second - first >= 0.95


def test_a_long_pause_is_left_to_the_task(google):
    """The call does not wait for an hour: the failure says how long to wait."""
    google.fail("429", retry_after="3600")
    settings = paced()
    _, failure = drain(look_up(some(1), locator(google, settings), settings))
    assert (failure.retry_after, len(google.calls)) == (3600, 1)


def test_a_refusal_stops_all_calls(google):
    """After a refusal, only the calls that were in flight are made."""
    google.fail("REQUEST_DENIED", postcode="98010")
    settings = paced(concurrency=4)
    found, failure = drain(look_up(some(200), locator(google, settings), settings))
    assert isinstance(failure, ProviderRefused)
    assert len(found) < 100
    assert len(google.calls) <= len(found) + 4


def test_a_refused_key_costs_one_call(google):
    """The first question goes alone: if the key is refused, it was the only one."""
    google.fail("REQUEST_DENIED")
    settings = paced(concurrency=8)
    found, failure = drain(look_up(some(200), locator(google, settings), settings))
    assert isinstance(failure, ProviderRefused)
    assert (found, len(google.calls)) == ([], 1)


def test_a_provider_that_is_down_opens_the_circuit(google):
    """After a number of consecutive failures, no call is made, and the task is retried later than a call would be."""
    settings = paced(concurrency=4, max_attempts=1000, max_consecutive_failures=6)
    google.fail("503", retry_after="0")
    found, failure = drain(look_up(some(200), locator(google, settings), settings))
    assert (found, isinstance(failure, Transient)) == ([], True)
    assert 6 <= len(google.calls) <= 6 + 4
    assert failure.retry_after > calls.MAX_PAUSE_SECONDS
    assert "max_consecutive_failures" in str(failure)


def test_failures_between_answers_do_not_open_the_circuit(google):
    """Only consecutive failures count: a third of calls failing does not open the circuit."""
    settings = paced(concurrency=1, max_attempts=50, max_consecutive_failures=12)
    google.fail("UNKNOWN_ERROR", share=0.3)
    found, failure = drain(look_up(some(40), locator(google, settings), settings))
    assert (len(found), failure) == (40, None)


def test_no_call_is_made_beyond_the_budget(google):
    """Retries are calls too: with seven granted, seven are made, and the other questions are left out."""
    google.fail("UNKNOWN_ERROR", share=0.5)
    granted = iter([5, 2, 0])
    budget = CallBudget(lambda _: next(granted))
    settings = paced(concurrency=4, max_attempts=50)
    found, failure = drain(look_up(some(40), locator(google, settings), settings, budget=budget))
    assert (len(google.calls), budget.calls, failure) == (7, 7, None)
    assert 0 < len(found) < 7


@pytest.mark.parametrize(("fault", "kind"), [("REQUEST_DENIED", ProviderRefused), ("503", Transient)])
def test_what_was_answered_is_kept(google, fault, kind):
    """All calls that were answered are handed out before the failure is raised."""
    google.fail(fault, postcode="98011")
    settings = paced(max_attempts=1)
    found, failure = drain(look_up(some(40), locator(google, settings), settings))
    assert isinstance(failure, kind)
    assert {key[1] for key, _ in found} == {call.postcode for call in google.calls} - {"98011"}
    assert len(found) >= 7


def test_a_refusal_does_not_wait_for_a_pause(google):
    """A thread that waits out a Retry-After is woken by another's refusal."""
    google.fail("429", postcode="98001", retry_after="59")
    google.fail("REQUEST_DENIED", postcode="98040")
    settings, begun = paced(concurrency=4), time.monotonic()
    _, failure = drain(look_up(some(60), locator(google, settings), settings))
    assert isinstance(failure, ProviderRefused)
    assert time.monotonic() - begun < 30


def test_a_mistake_of_the_geocoder_is_raised(google):
    """A bug is neither retried nor hidden."""

    def broken(key):
        raise KeyError(key)

    budget = CallBudget()
    with pytest.raises(KeyError):
        list(look_up(some(1), broken, paced(), budget=budget))
    assert budget.calls == 1


def test_answers_come_as_they_are_paid_for(google):
    """The first answer is there though a later call hangs."""
    google.fail("hang", postcode="98002")
    settings = paced(concurrency=2, timeout_seconds=1, max_attempts=1)
    key, _ = next(look_up(some(2), locator(google, settings), settings))
    assert key == ("US", "98001")


def test_keys_are_read_as_they_are_needed(google):
    """When the first answer is handed out, at most twice the concurrency has been read."""
    read = []
    settings = paced(concurrency=3)
    found = look_up((read.append(key) or key for key in some(100)), locator(google, settings), settings)
    next(found)
    assert len(read) <= 6


def test_closing_early_ends_the_threads(google):
    """A caller that stops listening leaves no thread and no further call behind."""
    settings = paced()
    found = look_up(some(100), locator(google, settings), settings)
    next(found)
    found.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("look-up")]
    assert len(google.calls) < 100


def test_the_end_leaves_no_threads(google):
    """Neither does a look-up that came to its end."""
    settings = paced()
    list(look_up(some(5), locator(google, settings), settings))
    assert not [t for t in threading.enumerate() if t.name.startswith(("look-up", "Pyrate"))]


def test_calls_are_spread_evenly(google):
    """There is no burst: two calls are hardly ever closer than the rate allows."""
    settings = paced(calls_per_second=20, concurrency=8)
    list(look_up(some(12), locator(google, settings), settings))
    gaps = [later - earlier for earlier, later in pairwise(sorted(call.at for call in google.calls))]
    assert sorted(gaps)[len(gaps) // 2] > 0.6 / 20
