"""Pairs of copies as the counts of a window."""

from __future__ import annotations

from plimsoll.core.copies import paired
from plimsoll.facts import ArmCounts, PodCounters, Sample, Window

STABLE, CANDIDATE = "digits-1", "digits-2"
ARMS = (STABLE, CANDIDATE)


def pod(name: str, started: float, arms: tuple[str, str] = ARMS, **outcomes: int) -> PodCounters:
    counts = {("pair", *arms, outcome): float(count) for outcome, count in outcomes.items()}
    return PodCounters(name, STABLE, started, 1, {}, (), counts=counts)


def window(gap: str | None = None) -> Window:
    return Window(1, 10, 20, 0, 0, ArmCounts(900, 9, timed=900), ArmCounts(timed=80), gap=gap)


def arms(before: list[PodCounters], after: list[PodCounters]) -> tuple[ArmCounts, ArmCounts]:
    found = paired(window(), Sample(10, tuple(before)), Sample(20, tuple(after)), ARMS)
    return found.stable, found.candidate


def test_each_arm_has_the_pairs_and_the_failures_that_only_it_had() -> None:
    before = [pod("a", 1, match=100, candidate_error=2)]
    after = [pod("a", 1, match=180, mismatch=5, candidate_error=5, stable_error=4, unreachable=1, timeout=2)]
    stable, candidate = arms(before, after)
    assert (stable.requests, stable.failures) == (95, 4)
    assert (candidate.requests, candidate.failures) == (95, 6)
    assert (candidate.unreachable, candidate.timeouts) == (1, 2)


def test_pairs_in_which_both_failed_and_copies_that_were_dropped_say_nothing() -> None:
    stable, candidate = arms([pod("a", 1)], [pod("a", 1, both_error=50, dropped=70)])
    assert (stable.requests, candidate.requests) == (0, 0)


def test_times_stay_what_the_pods_of_each_measured() -> None:
    stable, candidate = arms([pod("a", 1)], [pod("a", 1, match=1)])
    assert (stable.timed, candidate.timed) == (900, 80)


def test_a_pod_that_began_anew_counts_from_zero_and_one_first_seen_waits() -> None:
    before = [pod("a", 1, match=100)]
    after = [pod("a", 15, match=7), pod("new", 12, match=3), pod("old", 2, match=1000)]
    assert arms(before, after)[1].requests == 10


def test_pairs_of_other_revisions_are_not_ours() -> None:
    assert arms([pod("a", 1)], [pod("a", 1, (STABLE, "digits-0"), match=9)])[1].requests == 0


def test_a_window_that_cannot_count_stays_as_it_is() -> None:
    gone = window(gap="down: no pod answered")
    assert paired(gone, Sample(10, ()), Sample(20, (pod("a", 15, match=7),)), ARMS) == gone
