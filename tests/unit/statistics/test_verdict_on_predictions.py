"""Verdicts by what models predict: shifts, labels, and whether the split is the one that was asked for."""

from __future__ import annotations

import re
from dataclasses import replace
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plimsoll.core.statistics.signed_difference import signed_difference
from plimsoll.core.statistics.split import log_uneven
from plimsoll.core.statistics.tables import Noise
from plimsoll.core.verdict import Policy, judge, verdicts
from plimsoll.facts import Cohort, Differences, Labels, OutputBins, Pairs, Verdict, Window

from tests.unit.statistics.builders import arm, window

BINS = ("value:a", "value:b", "value:c", "nan")
EVEN = (0.4, 0.4, 0.2, 0.0)
SHIFT = Policy(shift_psi=0.25)
LABELS = Policy(accuracy_drop=0.05, error_rise=0.1, min_labels=50)
RNG = np.random.default_rng


def predicted(rng: np.random.Generator, index: int, candidate: tuple[float, ...], rows: int = 1) -> Window:
    """900 requests for the stable version and 100 for the candidate, each of so many rows that are all alike."""
    counts = [tuple(int(x) * rows for x in rng.multinomial(n, shares)) for n, shares in ((900, EVEN), (100, candidate))]
    return replace(window(index, arm(900), arm(100)), outputs=(OutputBins("label", BINS, *counts),))


def after(seed: int, count: int, candidate: tuple[float, ...], policy: Policy = SHIFT, rows: int = 1) -> Verdict:
    rng = RNG(seed)
    return judge([predicted(rng, index, candidate, rows) for index in range(count)], policy)


def test_another_mix_of_classes_holds_and_names_the_class() -> None:
    verdict = after(1, 12, (0.1, 0.1, 0.8, 0.0))
    assert (verdict.outcome, verdict.hold, verdict.metric) == ("Inconclusive", "PredictionShift", "prediction shift")
    assert verdict.reason.startswith("Inconclusive: prediction shift of label: PSI ")
    assert "> 0.25; most in value:c: candidate" in verdict.reason
    assert verdict.reason.endswith("promote the version if it is meant to, or abort it; window 11")


def test_a_difference_below_the_limit_passes_however_sure_it_is_and_is_told() -> None:
    verdict = after(2, 120, (0.46, 0.34, 0.2, 0.0))
    assert (verdict.outcome, verdict.hold) == ("Pass", "")
    assert "prediction shift of label: PSI 0.0" in verdict.reason


def test_a_share_without_a_number_is_a_shift_of_its_own() -> None:
    verdict = after(3, 20, (0.3, 0.3, 0.2, 0.2))
    assert verdict.hold == "PredictionShift" and "most in nan" in verdict.reason


def test_profiles_without_a_common_edge_are_not_said_to_be_alike() -> None:
    bins = OutputBins("prediction", ("le:+Inf", "nan"), (900, 0), (100, 0))
    verdict = judge([replace(window(i, arm(900), arm(100)), outputs=(bins,)) for i in range(12)], SHIFT)
    assert verdict.outcome == "Pass"
    assert "of prediction only missing and infinite values, for the profiles have no bins in common" in verdict.reason


def test_too_few_predictions_are_no_evidence_and_are_said_to_be_too_few() -> None:
    verdict = after(4, 1, (0.1, 0.1, 0.8, 0.0), Policy(shift_psi=0.25, latency_margin=None, min_requests=0))
    assert verdict.hold == ""
    settled = after(4, 60, EVEN, replace(SHIFT, shift_psi=5.0))
    assert "PSI" in settled.reason
    few = judge([replace(predicted(RNG(1), i, EVEN), candidate=arm(400)) for i in range(1)], SHIFT)
    assert "prediction shift" not in few.reason or "too few predictions (100) to tell" in few.reason


def test_a_shift_fails_where_it_is_told_to() -> None:
    verdict = after(1, 12, (0.1, 0.1, 0.8, 0.0), replace(SHIFT, shift_fails=True))
    assert (verdict.outcome, verdict.metric, verdict.hold) == ("Fail", "prediction shift", "")


