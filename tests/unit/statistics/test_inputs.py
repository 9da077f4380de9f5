"""Whether inputs differ: between arms, and from a profile."""

from __future__ import annotations

import numpy as np
import pytest
from plimsoll.core.statistics.inputs import ALPHA, input_shift
from plimsoll.facts import OutputBins

BINS = ("le:0.0", "le:1.0", "le:+Inf", "missing")


def feature(name: str, here: tuple[int, ...], there: tuple[int, ...]) -> OutputBins:
    return OutputBins(name, BINS[: len(here)], stable=there, candidate=here)


def test_the_feature_that_differs_is_named_with_its_worst_bin() -> None:
    found = input_shift([feature("a", (500, 480, 20), (490, 490, 20)), feature("b", (100, 200, 700), (300, 400, 300))])
    assert found.told == 2
    (shift,) = found.shifts
    assert (shift.name, shift.bin, shift.here, shift.there) == ("b", "le:+Inf", 0.7, 0.3)
    assert 0.5 < shift.psi < 1


def test_the_worst_comes_first() -> None:
    found = input_shift([feature("a", (600, 400), (400, 600)), feature("b", (900, 100), (100, 900))])
    assert [shift.name for shift in found.shifts] == ["b", "a"]


def test_values_that_nobody_had_before_are_a_shift() -> None:
    (shift,) = input_shift([feature("a", (250, 250, 0, 500), (500, 500, 0, 0))]).shifts
    assert (shift.bin, shift.here, shift.there) == ("missing", 0.5, 0.0)


@pytest.mark.parametrize("rows", range(100, 160, 7))
def test_of_two_bins_the_one_that_the_candidate_has_more_of_is_named(rows: int) -> None:
    (shift,) = input_shift([feature("a", (rows, 240 - rows), (0, 160))]).shifts
    assert shift.bin == "le:0.0"


def test_few_rows_tell_nothing_and_neither_does_a_feature_with_one_bin() -> None:
    assert input_shift([feature("a", (3, 40), (40, 3)), feature("b", (5000,), (5000,))]).told == 0
    assert input_shift([]).told == 0


def test_a_small_shift_that_is_certain_is_none_that_matters() -> None:
    assert input_shift([feature("a", (520_000, 480_000), (500_000, 500_000))]).shifts == ()


def test_like_inputs_are_hardly_ever_said_to_differ() -> None:
    rng, shares = np.random.default_rng(7), np.full(10, 0.1)
    looks = 4000
    found = sum(
        bool(input_shift([OutputBins("a", tuple(f"le:{i}.0" for i in range(10)), *_drawn(rng, shares))], 0.0).shifts)
        for _ in range(looks)
    )
    assert found <= 5, f"{found} of {looks} at a level of {ALPHA}"


def _drawn(rng: np.random.Generator, shares: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(rng.multinomial(450, shares).tolist()), tuple(rng.multinomial(600, shares).tolist())
