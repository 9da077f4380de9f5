"""Verdicts on whole attempts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plimsoll.core.verdict import Policy, judge, verdicts
from plimsoll.facts import ArmCounts, Window

from tests.unit.statistics.builders import FIFTY_TO_HUNDRED_MS, arm, repeat, window

POLICY = Policy()
STABLE = arm(900)


def windows_until_decided(windows: list[Window], policy: Policy = POLICY) -> tuple[str, int]:
    for count, verdict in enumerate(verdicts(windows, policy), 1):
        if verdict.outcome != "Inconclusive":
            return verdict.outcome, count
    return "Inconclusive", len(windows)


@pytest.mark.parametrize(("requests", "most"), [(50, 9), (100, 5), (200, 3), (1000, 1)])
def test_a_healthy_release_without_errors_passes_within_a_few_windows(requests: int, most: int) -> None:
    outcome, count = windows_until_decided(repeat(20, arm(9 * requests), arm(requests)))
    assert outcome == "Pass" and count <= most


def test_three_percent_errors_against_none_fail_within_two_windows() -> None:
    windows = repeat(5, STABLE, arm(100, failures=3))
    assert windows_until_decided(windows) == ("Fail", 2)
    verdict = judge(windows, POLICY)
    assert verdict.metric == "error rate" and verdict.mode == "Sequential" and verdict.window == 2
    assert verdict.reason.startswith(
        "Fail: error rate candidate 6/200 (3.00%) vs stable 0/1,800 (0.00%); ratio ∞ > 1.5; e = "
    )
    assert verdict.reason.endswith(" ≥ 200; window 2")


def test_a_candidate_that_takes_50_to_100_ms_fails_in_the_first_window() -> None:
    verdict = judge([window(1, arm(400), arm(100, slow=FIFTY_TO_HUNDRED_MS))], POLICY)
    assert (verdict.outcome, verdict.metric) == ("Fail", "latency")
    assert (
        "100/100 slower than" in verdict.reason
        and "above 2 × stable + 5%" in verdict.reason
        and "≥ 400" in verdict.reason
    )


def test_a_few_cold_starts_do_not_fail_and_do_not_keep_from_passing() -> None:
    cold = replace(arm(100), slower=(80, 30, 4, 4, 4, 4, 4, 2) + (0,) * 5)
    windows = [window(1, STABLE, cold), *(window(i, STABLE, arm(100)) for i in range(2, 9))]
    outcomes = [verdict.outcome for verdict in verdicts(windows, POLICY)]
    assert "Fail" not in outcomes and outcomes[-1] == "Pass"


def test_differences_below_the_latency_floor_do_not_count() -> None:
    outcome, _ = windows_until_decided(
        repeat(9, arm(900, slow=(0.0,) * 13), arm(100, slow=(1.0, 1.0, 0.9) + (0.0,) * 10))
    )
    assert outcome == "Pass"


def test_an_incident_that_both_arms_share_decides_nothing_bad() -> None:
    windows = repeat(6, STABLE, arm(100))
    windows[2] = window(3, arm(900, failures=540), arm(100, failures=60))
    assert "Fail" not in {verdict.outcome for verdict in verdicts(windows, POLICY)}


def test_a_changed_input_schema_fails_by_client_errors() -> None:
    verdict = judge(repeat(1, STABLE, arm(100, client_errors=100)), POLICY)
    assert (verdict.outcome, verdict.metric) == ("Fail", "client error rate")


def test_the_breaker_trips_at_half_of_twenty_and_not_below() -> None:
    off = Policy(error_margin=None, latency_margin=None)
    verdict = judge([window(1, arm(180), arm(12, 6)), window(2, arm(180), arm(8, 4))], off)
    assert (verdict.outcome, verdict.mode, verdict.window) == ("Fail", "Breaker", 2)
    assert (
        verdict.reason
        == "Fail: breaker: candidate failed 10/20 requests (50%) within 2 windows; limit 50% of at least 20; window 2"
    )
    assert judge([window(1, arm(180), arm(19, 19))], off).outcome != "Fail"
    assert judge([window(1, arm(180), arm(40, 19))], off).outcome != "Fail"


def test_the_breaker_leaves_an_incident_of_both_arms_to_the_comparison() -> None:
    off = Policy(error_margin=None, latency_margin=None)
    assert judge([window(1, arm(900, 300), arm(100, 60))], off).outcome != "Fail"
    assert judge([window(1, arm(900, 200), arm(100, 60))], off).mode == "Breaker"


def test_failures_of_old_windows_do_not_trip_the_breaker() -> None:
    off = Policy(error_margin=None, latency_margin=None)
    windows = [
        window(1, arm(90), arm(10, 10)),
        *(window(i, arm(90), arm(2)) for i in (2, 3, 4)),
        window(5, arm(90), arm(10, 10)),
    ]
    assert judge(windows, off).outcome != "Fail"


def test_no_data_is_neither_pass_nor_failure() -> None:
    assert judge([], POLICY).reason == "Inconclusive: there is no window yet"
    assert (
        judge(repeat(6, STABLE, ArmCounts()), POLICY).reason
        == "Inconclusive: no requests reached the candidate in 6 windows; window 6"
    )
    nothing = judge(repeat(2, ArmCounts(), arm(900)), POLICY)
    assert "nothing to compare with" in nothing.reason and nothing.outcome == "Inconclusive"
    gaps = repeat(3, STABLE, arm(100, 100), gap="down: none of 2 pods answered")
    assert (
        judge(gaps, POLICY).reason == "Inconclusive: none of 3 windows counts (down: none of 2 pods answered); window 3"
    )


def test_a_release_whose_latency_is_not_reported_does_not_pass() -> None:
    untimed = replace(arm(500), timed=0, slower=())
    verdict = judge(repeat(10, untimed, untimed), POLICY)
    assert (verdict.outcome, verdict.metric) == ("Inconclusive", "latency")


def test_gaps_are_left_out() -> None:
    windows = repeat(4, STABLE, arm(100))
    gap = window(5, STABLE, arm(100, 100), gap="reset: pod a")
    assert (
        judge([*windows, gap], POLICY).reason.split("; window")[0] == judge(windows, POLICY).reason.split("; window")[0]
    )


def test_a_step_needs_its_own_requests() -> None:
    windows = [*repeat(9, STABLE, arm(100)), window(10, arm(50), arm(49), step=1, weight=50)]
    assert judge(windows, POLICY).reason == "Inconclusive: 49 of 50 requests in step 1; window 10"
    assert judge([*windows, window(11, arm(50), arm(1), step=1, weight=50)], POLICY).outcome == "Pass"


def test_what_breaks_only_at_a_higher_weight_fails_soon_after_a_long_healthy_step() -> None:
    healthy = repeat(200, arm(900, failures=9), arm(100, failures=1))
    broken = [window(201 + i, arm(500, failures=5), arm(500, failures=40), step=1, weight=50) for i in range(4)]
    assert judge(healthy, POLICY).outcome != "Fail"
    assert judge([*healthy, *broken], POLICY).outcome == "Fail"


def test_fail_is_for_good() -> None:
    windows = [*repeat(2, STABLE, arm(100, 10)), *(window(i, STABLE, arm(100)) for i in range(3, 60))]
    first = judge(windows[:2], POLICY)
    assert first.outcome == "Fail" and all(
        verdict == judge(windows, POLICY) for verdict in verdicts(windows, POLICY)[2:]
    )


def test_a_handful_of_failures_in_thousands_is_too_small_a_rise_to_fail() -> None:
    windows = repeat(4, arm(90_000), arm(10_000, failures=1))
    windows[0] = window(1, arm(90_000), arm(10_000, failures=6))
    assert "Fail" not in {verdict.outcome for verdict in verdicts(windows, POLICY)}
    assert judge(windows, replace(POLICY, error_floor=0.0)).outcome == "Fail"


def test_a_rare_error_that_is_four_times_as_frequent_is_watched_on_until_it_fails() -> None:
    """0.4 % is below 1 %, which would pass within a minute, and four times the stable version's 0.09 %."""
    said = verdicts(repeat(30, arm(4500, failures=4), arm(500, failures=2)), POLICY)
    assert [one.outcome for one in said[:20]] == ["Inconclusive"] * 20 and said[-1].outcome == "Fail"
    assert (
        "error rate candidate 14/3,500 (0.40%) vs stable 28/31,500 (0.09%); it may be above 1.5 × stable; e = "
        in said[6].reason
    )
    assert said[6].reason.endswith(" < 200, but above 1; window 7")


