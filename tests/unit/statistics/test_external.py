"""Custom metrics and judges: what a window says of them, and how the verdict and its replay rest on it."""

from __future__ import annotations

import pytest
from plimsoll.core import ledger
from plimsoll.core.external import between, remembered
from plimsoll.core.ledger import Ledger
from plimsoll.core.verdict import Policy, judge
from plimsoll.facts import ArmCounts, Demand, External, Reading, Verdict, Window

RATIO = Demand("declined", "Ratio", margin=1.5)
BOUNDED = Demand("declined", "Ratio", bound=0.02)
MEAN = Demand("basket", "Mean", margin=0.1, low=0.0, high=1.0)
COUNTER = Demand("panics", "Counter", bound=2)
JUDGE = Demand("judge/fairness", "Judge")
SLOWER = (0,) * 13


def reading(**values: float) -> Reading:
    """`candidate_events=3` becomes one series of `candidate/events`."""
    return Reading({key.replace("_", "/"): {"one": value} for key, value in values.items()})


def windows(*said: External, name: str = "declined") -> tuple[Window, ...]:
    """One window of healthy traffic for each."""
    stable, candidate = (ArmCounts(requests=n, timed=n, slower=SLOWER) for n in (900, 100))
    return tuple(
        Window(i, 10.0 * i, 10.0 * (i + 1), 1, 10, stable, candidate, external={name: one})
        for i, one in enumerate(said, 1)
    )


def verdict(said: list[External], demand: Demand) -> Verdict:
    """After all windows, and the same again from the ledger's text."""
    policy, found = Policy(external=(demand,)), windows(*said, name=demand.name)
    decided = judge(found, policy)
    text = ledger.encode(Ledger("r1", "r2", policy, windows=found))
    assert ledger.replay(ledger.decode(text))[-1] == decided
    return decided


# --- from readings to a window --------------------------------------------------------------------------------------


def test_counters_are_differenced_series_by_series_and_a_new_series_counts_from_zero() -> None:
    before = Reading({f"{arm}/{part}": {"a": 10.0} for arm in ("candidate", "stable") for part in ("events", "total")})
    after = Reading({key: {"a": 12.0, "b": 3.0} for key in before.values})
    assert between(RATIO, before, after) == External((5, 5), (5, 5))


def counter(**series: float) -> Reading:
    return Reading({"candidate/events": series})


def counted(*readings: Reading) -> list[External]:
    """What is counted between each two of them, as a release keeps them."""
    known, found = readings[0], []
    for one in readings[1:]:
        found.append(between(COUNTER, known, one))
        known = remembered(known, one)
    return found


def test_a_series_that_misses_a_scrape_goes_on_where_it_was() -> None:
    assert counted(counter(a=4, b=50), counter(a=5), counter(a=5, b=52)) == [External((1,)), External((2,))]


def test_a_series_that_comes_back_after_an_outage_goes_on_where_it_was() -> None:
    said = counted(counter(a=4, b=50), Reading(gap="down: x"), counter(a=6), counter(a=6, b=51))
    assert said[0].gap == "down: x" and said[1].gap == "missing: there is no earlier reading"
    assert said[2] == External((1,))


def test_more_series_than_can_be_remembered_say_nothing() -> None:
    """One that is forgotten would count anew from zero."""
    many = [counter(**{f"pod-{i}": 1.0 for i in range(50 * n, 50 * (n + 1))}) for n in range(6)]
    said = counted(*many, many[0], many[5])
    assert [one.candidate for one in said[:3]] == [(50,)] * 3
    assert said[3].gap == (
        "invalid: events of the candidate gave more than 200 series in this release: leave labels out that change"
    )
    assert said[4].gap == said[3].gap and said[5] == External((0,)) and said[6].gap == said[3].gap


@pytest.mark.parametrize(
    ("before", "after", "gap"),
    [
        (None, reading(), "missing: there is no earlier reading"),
        (reading(), Reading(gap="down: x"), "down: x"),
        (reading(), reading(), "missing: the query has no series of the candidate"),
        (reading(candidate_events=5), reading(candidate_events=4), "reset: events of the candidate fell"),
        (reading(), reading(candidate_events=float("nan")), "invalid: events of the candidate gives no number"),
        (
            reading(),
            reading(candidate_events=5, candidate_total=4, stable_events=0, stable_total=1),
            "invalid: candidate: 5 events of 4 trials: query must count some of what total counts",
        ),
    ],
)
def test_what_cannot_count_says_why(before: Reading | None, after: Reading, gap: str) -> None:
    assert between(RATIO, before, after).gap == gap


