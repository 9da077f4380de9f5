"""Kayenta's judge, re-stated, says what the real one was recorded to say (bench/release/recorded)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from bench.release.peers import kayenta
from tests.unit.docs.pages import ROOT

CASES = ROOT / "bench/release/recorded"


def cases(name: str) -> list[Any]:
    found = json.loads((CASES / f"{name}.json").read_text())["cases"]
    assert len(found) >= 10
    return [pytest.param(one, id=one["name"]) for one in found]


def series(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


@pytest.mark.parametrize("case", cases("kayenta"))
def test_kayentas_judge_as_recorded(case: dict[str, Any]) -> None:
    nan = "replace" if case["nanStrategy"] == "replace" else "remove"
    experiment, control = series(case["experiment"]), series(case["control"])
    assert kayenta.classify(experiment, control, case["allowedIncrease"], nan) == case["classification"]


@pytest.mark.parametrize("case", [one for one in cases("kayenta") if "low" in one.values[0]])
def test_the_interval_of_the_mann_whitney_test_is_the_recorded_one(case: dict[str, Any]) -> None:
    """The program ends its search at 1e-4 of the unit; the estimate of few points is a step, anywhere on which it may
    stop."""
    replaced = case["nanStrategy"] == "replace"
    clean = np.nan_to_num if replaced else (lambda x: x[~np.isnan(x)])
    low, estimate, high = kayenta.shift(clean(series(case["experiment"])), clean(series(case["control"])))
    assert low == pytest.approx(case["low"], abs=2e-4)
    assert high == pytest.approx(case["high"], abs=2e-4)
    if len(case["control"]) > 5:
        assert estimate == pytest.approx(case["estimate"], abs=5e-3)
