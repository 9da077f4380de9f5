"""From raw counts of pods to what a window says of predictions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plimsoll.core.evidence import window_between
from plimsoll.core.predictions import pruned
from plimsoll.core.release import cursor
from plimsoll.facts import Cohort, Differences, Labels, OutputBins, Pairs, PodCounters, Sample, Window

from tests.unit.statistics.builders import pod

S, C = "digits-aaaaaaaa", "digits-bbbbbbbb"
ZERO = {(S, "ok"): 0, (C, "ok"): 0}
Counts = dict[tuple[str, ...], float]


def counted(name: str, revision: str, counts: Counts | None, *, started: float = 0.0) -> PodCounters:
    version = {S: "1", C: "2"}[revision]
    return replace(pod(name, revision, ZERO, started=started), version=version, counts=counts)


def between(before: tuple[PodCounters, ...], after: tuple[PodCounters, ...]) -> Window:
    return window_between(Sample(10.0, before), Sample(20.0, after), index=1, step=1, weight=10, stable=S, candidate=C)


def bins(**counts: int) -> Counts:
    return {("bin", "label", f"value:{name}" if name != "other" else name): count for name, count in counts.items()}


def told(stable: Counts, candidate: Counts) -> Window:
    """The window in which both pods counted this from nothing."""
    before = (counted("a", S, {}), counted("b", C, {}))
    return between(before, (counted("a", S, stable), counted("b", C, candidate)))


def test_rows_by_bin_are_summed_over_the_pods_of_each_version() -> None:
    before = (counted("a", S, bins(x=5, y=5, other=0)), counted("b", S, bins(x=1, y=0, other=0)), counted("c", C, {}))
    after = (
        counted("a", S, bins(x=9, y=5, other=0)),
        counted("b", S, bins(x=1, y=2, other=0)),
        counted("c", C, bins(x=1, y=7, other=1)),
    )
    assert between(before, after).outputs == (
        OutputBins("label", ("value:x", "value:y", "other"), (4, 2, 0), (1, 7, 1)),
    )


def test_a_class_that_only_one_profile_lists_is_counted_with_the_others() -> None:
    (output,) = told(bins(x=6, y=3, other=1), bins(x=5, z=4, other=2)).outputs
    assert (output.bins, output.stable, output.candidate) == (("value:x", "other"), (6, 4), (5, 6))


def numbers(**counts: int) -> Counts:
    names = {"low": "below_range", "high": "above_range", "inf": "le:+Inf", "nan": "nan"}
    return {
        ("bin", "p", names[name] if name in names else f"le:{float(name[1:]) / 10!r}"): count
        for name, count in counts.items()
    }


def test_numbers_meet_at_the_edges_that_both_profiles_have() -> None:
    stable = numbers(low=1, e1=2, e3=3, e5=4, inf=5, high=6, nan=0)
    candidate = numbers(low=1, e2=2, e3=3, e4=4, inf=5, high=6, nan=7)
    (output,) = told(stable, candidate).outputs
    assert output.bins == ("le:0.3", "le:+Inf", "nan")
    assert (output.stable, output.candidate) == ((6, 15, 0), (6, 15, 7))


def test_a_version_without_a_profile_shows_at_least_what_is_no_number() -> None:
    finite = {("bin", "p", "finite"): 8, ("bin", "p", "infinite"): 0, ("bin", "p", "nan"): 2}
    (output,) = told(numbers(low=1, e1=2, inf=3, nan=0), finite).outputs
    assert (output.bins, output.stable, output.candidate) == (("finite", "infinite", "nan"), (6, 0, 0), (8, 0, 2))


def test_how_sure_a_classifier_is_is_no_prediction_but_what_is_no_number_is_told() -> None:
    label, sure = told(
        bins(x=5, other=1) | numbers(e1=4, inf=2, nan=0), bins(x=4, other=2) | numbers(e1=0, inf=5, nan=1)
    ).outputs
    assert (label.stable, label.candidate) == ((5, 1), (4, 2))
    assert (sure.bins, sure.stable, sure.candidate) == (("finite", "nan"), (6, 0), (5, 1))


def test_numbers_and_classes_are_not_compared_and_neither_is_an_output_of_one_version() -> None:
    words = {("bin", "p", "value:a"): 3, ("bin", "q", "value:a"): 3}
    assert told(numbers(e1=2, inf=3), words).outputs == ()


def label(version: str, age: str, what: str) -> tuple[str, ...]:
    return "feedback", version, age, what


def test_labels_are_of_the_version_that_predicted_whichever_pod_they_came_to() -> None:
    window = told(
        {label("1", "1m", "correct"): 8, label("2", "1m", "incorrect"): 2, label("2", "1h", "correct"): 1},
        {label("1", "1m", "incorrect"): 1, label("7", "1m", "correct"): 9},
    )
    assert window.cohorts == (Cohort("1m", Labels(8, 1), Labels(0, 2)), Cohort("1h", Labels(), Labels(1)))


def test_labels_of_two_revisions_of_one_version_say_nothing() -> None:
    counts = {label("1", "1m", "correct"): 8}
    same = [replace(counted("b", C, given), version="1") for given in ({}, {})]
    window = between((counted("a", S, {}), same[0]), (counted("a", S, counts), same[1]))
    assert (window.gap, window.cohorts) == (None, ())


def test_pairs_of_these_two_revisions_are_counted_by_what_came_of_them() -> None:
    kinds = {"match": 5, "mismatch": 2, "timeout": 1, "unreachable": 1, "candidate_error": 1, "both_error": 9}
    counts: Counts = {("pair", S, C, kind): count for kind, count in kinds.items()}
    assert told(counts | {("pair", S, "other", "match"): 7}, {}).pairs == Pairs(5, 2, 3)
    assert told({}, {}).pairs is None


def test_numbers_of_mirrored_requests_are_counted_by_output_and_side_for_these_two_revisions() -> None:
    seen = {
        ("price", "above"): 4.5,
        ("price", "rows"): 70,
        ("price", "level"): 2,
        ("price", "excess"): 7.5,
        ("age", "below"): 1,
        ("x", "level"): 0,
    }
    counts: Counts = {("difference", S, C, *what): count for what, count in seen.items()}
    assert told(counts | {("difference", S, "other", "price", "above"): 9}, {}).differences == (
        Differences("age", 0, 1, 0),
        Differences("price", 4.5, 0, 2, rows=70, excess=7.5),
    )
    assert told({}, {}).differences == ()


def test_requests_that_an_open_breaker_kept_from_the_candidate_are_told() -> None:
    arms = {(S, "ok"): 80, (C, "ok"): 5, (C, "server_error"): 3}
    before = (counted("a", S, {}), counted("b", C, {}))
    chooser = replace(counted("a", S, {("fallback", C): 12}), arm_requests=arms)
    window = between(before, (chooser, counted("b", C, {("fallback", S): 4})))
    assert window.turned_away == (0, 9)


def test_a_count_that_falls_in_a_running_process_is_a_gap_and_a_restart_counts_from_zero() -> None:
    before = (counted("a", S, bins(x=50)), counted("b", C, bins(x=5)))
    assert between(before, (counted("a", S, bins(x=9)), before[1])).gap == (
        "reset: counters of pod a fell without a restart"
    )
    window = between(before, (counted("a", S, bins(x=9), started=12.0), counted("b", C, bins(x=6))))
    assert (window.gap, window.outputs[0].stable, window.outputs[0].candidate) == (None, (9,), (1,))


def test_what_an_operator_of_before_did_not_ask_for_counts_from_the_next_window_on() -> None:
    window = between((counted("a", S, None), counted("b", C, None)), (counted("a", S, bins(x=9)), counted("b", C, {})))
    assert (window.gap, window.outputs) == (None, ())


def test_the_cursor_keeps_what_is_of_use_and_reads_that_of_an_operator_of_before() -> None:
    others = {label("9", "1m", "over"): 1.5, ("pair", "q", C, "match"): 1.0, ("difference", "q", C, "p", "above"): 1.0}
    counts = bins(x=3) | {label("1", "1m", "over"): 1.5} | others
    kept = pruned(counted("a", S, counts), (S, C), ("1", "2"))
    assert kept.counts == bins(x=3) | {label("1", "1m", "over"): 1.5}
    sample = Sample(10.0, (kept, counted("b", C, None)), until=17.0)
    assert cursor.decode(cursor.encode(sample)) == sample
    old = cursor.encode(sample).replace(', "counts": null', "").replace(', "version": "2"', "")
    read = cursor.decode(old)
    assert read is not None and (read.pods[1].counts, read.pods[1].version) == (None, "")


keys = st.one_of(
    st.tuples(st.just("bin"), st.sampled_from("pq"), st.sampled_from(["le:0.1", "le:0.2", "le:+Inf", "nan", "other"])),
    st.tuples(st.just("feedback"), st.sampled_from("123"), st.sampled_from(["1m", "7d"]), st.sampled_from(["correct"])),
    st.tuples(st.just("fallback"), st.sampled_from([S, C, "other"])),
    st.tuples(st.just("pair"), st.just(S), st.sampled_from([C, "other"]), st.sampled_from(["match", "timeout"])),
)
pods = st.builds(
    counted,
    st.sampled_from("abcd"),
    st.sampled_from([S, C]),
    st.none() | st.dictionaries(keys, st.integers(0, 50)),
    started=st.sampled_from([1.0, 15.0]),
)
samples = st.lists(pods, max_size=4, unique_by=lambda one: one.pod)


@settings(max_examples=60, deadline=None)
@given(samples, samples)
def test_whatever_resets_nothing_is_negative_and_nothing_is_counted_that_no_pod_counted(
    before: list[PodCounters], after: list[PodCounters]
) -> None:
    window = between(tuple(before), tuple(after))
    rows = sum(sum(one.stable) + sum(one.candidate) for one in window.outputs)
    labels = sum(x.correct for one in window.cohorts for x in (one.stable, one.candidate))
    seen: Counts = {}
    for key, count in (item for one in after for item in (one.counts or {}).items()):
        seen[key] = seen.get(key, 0) + count
    assert 0 <= rows <= sum(count for key, count in seen.items() if key[0] == "bin")
    assert 0 <= labels <= sum(count for key, count in seen.items() if key[0] == "feedback")
    assert min(window.turned_away) >= 0
    assert window.gap is None or (window.outputs, window.cohorts, window.pairs) == ((), (), None)


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_bins_does_not_depend_on_that_of_the_series(order: int) -> None:
    stable = dict(list(numbers(e1=1, e3=2, inf=3, nan=4).items())[::order])
    (output,) = told(stable, numbers(e1=1, e3=2, inf=3, nan=4)).outputs
    assert output.bins == ("le:0.1", "le:0.3", "le:+Inf", "nan")