def test_rows_of_one_request_count_as_one() -> None:
    def healthy(rows: int) -> float:
        return sum(bool(after(seed, 6, EVEN, Policy(shift_psi=1e-6), rows).hold) for seed in range(40))

    assert healthy(1) == healthy(50) == 0


@pytest.mark.parametrize("cv", [0.0, 0.2])
def test_versions_that_predict_alike_are_held_in_at_most_alpha_of_releases_even_without_a_limit(cv: float) -> None:
    policy, held = Policy(shift_psi=1e-9, latency_margin=None, error_margin=None), 0
    for seed in range(30):
        rng = RNG(seed)
        found = []
        for index in range(24):
            wobble = rng.gamma(1 / cv**2, cv**2, 3) if cv else np.ones(3)
            shares = np.array(EVEN[:3]) * wobble
            found.append(predicted(rng, index, (*(shares / shares.sum()), 0.0)))
        held += any(verdict.hold for verdict in verdicts(found, policy))
    assert held <= 1


# --- labels -----------------------------------------------------------------------------------------------------------


def labelled(
    rng: np.random.Generator,
    index: int,
    wrong: tuple[float, float],
    labels: tuple[int, int] = (90, 10),
    age: str = "1m",
) -> Window:
    """Labels of one age: how many and how often wrong, stable and candidate."""
    missed = [int(rng.binomial(n, share)) for n, share in zip(labels, wrong, strict=True)]
    cohort = Cohort(age, *(Labels(n - k, k) for n, k in zip(labels, missed, strict=True)))
    return replace(window(index, arm(900), arm(100)), cohorts=(cohort,))


def test_more_wrong_predictions_than_accepted_fail_with_both_accuracies_in_the_sentence() -> None:
    rng = RNG(1)
    verdict = judge([labelled(rng, i, (0.05, 0.3)) for i in range(40)], LABELS)
    assert (verdict.outcome, verdict.metric) == ("Fail", "accuracy")
    assert "right (" in verdict.reason and "labels of equal age; worse than stable less 5%; e = " in verdict.reason


def test_as_many_right_predictions_pass_once_it_is_shown() -> None:
    rng = RNG(2)
    found = verdicts([labelled(rng, i, (0.05, 0.05)) for i in range(200)], LABELS)
    assert "Fail" not in {verdict.outcome for verdict in found}
    assert found[5].outcome == "Inconclusive" and "not yet shown to be within stable less 5%" in found[5].reason
    assert found[-1].outcome == "Pass" and "accuracy candidate" in found[-1].reason


def test_labels_of_another_age_are_not_compared() -> None:
    rng = RNG(3)
    young = [labelled(rng, i, (0.0, 0.5), (0, 50), "1m") for i in range(40)]
    old = [labelled(rng, 40 + i, (0.05, 0.0), (90, 0), "1d") for i in range(40)]
    verdict = judge(young + old, LABELS)
    assert verdict.outcome == "Inconclusive"
    assert "accuracy: 0 of 50 labels of the candidate that can be compared" in verdict.reason


def test_late_labels_that_are_much_worse_fail_though_the_many_early_ones_are_alike() -> None:
    """A fifth of the labels come late, and only those tell: all together the candidate is ten points worse."""
    rng, windows = RNG(6), []
    for index in range(120):
        early, late = (
            labelled(rng, index, wrong, (90, 10), age) for wrong, age in (((0.05, 0.05), "1m"), ((0.05, 0.55), "1h"))
        )
        windows.append(replace(early, cohorts=early.cohorts + (late.cohorts if index % 5 == 4 else ())))
    verdict = judge(windows, LABELS)
    assert (verdict.outcome, verdict.metric) == ("Fail", "accuracy")
    assert "labels of the age 1h; worse than stable less 5%; e = " in verdict.reason


def test_labels_that_come_later_than_wanted_do_not_count() -> None:
    rng = RNG(4)
    late = [labelled(rng, i, (0.05, 0.5), age="1d") for i in range(60)]
    assert judge(late, replace(LABELS, oldest_label="1h")).outcome == "Inconclusive"
    assert judge(late, LABELS).outcome == "Fail"


