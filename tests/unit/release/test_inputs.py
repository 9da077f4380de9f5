"""A model answers otherwise when it is asked otherwise: inputs that shift are told, and blamed on nobody's model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plimsoll.api.inferenceservice import InferenceServiceStatus, RevisionRef
from plimsoll.core.release import inputs
from plimsoll.facts import PodInputs

from tests.builders.release import Character, Life, service, version

SHIFTED = {"le:0.0": 0.1, "le:+Inf": 0.9}
#: Predictions alone, which take little time to judge.
ANALYSIS = {"window": "2s", "latency": {"enabled": False}}


def serving(**more: Any) -> Life:
    body = service(analysis=ANALYSIS)
    body["spec"] |= more
    life = Life(version(1), body, rate=400.0)
    life.until("Idle")
    life.run(5)
    return life


def predicting(life: Life, candidate: dict[str, float]) -> None:
    """Version 2 is released, and predicts so; version 1 says yes to half of the requests."""
    life.characters |= {"1": Character(predicts={"yes": 0.5, "no": 0.5}), "2": Character(predicts=candidate)}
    life.add(version(2))


def test_other_predictions_on_like_inputs_are_the_models() -> None:
    life = serving()
    predicting(life, {"yes": 0.9, "no": 0.1})
    life.until("Held")
    assert life.status["heldReason"] == "PredictionShift"
    assert life.status["reason"].endswith("; both get like inputs: the difference is the model's")


def test_other_predictions_on_other_inputs_are_told_as_such() -> None:
    life = serving()
    predicting(life, {"yes": 0.9, "no": 0.1})
    life.until("Warming")
    life.inputs_of[life.status["candidate"]["revision"]] = SHIFTED
    life.until("Held")
    assert "their inputs differ, too: x (PSI " in life.status["reason"]
    assert "most in le:" in life.status["reason"] and "it need not be the model" in life.status["reason"]


def test_inputs_that_shift_for_both_versions_are_told_and_neither_hold_nor_fail() -> None:
    life = serving()
    life.inputs = SHIFTED
    predicting(life, {"yes": 0.5, "no": 0.5})
    told: list[dict[str, Any]] = []

    def note() -> bool:
        found = life.condition(inputs.TYPE)
        told.extend([found] if found and found not in told else [])
        return life.serves(2)

    assert life.run(300, stop=note)
    assert [(one["status"], one["reason"]) for one in told] == [("False", "InputShift")]
    assert told[0]["message"].startswith("x: requests differ from those that the version was judged by")
    assert "not the candidate's doing" in told[0]["message"]
    assert life.status["history"][0]["outcome"] == "Promoted"
    life.run(10)
    assert life.condition(inputs.TYPE) == {}, "nobody asked for watching"


def test_other_predictions_on_inputs_that_shifted_for_both_are_told_with_it() -> None:
    life = serving()
    life.inputs = SHIFTED
    predicting(life, {"yes": 0.9, "no": 0.1})
    life.until("Held")
    assert life.status["reason"].endswith(
        "; both get like inputs, though others than those that they were judged by (x)"
    )


def test_after_a_release_the_condition_comes_and_goes_with_the_inputs_and_costs_no_write_between() -> None:
    life = serving(monitoring={"errorRate": {"max": 0.5}, "interval": "10s"})
    life.run(60)
    assert life.condition(inputs.TYPE)["status"] == "True"
    before = len(life.effects)
    life.run(120)
    assert life.effects[before:] == []
    life.inputs = SHIFTED
    assert life.run(1800, stop=lambda: life.condition(inputs.TYPE)["status"] == "False")
    assert "they reach what serves" in life.condition(inputs.TYPE)["message"]
    assert [one.reason for _, one in life.cluster.notices][-1] == "InputShift"
    # A new operator remembers nothing, and takes nothing back that it has not seen.
    life.remembered_inputs.clear()
    before = len(life.effects)
    life.run(60)
    assert life.effects[before:] == [] and life.condition(inputs.TYPE)["status"] == "False"
    life.inputs = {"le:0.0": 0.5, "le:+Inf": 0.5}
    assert life.run(7200, stop=lambda: life.condition(inputs.TYPE)["status"] == "True")


def test_the_pods_are_asked_for_inputs_only_where_they_matter_and_once_a_window() -> None:
    life = serving()
    life.run(60)
    assert life.metrics.asked_of_inputs == 0  # type: ignore[attr-defined]
    life.add(version(2))
    life.until("Analyzing")
    started, asked = life.time, life.metrics.asked_of_inputs  # type: ignore[attr-defined]
    life.run(10)
    assert life.metrics.asked_of_inputs - asked <= (life.time - started) / 2 + 1  # type: ignore[attr-defined]


# --- counting -------------------------------------------------------------------------------------------------------

STATUS = InferenceServiceStatus(stable=RevisionRef(revision="a", version="1"))
PROFILE = {("x", "le:0.0"): 500.0, ("x", "le:+Inf"): 500.0}


def pod(requests: int, low: float, high: float, *, started: float = 0.0, name: str = "p") -> PodInputs:
    return PodInputs(name, "a", started, requests, {("x", "le:0.0"): low, ("x", "le:+Inf"): high}, PROFILE)


def counted(*looks: tuple[float, tuple[PodInputs, ...]]) -> dict[tuple[str, str], float]:
    known = None
    for at, pods in looks:
        known = inputs.look(known, pods, STATUS, at)
    assert known is not None
    return dict(known.counted.get("a", {}))


def test_rows_of_one_request_count_as_one() -> None:
    found = counted((0.0, (pod(0, 0, 0),)), (1.0, (pod(10, 50, 150),)))
    assert found == {("x", "le:0.0"): 2.5, ("x", "le:+Inf"): 7.5}


def test_what_a_pod_counted_before_the_first_look_is_of_another_time() -> None:
    assert counted((10.0, (pod(90, 90, 0),)), (11.0, (pod(100, 90, 10),))) == {
        ("x", "le:0.0"): 0.0,
        ("x", "le:+Inf"): 10.0,
    }
    late = pod(50, 50, 0, name="late")
    assert counted((10.0, ()), (11.0, (late,))) == {}


def test_a_restart_counts_from_zero_and_counts_that_fall_count_nothing() -> None:
    first = pod(90, 90, 0)
    assert counted((10.0, (first,)), (20.0, (pod(5, 5, 0, started=15.0),)))["x", "le:0.0"] == 5.0
    assert counted((10.0, (first,)), (20.0, (pod(95, 10, 0),))) == {}


def test_what_is_long_ago_counts_less() -> None:
    looks = (0.0, (pod(0, 0, 0),)), (1.0, (pod(8, 8, 0),)), (1.0 + inputs.HALF_LIFE_SECONDS, (pod(16, 8, 8),))
    assert counted(*looks) == {("x", "le:0.0"): 4.0, ("x", "le:+Inf"): 8.0}


def test_other_arms_begin_anew() -> None:
    known = inputs.look(inputs.look(None, (pod(0, 0, 0),), STATUS, 0.0), (pod(8, 8, 0),), STATUS, 1.0)
    candidate = RevisionRef(revision="b", version="2")
    shared = STATUS.model_copy(update={"candidate": candidate, "weight": 10})
    other = replace(pod(8, 8, 0, name="q"), revision="b")
    found = inputs.look(known, (pod(9, 9, 0), other), shared, 2.0)
    assert (found.arms, found.counted) == (("a", "b"), {})
