"""The rules of Argo Rollouts, Flagger and Kayenta, re-stated, do what the real programs were recorded to do."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import mannwhitneyu

from bench.release.peers import argo, flagger, kayenta, mann_whitney
from tests.unit.docs.pages import ROOT

CASES = ROOT / "bench/release/recorded"


def cases(name: str) -> list[Any]:
    found = json.loads((CASES / f"{name}.json").read_text())["cases"]
    assert len(found) >= 10
    return [pytest.param(one, id=one["name"]) for one in found]


def series(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


@pytest.mark.parametrize("name", ["argo", "flagger", "kayenta"])
def test_each_recording_says_what_was_recorded_and_has_its_recorder(name: str) -> None:
    document = json.loads((CASES / f"{name}.json").read_text())
    assert re.search(r" v\d+\.\d+\.\d+$", document["program"]) or re.fullmatch(r"[0-9a-f]{40}", document["commit"])
    assert any((CASES / name).iterdir())


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


def test_pairs_side_by_side_are_tested_like_each_alone_without_its_missing_points() -> None:
    """Many ties, since rates are ratios of small counts; scipy has the same test for one pair."""
    rng = np.random.default_rng(1)
    x, y = rng.poisson(3.0, (20, 15)) / 10.0, rng.poisson(2.0, (20, 12)) / 10.0
    x[rng.random(x.shape) < 0.2], y[rng.random(y.shape) < 0.2] = np.nan, np.nan
    two_sided = 2 * ndtr(-np.abs(mann_whitney.standardised(x, y)))
    alone = [mannwhitneyu(a[~np.isnan(a)], b[~np.isnan(b)], method="asymptotic").pvalue
             for a, b in zip(x, y, strict=True)]  # fmt: skip
    np.testing.assert_allclose(two_sided, alone, rtol=1e-12)
    together = kayenta.classified(x, y)
    assert set(together) == {kayenta.PASS, kayenta.HIGH}
    assert list(together) == [kayenta.classify(a, b) for a, b in zip(x, y, strict=True)]


@pytest.mark.parametrize("case", cases("flagger"))
def test_flaggers_ticks_as_recorded(case: dict[str, Any]) -> None:
    analysis = flagger.Analysis(
        case["threshold"], case["stepWeight"], case["maxWeight"], case["successRateMin"], case["durationMax"]
    )
    canary = flagger.Canary(analysis, 1)
    seen = [state(canary)]
    for check in case["checks"]:
        canary.tick(np.array([value(check["successRate"])]), np.array([value(check["duration"])]))
        seen.append(state(canary))
    recorded = [(tick["phase"], tick["weight"], tick["failedChecks"]) for tick in case["ticks"]]
    ended = next((place for place, (phase, *_) in enumerate(recorded) if phase != "Progressing"), len(recorded))
    assert seen[: ended + 1] == recorded[: ended + 1]


def state(canary: flagger.Canary) -> tuple[str, int, int]:
    return str(canary.phase[0]), int(canary.weight[0]), int(canary.failed_checks[0])


def value(said: str) -> float:
    """What a query gives; no series and no answer have no value either."""
    return np.nan if said in {"NaN", "empty", "unavailable"} else float(said)


@pytest.mark.parametrize("case", cases("argo"))
def test_argos_measurements_as_recorded(case: dict[str, Any]) -> None:
    run = argo.AnalysisRun(metric(case["metric"]), 1)
    for said, recorded in zip(case["values"], case["measurements"], strict=False):
        run.measure(np.array([value(said)]), np.array([said in {"empty", "unavailable"}]))
        counters = (run.counted, run.failed, run.inconclusive, run.errors, run.successes)
        names = ("count", "failed", "inconclusive", "consecutiveErrors", "consecutiveSuccesses")
        assert [int(one[0]) for one in counters] == [recorded[name] for name in names]
        assert run.phase[0] == recorded["run"]
    run.terminate()
    assert run.phase[0] == case["ended"]


@pytest.mark.parametrize("case", cases("argo"))
def test_argo_measures_at_once_then_at_its_interval_and_repeats_errors_sooner(case: dict[str, Any]) -> None:
    made = [(one["seconds"], one["phase"]) for one in case["measurements"]]
    assert made[0][0] == 0
    for (before, phase), (after, _) in pairwise(made):
        minutes = int(case["metric"].get("interval", "0m").removesuffix("m"))
        assert after - before == (argo.RETRY_SECONDS if phase == argo.ERROR else 60 * minutes)


def metric(said: dict[str, Any]) -> argo.Metric:
    """The re-statement of a recorded AnalysisTemplate's metric."""
    success, failure = said.get("successCondition", ""), said.get("failureCondition", "")
    return argo.Metric(
        success_at_least=limit(success),
        failure_below=limit(failure),
        nan_succeeds="isNaN" in success,
        count=said.get("count", None if "interval" in said else 1),
        failure_limit=said.get("failureLimit", 0),
        inconclusive_limit=said.get("inconclusiveLimit", 0),
        consecutive_error_limit=said.get("consecutiveErrorLimit", 4),
        consecutive_success_limit=said.get("consecutiveSuccessLimit", 0),
    )


def limit(condition: str) -> float | None:
    found = re.search(r"(?:>=|<) ([0-9.]+)$", condition)
    return float(found[1]) if found else None
