"""Verdicts of gates, and the sentences they are told in."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plimsoll_training.gates import Measurement, judge, requirement, shown
from plimsoll_training.run import Gate

from tests.unit.training.laws import law


def gate(metric: str = "accuracy", **fields: Any) -> Gate:
    return Gate.model_validate({"metric": metric, **fields})


@pytest.mark.parametrize(
    ("asked", "measurement", "passed", "message"),
    [
        (gate(min=0.9), Measurement(0.8711), False, "accuracy 0.8711 < required 0.9"),
        (gate(min=0.9), Measurement(0.9711), True, "accuracy 0.9711 ≥ 0.9"),
        (gate(min=0.9), Measurement(0.9), True, "accuracy 0.9000 ≥ 0.9"),
        (gate(min=0.9), Measurement(0.89999), False, "accuracy 0.89999 < required 0.9"),
        (gate("log_loss", max=0.5), Measurement(0.75), False, "log_loss 0.7500 > required 0.5"),
        (gate(min=0.2, max=0.4), Measurement(0.3), True, "accuracy 0.3000 ≥ 0.2 and 0.3000 ≤ 0.4"),
        (gate(min=0.2, max=0.4), Measurement(0.5), False, "accuracy 0.5000 > required 0.4"),
        (
            gate(comparedTo="digits", tolerance=0.01),
            Measurement(0.95, champion=0.97),
            False,
            "accuracy 0.9500 < required 0.96 (digits 0.9700 − 0.01)",
        ),
        (
            gate("log_loss", comparedTo="digits"),
            Measurement(0.2, champion=0.3),
            True,
            "log_loss 0.2000 ≤ 0.3 (digits 0.3000)",
        ),
        (
            gate(comparedTo="digits"),
            Measurement(0.5),
            True,
            "accuracy 0.5000, the first: digits serves no version to compare to",
        ),
        (gate(min=0.9, comparedTo="digits"), Measurement(0.5), False, "accuracy 0.5000 < required 0.9"),
        (
            gate(comparedTo="digits"),
            Measurement(0.99, champion_absent="it is away"),
            False,
            "accuracy 0.9900 was not compared to digits: it is away",
        ),
        (
            gate(min=0.0, slice={"column": "site", "value": "A"}),
            Measurement(None, "no evaluation row has site = A"),
            False,
            "accuracy where site = A was not measured: no evaluation row has site = A",
        ),
    ],
)
def test_a_gate_says_what_was_measured_and_what_was_asked(
    asked: Gate, measurement: Measurement, passed: bool, message: str
) -> None:
    entry = judge(asked, measurement)
    assert (entry["passed"], entry["message"]) == (passed, message)


def test_a_requirement_is_told_without_measured_values() -> None:
    asked = gate(min=0.9, comparedTo="digits", tolerance=0.01, slice={"column": "site", "value": "A"})
    assert requirement(asked) == "min 0.9 and no worse than digits by more than 0.01 where site = A"


values = st.floats(-5, 5)


@law
@given(values, values, st.sampled_from(["accuracy", "log_loss", "r2", "mean_squared_error"]))
def test_a_model_is_never_worse_than_itself(measured: float, other: float, metric: str) -> None:
    compared = gate(metric, comparedTo="digits")
    assert judge(compared, Measurement(measured, champion=measured))["passed"] is True
    there = judge(compared, Measurement(measured, champion=other))["passed"]
    back = judge(compared, Measurement(other, champion=measured))["passed"]
    assert there or back
    assert (there and back) == (measured == other)


@law
@given(values, values)
def test_shown_values_look_different_when_they_are(measured: float, limit: float) -> None:
    value, bound = shown(measured, limit)
    assert (float(value) == float(bound)) <= (abs(measured - limit) < 1e-4)
    if abs(measured - limit) > 1e-12:
        assert float(value) != float(bound)


def test_a_gate_that_asks_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="set at least one of min, max and comparedTo"):
        gate()
