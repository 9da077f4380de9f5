"""From raw counters to windows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plimsoll.core.evidence import window_between
from plimsoll.facts import ArmCounts, PodCounters, Sample, Window
from plimsoll.names import LATENCY_EDGES

from tests.unit.statistics.builders import pod

S, C = "digits-aaaaaaaa", "digits-bbbbbbbb"
ZERO = {(S, "ok"): 0, (C, "ok"): 0}


def between(previous: Sample, current: Sample, gap: str | None = None) -> Window:
    return window_between(previous, current, index=7, step=1, weight=10, stable=S, candidate=C, gap=gap)


def test_arms_are_summed_over_the_pods_that_chose_and_times_over_those_that_served() -> None:
    chosen = {(S, "ok"): 90, (C, "ok"): 6, (C, "timeout"): 1, (C, "unreachable"): 2, (C, "client_error"): 1}
    before = Sample(10.0, (pod("a", S, ZERO, 5), pod("b", S, ZERO), pod("c", C, ZERO)))
    slow = replace(pod("c", C, ZERO), latency=(1, 1, 4) + (6,) * (len(LATENCY_EDGES) - 2))
    after = Sample(20.0, (pod("a", S, chosen, 95), pod("b", S, ZERO | {(S, "server_error"): 3}, 3), slow))
    window = between(before, after)
    assert (window.gap, window.start, window.end, window.index, window.step, window.weight) == (
        None,
        10.0,
        20.0,
        7,
        1,
        10,
    )
    assert window.candidate == ArmCounts(10, 3, 1, 6, (5, 5, 2) + (0,) * 10, timeouts=1, unreachable=2)
    assert (window.stable.requests, window.stable.failures, window.stable.timed) == (93, 3, 93)
    assert [(p.requests, p.failures, p.timed) for p in window.stable_pods] == [(90, 0, 90), (3, 3, 3)]


def test_a_process_that_began_within_the_window_counts_from_zero() -> None:
    before = Sample(10.0, (pod("a", S, {(S, "ok"): 500, (C, "ok"): 50}, 500, started=1.0),))
    after = Sample(20.0, (pod("a", S, {(S, "ok"): 40, (C, "ok"): 4}, 40, started=12.0),))
    window = between(before, after)
    assert (window.gap, window.stable.requests, window.candidate.requests, window.stable.timed) == (None, 40, 4, 40)


def test_a_restart_that_cannot_be_dated_within_the_window_is_a_gap() -> None:
    before = Sample(10.0, (pod("a", S, ZERO, 5, started=1.0),))
    window = between(before, Sample(20.0, (pod("a", S, ZERO, 9, started=8.0),)))
    assert window.gap is not None and window.gap.startswith("reset: pod a")
    assert window.stable == ArmCounts()


@pytest.mark.parametrize("now", [{(S, "ok"): 9, (C, "ok"): 0}, {(C, "ok"): 3}])
def test_counts_that_fall_or_vanish_in_a_running_process_are_a_gap(now: dict[tuple[str, str], int]) -> None:
    before = Sample(10.0, (pod("a", S, {(S, "ok"): 10, (C, "ok"): 0}),))
    window = between(before, Sample(20.0, (pod("a", S, now),)))
    assert window.gap == "reset: counters of pod a fell without a restart"


def test_an_older_candidate_that_leaves_the_route_does_not_matter() -> None:
    before = Sample(10.0, (pod("a", S, ZERO | {("digits-old", "ok"): 9}),))
    assert between(before, Sample(20.0, (pod("a", S, ZERO),))).gap is None


def test_a_pod_first_seen_with_older_counts_waits_for_the_next_window() -> None:
    before = Sample(10.0, (pod("a", S, ZERO, started=1.0),))
    after = Sample(
        20.0, (pod("a", S, {(S, "ok"): 8, (C, "ok"): 2}, started=1.0), pod("b", S, {(S, "ok"): 999}, started=2.0))
    )
    assert between(before, after).stable.requests == 8


def test_down_missing_and_zero_are_three_things() -> None:
    there = Sample(10.0, (pod("a", S, ZERO),))
    down = between(there, Sample(20.0, (), {"a": "connection refused"}))
    assert down.gap == "down: none of 1 pods answered (a: connection refused)"
    missing = between(there, Sample(20.0, (pod("a", S, {(S, "ok"): 5}), pod("b", S, {(S, "ok"): 5}, started=11.0))))
    assert missing.gap is not None and missing.gap.startswith("reset")
    only_stable = Sample(10.0, (pod("a", S, {(S, "ok"): 0}),))
    missing = between(only_stable, Sample(20.0, (pod("a", S, {(S, "ok"): 5}),)))
    assert missing.gap == f"missing: no pod has series of the candidate arm {C}"
    first = between(Sample(10.0, ()), Sample(20.0, (pod("a", S, ZERO),)))
    assert first.gap == "missing: no earlier counts of the 1 pods, the last sample was empty"
    assert between(there, Sample(20.0, ())).gap == "missing: there was no pod to ask"
    zero = between(there, Sample(20.0, (pod("a", S, ZERO),)))
    assert (zero.gap, zero.stable.requests, zero.candidate.requests) == (None, 0, 0)


def test_the_callers_gap_comes_first() -> None:
    there = Sample(10.0, (pod("a", S, ZERO),))
    assert (
        between(there, Sample(20.0, ()), gap="immature: epoch 12 is not in force").gap
        == "immature: epoch 12 is not in force"
    )


def test_samples_out_of_order_and_wrong_buckets_are_refused() -> None:
    there = Sample(10.0, (pod("a", S, ZERO),))
    with pytest.raises(ValueError, match=r"current\.at 10\.0 is not after"):
        between(there, there)
    with pytest.raises(ValueError, match="latency of pod a has 2 counts, not 14"):
        between(there, Sample(20.0, (PodCounters("a", S, 0.0, 1, ZERO, (1, 2)),)))


counts = st.integers(0, 1000)
pods = st.builds(
    pod,
    st.sampled_from("abcd"),
    st.sampled_from([S, C]),
    st.dictionaries(
        st.tuples(st.sampled_from([S, C, "other"]), st.sampled_from(["ok", "timeout", "client_error"])), counts
    ),
    counts,
    st.sampled_from([1.0, 5.0, 15.0]),
)
samples = st.lists(pods, max_size=4, unique_by=lambda p: p.pod)


@settings(max_examples=80, deadline=None)
@given(samples, samples, st.randoms())
def test_whatever_resets_no_count_is_negative_and_the_order_of_pods_is_nothing(
    before: list[PodCounters], after: list[PodCounters], rng
) -> None:  # type: ignore[no-untyped-def]
    window = between(Sample(10.0, tuple(before)), Sample(20.0, tuple(after)))
    for counted in (window.stable, window.candidate, *window.stable_pods):
        assert min(counted.requests, counted.failures, counted.client_errors, counted.timed, *counted.slower, 0) == 0
        assert counted.failures + counted.client_errors <= counted.requests
        assert max(counted.slower, default=0) <= counted.timed
    rng.shuffle(before)
    rng.shuffle(after)
    assert between(Sample(10.0, tuple(before)), Sample(20.0, tuple(after))) == window
