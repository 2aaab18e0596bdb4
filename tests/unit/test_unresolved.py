"""A run in which most keys have no location does not look healthy."""

import pytest

from include.medallion.config.pipeline import Pipeline
from include.medallion.errors import ContractBroken
from include.medallion.model.window import Mode, Window
from include.medallion.staging.parts import EnrichedPart, LookupCounts
from include.medallion.steps.summary.unresolved import check_resolved, find_unresolved

FUNCTION = {"function": {"call": "m:f", "keys": "id", "returns": {"b": "string"}}}


def pipeline(**settings):
    """Return a pipeline with a function and a geocode."""
    geocode = {"geocode": {"postcode": "zip", "country": "US", **settings}}
    source = {"table": "people", "key": "id"}
    return Pipeline(name="people", source=source, enrich=[FUNCTION, geocode], gold={"table": "people"})


def parts(*statuses):
    """Return enriched parts whose geocode came to these statuses; the function answered all of its keys."""
    counts = [(LookupCounts(statuses={"OK": 1000}), LookupCounts(statuses=one)) for one in statuses]
    return [EnrichedPart(n, (), 0, (), (), by_enrichment=both) for n, both in enumerate(counts)]


def window(mode=Mode.WINDOW):
    """Return a window of this mode."""
    return Window("people", "source", 0, 1, 20261122203059123, lag=0, mode=mode)


@pytest.mark.parametrize(
    ("statuses", "warns"),
    [
        ([{"OK": 10, "ZERO_RESULTS": 11}], True),
        ([{"OK": 11, "ZERO_RESULTS": 11}], False),
        ([{"OK": 5, "UNSUPPORTED": 7}, {"OK": 3, "UNKNOWN_COUNTRY": 5}], True),
        ([{"ZERO_RESULTS": 19}], False),
        ([{"ZERO_RESULTS": 20}], True),
        ([{"OK": 1, "PENDING": 5000}], False),
        ([{"INVALID_POSTCODE": 15, "PENDING": 5000, "OK": 5}], True),
        ([], False),
    ],
)
def test_a_run_warns_above_the_share(statuses, warns):
    """Half of at least twenty keys; rows that wait and other enrichments do not count."""
    assert len(list(find_unresolved(pipeline(), window(), parts(*statuses)))) == warns


def test_the_warning_names_counts_statuses_and_the_setting():
    """It says how many keys, why, which column, and what to read; no value of a row."""
    (text,) = find_unresolved(pipeline(), window(), parts({"OK": 1000, "UNSUPPORTED": 3000, "ZERO_RESULTS": 2}))
    for piece in ("people", "3,002 of 4,002", "UNSUPPORTED 3,000", "max_unresolved_share (0.5)", "column zip"):
        assert piece in text


def test_share_and_number_are_settings():
    """A table of few keys, or one that is known to be bad, has its own bounds."""
    assert [*find_unresolved(pipeline(min_unresolved_keys=2), window(), parts({"UNSUPPORTED": 2}))]
    assert not [*find_unresolved(pipeline(max_unresolved_share=1), window(), parts({"UNSUPPORTED": 200}))]


@pytest.mark.parametrize("mode", [Mode.LOOKUPS, Mode.QUARANTINE])
def test_runs_of_problems_alone_do_not_warn(mode):
    """A refresh reads what could not be resolved: its share says nothing."""
    assert not [*find_unresolved(pipeline(), window(mode), parts({"UNSUPPORTED": 200}))]


def test_a_run_fails_if_the_file_says_so():
    """Before any sink is written, with the statuses; by default it does not."""
    bad = parts({"UNSUPPORTED": 200})
    check_resolved(pipeline(), window(), bad)
    with pytest.raises(ContractBroken, match=r"not loaded \(on_unresolved: fail\): 200 of 200 keys"):
        check_resolved(pipeline(on_unresolved="fail"), window(), bad)