def test_labels_that_are_few_and_far_between_are_compared_as_well() -> None:
    rng = RNG(5)
    turns = [((30, 0), (0, 3))[i % 2] for i in range(600)]
    sparse = [labelled(rng, i, (0.05, 0.4), labels) for i, labels in enumerate(turns)]
    assert judge(sparse, LABELS).outcome == "Fail"


def measured(rng: np.random.Generator, index: int, size: tuple[float, float]) -> Window:
    labels = []
    for count, scale in zip((90, 30), size, strict=True):
        errors = rng.normal(0, scale, count)
        over, under = errors[errors > 0].sum(), -errors[errors < 0].sum()
        labels.append(Labels(0, 0, count, float(over), float(under), float((errors**2).sum())))
    return replace(window(index, arm(900), arm(100)), cohorts=(Cohort("1h", *labels),))


def test_larger_errors_of_numbers_fail_and_equal_ones_pass() -> None:
    rng = RNG(6)
    worse = judge([measured(rng, i, (1.0, 1.5)) for i in range(60)], LABELS)
    assert (worse.outcome, worse.metric) == ("Fail", "mean absolute error")
    assert re.search(r"\(ratio 1\.[3-8]\), labels of equal age; worse than 1\.1 × stable", worse.reason)
    equal = judge([measured(rng, i, (1.0, 1.0)) for i in range(300)], LABELS)
    assert equal.outcome == "Pass" and "within 1.1 × stable" in equal.reason


def test_as_good_versions_fail_by_labels_in_at_most_alpha_of_releases() -> None:
    failed, alone = 0, replace(LABELS, error_margin=None, latency_margin=None)
    for seed in range(40):
        rng = RNG(seed)
        wrong = 0.1 + 0.1 * np.sin(np.arange(40) / 5)  # hard hours are hard for both
        found = [labelled(rng, i, (wrong[i], wrong[i] + 0.04)) for i in range(40)]
        failed += judge(found, alone).outcome == "Fail"
    assert failed <= 1


# --- shadows ----------------------------------------------------------------------------------------------------------

SHADOW = Policy(disagreement_max=0.05, latency_margin=None)


def mirrored(rng: np.random.Generator, index: int, differing: float) -> Window:
    """100 mirrored requests, which are those of both arms."""
    differed = int(rng.binomial(100, differing))
    return replace(window(index, arm(100), arm(100), weight=0), pairs=Pairs(100 - differed, differed))


def test_a_shadow_that_answers_otherwise_too_often_fails_and_one_that_seldom_does_passes() -> None:
    rng = RNG(1)
    often = judge([mirrored(rng, i, 0.2) for i in range(20)], SHADOW)
    assert (often.outcome, often.metric) == ("Fail", "shadow disagreement")
    assert " pairs (" in often.reason and "; above 5%; e = " in often.reason
    found = verdicts([mirrored(rng, i, 0.01) for i in range(30)], SHADOW)
    assert found[0].outcome == "Inconclusive" and "not yet shown to be below 5%" in found[0].reason
    assert found[-1].outcome == "Pass" and "shadow disagreement candidate" in found[-1].reason


def test_what_a_shadow_showed_counts_in_the_steps_that_follow() -> None:
    rng = RNG(2)
    shadow = [mirrored(rng, i, 0.01) for i in range(20)]
    steps = [window(20 + i, arm(900), arm(100), step=1) for i in range(10)]
    assert judge(shadow + steps, SHADOW).outcome == "Pass"


def test_a_shadow_is_given_no_share_that_could_be_a_wrong_one() -> None:
    rng = RNG(3)
    assert judge([mirrored(rng, i, 0.01) for i in range(20)], replace(SHADOW, split_tolerance=0.1)).hold == ""


def test_shadows_within_the_limit_fail_in_at_most_alpha_of_releases() -> None:
    failed = 0
    for seed in range(40):
        rng = RNG(seed)
        failed += (
            judge([mirrored(rng, i, 0.05) for i in range(20)], replace(SHADOW, error_margin=None)).outcome == "Fail"
        )
    assert failed <= 1