def test_a_suspicion_that_wanes_lets_the_release_pass_and_windows_without_a_candidate_do_not() -> None:
    bad = repeat(2, arm(2500, failures=2), arm(2500, failures=10))
    idle = [window(index, arm(5000, failures=4), arm()) for index in range(3, 8)]
    well = [window(index, arm(2500, failures=2), arm(2500, failures=1)) for index in range(8, 14)]
    said = [one.outcome for one in verdicts([*bad, *idle, *well], POLICY)]
    assert said[:7] == ["Inconclusive"] * 7 and said[-1] == "Pass"


def test_twice_next_to_nothing_does_not_keep_from_passing() -> None:
    """A rise of less than 0.1 % cannot fail, so there is nothing to wait for."""
    windows = repeat(40, arm(45_000, failures=9), arm(5000, failures=4))
    assert [one.outcome for one in verdicts(windows, POLICY)] == ["Pass"] * 40


def test_absolute_passes_and_fails_by_the_users_bounds_and_says_that_nothing_was_compared() -> None:
    bounds = Policy(error_max=0.05, latency_max_p99_seconds=0.2)
    fine = judge(repeat(3, ArmCounts(), arm(100, failures=1)), bounds, mode="Absolute")
    assert (fine.outcome, fine.mode) == ("Pass", "Absolute") and "nothing was compared" in fine.reason
    bad = judge(repeat(3, ArmCounts(), arm(100, failures=20)), bounds, mode="Absolute")
    assert (bad.outcome, bad.metric) == ("Fail", "error rate") and "above 5%" in bad.reason
    slow = judge(repeat(3, ArmCounts(), arm(100, slow=(1.0,) * 8 + (0.0,) * 5)), bounds, mode="Absolute")
    assert (slow.outcome, slow.metric) == ("Fail", "latency") and "slower than 250 ms" in slow.reason
    doubt = judge([window(1, ArmCounts(), arm(60, failures=4))], bounds, mode="Absolute")
    assert doubt.outcome == "Inconclusive"
    assert judge([window(1)], bounds, mode="Absolute").outcome == "Inconclusive"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("alpha", 0.0),
        ("beta", 1.0),
        ("error_margin", 1.0),
        ("error_max", 2.0),
        ("latency_max_p99_seconds", 30.0),
        ("cv_floor", 0.0),
        ("min_requests", -1),
    ],
)
def test_a_field_out_of_range_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{field} is "):
        replace(POLICY, **{field: value})


