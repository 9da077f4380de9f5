"""How long a step will take is told, and that it never ends, with what would."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plimsoll.core.release.forecast import StepUnderWay, Traffic, outlook, remedies, traffic
from plimsoll.core.verdict import Policy, verdicts
from plimsoll.facts import ArmCounts, Window

from tests.builders.release import Life, service, version

POLICY = Policy(latency_margin=None)
HOUR = 3600.0


def under_way(weight: int = 10, **policy: float) -> StepUnderWay:
    return StepUnderWay((), replace(POLICY, **policy), weight, 1)


def busy(rate: float, failures: int = 10) -> Traffic:
    """Failures of 1,000 requests."""
    return Traffic(rate, ArmCounts(requests=1000, failures=failures))


def test_a_forecast_is_what_the_judge_says_when_what_was_expected_happens() -> None:
    told = outlook(under_way(), busy(100.0), HOUR)
    assert told.passes is not None and told.fails is not None
    seconds = told.passes
    windows = []
    for number in range(int(1.5 * seconds / 10)):
        stable, candidate = ArmCounts(requests=900, failures=9), ArmCounts(requests=100, failures=1)
        windows.append(Window(number + 1, 10.0 * number, 10.0 * (number + 1), 1, 10, stable, candidate))
    passed = next(i for i, one in enumerate(verdicts(windows, POLICY), start=1) if one.outcome == "Pass")
    assert 0.5 * seconds <= 10 * passed <= 1.5 * seconds


def test_more_traffic_and_a_larger_share_are_faster() -> None:
    slow, fast, wide = (
        outlook(under_way(w), busy(r), 100 * HOUR).passes for w, r in ((10, 5.0), (10, 50.0), (50, 5.0))
    )
    assert slow is not None and fast is not None and wide is not None
    assert fast < slow / 5
    assert wide < slow


def test_without_a_failure_of_the_stable_version_twice_of_them_is_never_told() -> None:
    told = outlook(under_way(), busy(100.0, failures=0), HOUR)
    assert told.fails is None
    assert told.passes is not None


def test_what_would_be_in_time_would_be() -> None:
    little = busy(16.0)
    assert outlook(under_way(), little, HOUR / 2).passes is None
    for said in remedies(under_way(), little, HOUR / 2):
        assert said in {"a first step of 50 percent", "twice the margins"}
    assert "a first step of 50 percent" in remedies(under_way(), little, HOUR / 2)
    assert outlook(under_way(50), little, HOUR / 2).passes is not None


def test_windows_that_do_not_count_are_no_traffic() -> None:
    counts = ArmCounts(requests=90), ArmCounts(requests=10)
    windows = [Window(1, 0, 10, 1, 10, *counts), Window(2, 10, 20, 1, 10, ArmCounts(), ArmCounts(), gap="down: all")]
    found = traffic(windows)
    assert found is not None and found.rate == 10.0
    assert traffic(windows[1:]) is None


@pytest.mark.parametrize(("rate", "in_time"), [(200.0, True), (0.4, False)])
def test_the_status_says_how_long_the_step_will_take(rate: float, in_time: bool) -> None:
    life = Life(version(1), service(), rate=200.0)
    life.until("Idle")
    life.rate = rate
    life.add(version(2))
    assert life.run(100, stop=lambda: bool(life.status.get("eta")))
    eta = life.status["eta"]
    assert eta["inTime"] is in_time
    assert "requests/s a healthy candidate passes this step" in eta["message"]
    warned = [notice.message for _, notice in life.cluster.notices if notice.reason == "NoVerdictInTime"]
    assert warned == ([] if in_time else [eta["message"]]), "at the start, once"
    if not in_time:
        assert "not within progressDeadline" in eta["message"]
        assert "progressDeadline: " in eta["message"].split("what would be in time is")[1]
    if in_time:
        life.until("Idle")
        assert "eta" not in life.status