SIGNS = Policy(one_sided_max=0.6, latency_margin=None)


def numbers(rng: np.random.Generator, index: int, bias: float, *, tolerance: float = 0.01, rows: int = 1) -> Window:
    """100 mirrored requests, the last of so many rows, which are alike; differences have a standard deviation of 1."""
    found = rng.normal(bias, 1.0, 100)
    above, below = int((found > tolerance).sum()), int((found < -tolerance).sum())
    differed, sizes = above + below, np.array([1] * 99 + [rows])
    excess, shortfall = (float((np.maximum(sign * found, 0) * sizes).sum()) for sign in (1, -1))
    one = Differences("price", above, below, 100 - differed, 0, 99 + rows, excess, shortfall)
    return replace(mirrored(rng, index, 0.0), pairs=Pairs(100 - differed, differed), differences=(one,))


@pytest.mark.parametrize(("bias", "side", "sign"), [(1.0, "higher", "+"), (-1.0, "lower", "-")])
def test_a_shadow_whose_numbers_lie_to_one_side_fails_and_the_sentence_says_by_how_much(
    bias: float, side: str, sign: str
) -> None:
    rng = RNG(1)
    verdict = judge([numbers(rng, i, bias) for i in range(20)], SIGNS)
    assert (verdict.outcome, verdict.metric) == ("Fail", "signed difference")
    assert re.search(rf"^Fail: signed difference candidate \d+/\d+ requests of price {side} \([89]\d\.", verdict.reason)
    assert re.search(rf"; above 60%; e = .* ≥ 400; mean difference \{sign}(0\.[89]|1)", verdict.reason)


def test_noise_around_the_numbers_of_the_stable_version_passes_though_every_row_differs() -> None:
    rng = RNG(2)
    found = verdicts([numbers(rng, i, 0.0, tolerance=0.0) for i in range(40)], SIGNS)
    assert found[0].outcome == "Inconclusive" and "not yet shown to be below 60%" in found[0].reason
    assert found[-1].outcome == "Pass" and "; mean difference " in found[-1].reason


def test_what_is_higher_by_less_than_the_tolerance_is_not_higher() -> None:
    windows = [numbers(RNG(i), i, 3.0, tolerance=3.0) for i in range(60)]
    assert judge(windows, SIGNS).outcome == "Pass"
    assert judge([numbers(RNG(i), i, 3.0, tolerance=0.1) for i in range(60)], SIGNS).outcome == "Fail"


def test_rows_of_one_request_that_are_all_alike_count_as_one() -> None:
    def evidence(rows: int) -> list[str]:
        found = verdicts([numbers(RNG(i), i, 0.5, rows=rows) for i in range(30)], SIGNS)
        return [re.sub(r"mean difference [-+.\d]+", "", one.reason) for one in found]

    assert evidence(1) == evidence(500)


def test_what_is_no_number_is_to_both_sides_and_passes_nothing() -> None:
    differences = (Differences("price", 20, 20, 0, not_finite=60, rows=100, excess=20.0, shortfall=20.0),)
    windows = [replace(mirrored(RNG(i), i, 0.0), differences=differences) for i in range(30)]
    assert judge(windows, SIGNS).outcome == "Fail"


def test_where_nothing_is_a_number_it_says_so_and_does_not_pass() -> None:
    verdict = judge([mirrored(RNG(i), i, 0.0) for i in range(30)], SIGNS)
    assert verdict.outcome == "Inconclusive"
    assert "signed difference candidate 0/0 requests of numbers higher" in verdict.reason


def test_each_output_and_side_has_its_part_of_alpha() -> None:
    one, two = Differences("a", 90, 10, 0), Differences("b", 50, 50, 0)
    mirrors = [
        replace(mirrored(RNG(i), i, 0.0), differences=differences) for i, differences in enumerate([(one, two)] * 5)
    ]
    found = signed_difference(mirrors, 0.6, (0.01, 0.05), Noise(0.2, 60.0)).signs
    assert found.units == (
        " requests of a higher",
        " requests of a lower",
        " requests of b higher",
        " requests of b lower",
    )
    assert np.exp(found.failing) == pytest.approx(np.exp(found.against_health).mean(axis=1))