def test_a_bound_of_its_own_asks_for_no_series_of_the_stable_version() -> None:
    """A metric that only the new version has can be bounded."""
    after = reading(candidate_events=1, candidate_total=100)
    assert between(BOUNDED, reading(), after) == External((1, 100))
    assert between(RATIO, reading(), after).gap == "missing: the query has no series of the stable"


def test_values_beyond_the_declared_range_are_no_evidence() -> None:
    after = reading(candidate_total=10, candidate_sum=11, stable_total=10, stable_sum=1)
    said = between(MEAN, reading(), after)
    assert said.gap == "invalid: candidate: 10 values sum up to 11, beyond what range allows"


def test_without_squares_the_most_that_they_can_be_is_taken() -> None:
    after = reading(candidate_total=10, candidate_sum=4, stable_total=20, stable_sum=5)
    assert between(MEAN, reading(), after) == External((10, 4, 4), (20, 5, 5))


# --- verdicts -------------------------------------------------------------------------------------------------------


def test_a_higher_share_of_events_fails_and_an_equal_one_passes() -> None:
    bad = verdict([External((15, 100), (18, 900))] * 30, RATIO)
    assert (bad.outcome, bad.metric) == ("Fail", "declined")
    assert verdict([External((2, 100), (18, 900))] * 60, RATIO).outcome == "Pass"


def test_a_bound_of_its_own_needs_no_stable_version() -> None:
    assert verdict([External((15, 100))] * 10, BOUNDED).outcome == "Fail"
    assert verdict([External((1, 100))] * 30, BOUNDED).outcome == "Pass"


@pytest.mark.parametrize(("sign", "outcome"), [(1, "Fail"), (-1, "Pass")])
def test_a_mean_fails_in_the_direction_that_is_worse(sign: int, outcome: str) -> None:
    demand = Demand("basket", "Mean", margin=0.1, sign=sign)
    higher = External((100, 60, 40), (900, 270, 100))
    assert verdict([higher] * 30, demand).outcome == outcome
    assert "basket candidate 0.6 of " in verdict([higher] * 30, demand).reason


def test_more_events_than_a_counter_allows_fail_at_once() -> None:
    found = verdict([External((1,)), External((1,)), External((1,))], COUNTER)
    assert found.reason == "Fail: panics candidate 3; more than 2; window 3"


def test_an_outage_keeps_from_passing_whatever_was_before_and_never_fails() -> None:
    good = [External((2, 100), (18, 900))] * 60
    found = verdict([*good, External(gap="down: nobody there")], RATIO)
    assert found.outcome == "Inconclusive" and "declined: no answer (down: nobody there)" in found.reason


def test_a_judge_fails_by_one_word_and_passes_by_the_last() -> None:
    yes, no, doubt = (External(answer=answer, reason="x") for answer in ("Pass", "Fail", "Inconclusive"))
    assert verdict([yes, no, yes], JUDGE).reason == "Fail: judge fairness says Fail (x); window 2"
    assert verdict([doubt] * 59 + [yes], JUDGE).outcome == "Pass"
    assert verdict([yes] * 59 + [doubt], JUDGE).outcome == "Inconclusive"


def test_statistical_metrics_share_alpha_with_the_counters_of_the_pods() -> None:
    both = (RATIO, Demand("refused", "Ratio", margin=1.5), JUDGE)
    said = {one.name: External((2, 100), (18, 900)) for one in both[:2]} | {JUDGE.name: External(answer="Pass")}
    stable, candidate = (
        ArmCounts(requests=900, timed=900, slower=SLOWER),
        ArmCounts(requests=100, failures=40, timed=100, slower=SLOWER),
    )
    found = judge((Window(1, 0.0, 10.0, 1, 10, stable, candidate, external=said),), Policy(external=both))
    assert (found.outcome, found.metric) == ("Fail", "error rate")
    assert "≥ 600" in found.reason  # alpha 0.01 in three parts; half of the first is the error rate's