def test_windows_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="windows must rise in index"):
        judge([window(2), window(1)], POLICY)


arms = st.integers(0, 400).flatmap(
    lambda n: st.builds(
        lambda k, c, slow: ArmCounts(n, k, c, n, tuple(sorted(slow, reverse=True))),
        st.integers(0, n),
        st.just(0),
        st.lists(st.integers(0, n), min_size=13, max_size=13),
    )
)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(arms, st.lists(arms, min_size=1, max_size=3), st.integers(0, 2)), min_size=1, max_size=8),
    st.integers(0, 9),
)
def test_the_verdict_after_each_window_is_the_verdict_on_the_windows_so_far(drawn, seed: int) -> None:  # type: ignore[no-untyped-def]
    windows = []
    for index, (candidate, pods, step) in enumerate(drawn):
        stable = (
            pods[0]
            if len(pods) == 1
            else ArmCounts(
                *np.sum([(p.requests, p.failures, 0, p.timed) for p in pods], axis=0).tolist(),
                tuple(np.sum([p.slower for p in pods], axis=0).tolist()),
            )
        )
        windows.append(window(index, stable, candidate, stable_pods=tuple(pods), step=step))
    found = verdicts(windows, POLICY)
    assert found == tuple(judge(windows[: end + 1], POLICY) for end in range(len(windows)))
    order = np.random.default_rng(seed)
    shuffled = [
        replace(w, stable_pods=tuple(w.stable_pods[i] for i in order.permutation(len(w.stable_pods)))) for w in windows
    ]
    single = replace(POLICY, noise_seconds=0.0)
    assert [v.outcome for v in verdicts(shuffled, single)] == [v.outcome for v in verdicts(windows, single)]


def test_windows_without_a_candidate_change_no_verdict_and_none_of_them_is_where_it_fails() -> None:
    """Whatever the stable version does meanwhile, an incident or nothing at all."""
    before = [window(i, STABLE, arm(100, failures=3)) for i in range(0, 40, 10)]
    alone = verdicts(before, POLICY)
    assert alone[-1].outcome == "Fail"
    for stable in (arm(900, failures=500), arm(90_000)):
        mixed = sorted([*before, *(window(i, stable, arm()) for i in range(1, 40) if i % 10)], key=lambda w: w.index)
        assert judge(mixed, POLICY).window == alone[-1].window