@pytest.mark.parametrize("limit", [0.2, 0.6, 0.9])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_numbers_at_the_limit_fail_in_at_most_alpha_of_releases_and_pass_in_at_most_beta(
    limit: float, noise: float
) -> None:
    """Of 300 releases of 40 windows, each with a share of its own: of the rarer side it varies by `noise`. By chance
    alone at most 8 of 300 fail in 99.9 % of the tests where alpha is 0.01, and 27 pass where beta is 0.05."""
    rng, spread = RNG(3), noise * min(limit, 1 - limit)
    concentration = limit * (1 - limit) / spread**2 - 1 if spread else np.inf
    failed = passed = 0
    for _ in range(300):
        shares = rng.beta(limit * concentration, (1 - limit) * concentration, 40) if spread else np.full(40, limit)
        higher = [int(k) for k in rng.binomial(100, shares)]
        windows = [
            replace(
                window(i, arm(100), arm(100)), pairs=Pairs(0, 100), differences=(Differences("price", k, 0, 100 - k),)
            )
            for i, k in enumerate(higher)
        ]
        found = signed_difference(windows, limit, (0.01, 0.05), Noise(0.2, 60.0))
        failed += found.failed_at() is not None
        passed += any(found.passes(row) for row in range(40))
    assert failed <= 8 and passed <= 27


# --- the split --------------------------------------------------------------------------------------------------------

SPLIT = Policy(split_tolerance=0.1, error_margin=None, latency_margin=None, min_requests=0)


def split(rng: np.random.Generator, index: int, share: float, **other: object) -> Window:
    given = int(rng.binomial(1000, share))
    return window(index, arm(1000 - given), arm(given), **other)


def test_a_split_other_than_asked_holds_until_it_is_right_again() -> None:
    rng = RNG(1)
    wrong = [split(rng, i, 0.3) for i in range(10)]
    verdict = judge(wrong, SPLIT)
    assert (verdict.outcome, verdict.hold, verdict.metric) == ("Inconclusive", "SampleRatioMismatch", "sample ratio")
    assert "the candidate was given" in verdict.reason and "not 10% as asked" in verdict.reason
    assert judge([*wrong, *(split(rng, 10 + i, 0.1) for i in range(8))], SPLIT).outcome == "Pass"


def test_requests_that_an_open_breaker_turned_away_were_given_to_the_candidate() -> None:
    windows = [replace(window(i, arm(900), arm(10)), turned_away=(0, 90)) for i in range(10)]
    assert judge(windows, SPLIT).hold == ""
    assert judge([replace(one, turned_away=(0, 0)) for one in windows], SPLIT).hold == "SampleRatioMismatch"


@pytest.mark.parametrize("weight", [1, 10, 50, 95])
def test_a_right_split_is_held_in_at_most_alpha_of_releases(weight: int) -> None:
    held = 0
    for seed in range(60):
        rng = RNG(seed)
        found = verdicts([split(rng, i, weight / 100, weight=weight) for i in range(30)], SPLIT)
        held += any(verdict.hold for verdict in found)
    assert held <= 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.floats(0.01, 0.6), st.floats(0.0, 0.3))
def test_the_evidence_against_a_split_is_an_e_value(n: int, low: float, width: float) -> None:
    """Its expectation at either end of the band is at most 1, by enumeration."""
    high, k = low + width, np.arange(n + 1, dtype=np.float64)
    each = np.full(n + 1, float(n))
    logs = log_uneven(k, each, np.full(n + 1, low), np.full(n + 1, high))
    for rate in (low, (low + high) / 2, high):
        chance = np.array([_binomial(n, int(x), rate) for x in k])
        assert (chance[:, None] * np.exp(logs)).sum(axis=0).max() <= 1 + 1e-6


def _binomial(n: int, k: int, p: float) -> float:
    return float(comb(n, k) * p**k * (1 - p) ** (n - k))
