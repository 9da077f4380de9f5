"""`kubectl plimsoll simulate`: a manifest in, chances out; no cluster is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from plimsoll.cli import manifest, simulated
from plimsoll.cli.app import app

from tests.unit.docs.pages import ROOT

MANIFEST = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: plimsoll.dev/v1alpha1
kind: InferenceService
metadata: {name: churn}
spec:
  model: {name: churn, version: auto}
  release: {steps: [{weight: 20, minDuration: 10s}], probation: 30s}
"""
TRAFFIC = ["--requests-per-second", "200", "--error-rate", "0.1%", "--runs", "20"]


def simulate(path: Path, text: str, *flags: str) -> Result:
    manifest = path / "service.yaml"
    manifest.write_text(text)
    return CliRunner().invoke(app, ["simulate", "-f", str(manifest), *flags])


def test_a_good_candidate_is_promoted_through_the_manifests_steps_and_a_bad_one_taken_back(tmp_path: Path) -> None:
    result = simulate(tmp_path, MANIFEST, *TRAFFIC, "--effect", "1", "--effect", "40", "-o", "json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert [step["weight"] for step in found["steps"]] == [20, 95]
    good, bad = found["candidates"]
    assert (good["promoted"], good["rolledBack"]) == (1.0, 0.0)
    assert (bad["promoted"], bad["rolledBack"]) == (0.0, 1.0)
    assert good["secondsToVerdict"]["p5"] >= 40


def test_as_text_it_is_a_table_and_a_sentence(tmp_path: Path) -> None:
    result = simulate(tmp_path, MANIFEST, *TRAFFIC, "--effect", "1")
    assert result.output.splitlines()[0].split()[:2] == ["FAILS", "PROMOTED"]
    assert "20 releases each, strategy Canary: 20 % for 10s, then probation at 95 % for 30s" in result.output
    assert "200 requests/s, 0.10% errors, 1 replica; alpha 0.01" in result.output
    assert "\nheld: no progress for progressDeadline 30m, onInconclusive: Hold" in result.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Pod\n", "there is no InferenceService of"),
        (MANIFEST.replace("weight: 20", "weight: many"), "steps[0].weight"),
        (
            MANIFEST.replace("{steps: [{weight: 20, minDuration: 10s}], probation: 30s}", "{strategy: Recreate}"),
            "spec.release.strategy: nothing to simulate",
        ),
        (
            MANIFEST.replace(
                "{steps: [{weight: 20, minDuration: 10s}], probation: 30s}", "{strategy: BlueGreen, holdback: 0}"
            ),
            "spec.release.holdback: nothing to simulate",
        ),
        (MANIFEST.replace("minDuration: 10s", "minDuration: soon"), "steps[0].minDuration"),
        (MANIFEST.replace("release: {", "release: {analysis: {alpha: 3}, "), "alpha"),
        ("a: [\n", "not YAML"),
    ],
)
def test_what_cannot_be_simulated_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    result = simulate(tmp_path, text, *TRAFFIC)
    assert result.exit_code == 1
    assert said in result.output


def test_a_share_may_be_a_percentage_or_a_fraction_and_nothing_else(tmp_path: Path) -> None:
    flags = ["--requests-per-second", "10", "--error-rate"]
    assert "not a share" in simulate(tmp_path, MANIFEST, *flags, "few").output
    assert "from 0% to below 100%" in simulate(tmp_path, MANIFEST, *flags, "120%").output


def test_the_pre_period_of_a_manifest_is_simulated_and_not_ignored(tmp_path: Path) -> None:
    several = MANIFEST.replace("release:", "runtime: {replicas: 3}\n  release:")
    watched = several.replace("release: {", "release: {analysis: {prePeriod: 5m}, ")
    flags = ["--requests-per-second", "500", "--error-rate", "2%", "--noise", "0", "--effect", "4", "--runs", "40"]
    plain, later = (
        json.loads(simulate(tmp_path, text, *flags, "-o", "json").output)["candidates"][0]["secondsToVerdict"]
        for text in (several, watched)
    )
    assert planned(watched).trial(simulated.Traffic(1.0, 0.01), 1.0).pre_seconds == 300.0
    assert later["p50"] < plain["p50"], "what was seen before makes the verdict sooner"


def test_a_fresh_baseline_is_simulated_and_takes_longer_than_all_of_the_stable_version(tmp_path: Path) -> None:
    fresh = MANIFEST.replace("release: {", "release: {analysis: {baseline: Fresh}, ")
    flags = ["--requests-per-second", "100", "--error-rate", "2%", "--noise", "0", "--effect", "4", "--runs", "40"]
    plain, beside = (
        json.loads(simulate(tmp_path, text, *flags, "-o", "json").output)["candidates"][0]["secondsToVerdict"]
        for text in (MANIFEST, fresh)
    )
    assert beside["p50"] > plain["p50"], "a baseline answers a tenth of the requests and not all the others"


def planned(text: str) -> simulated.Plan:
    return simulated.planned(manifest.service(text, "service.yaml").spec)


EXAMPLES = {
    "ab-test": (["Step", "Probation"], "stickyHeader"),
    "baseline": (["Step", "Step", "Probation"], "latency"),
    "blue-green": (["Probation"], "predictionShift"),
    "canary": (["Copies", "Step", "Pause", "Step", "Probation"], "approvals"),
    "shadow": (["Copies", "Probation"], "approvals"),
}


@pytest.mark.parametrize("path", sorted((ROOT / "examples/strategies").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_strategy_of_the_examples_is_simulated(path: Path) -> None:
    kinds, left_out = EXAMPLES[path.stem]
    traffic = ["--requests-per-second", "50", "--error-rate", "0.5%", "--runs", "5", "--effect", "1", "--effect", "60"]
    result = CliRunner().invoke(app, ["simulate", "-f", str(path), *traffic, "-o", "json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert [step["kind"] for step in found["steps"]] == kinds
    assert any(one.startswith(left_out) for one in found["notSimulated"])
    good, bad = found["candidates"]
    assert good["promoted"] == 1.0 and bad["rolledBack"] == 1.0
    assert good["secondsToVerdict"]["p5"] >= sum(step["minSeconds"] for step in found["steps"])


def test_pods_pauses_and_the_deadline_are_the_manifests() -> None:
    steps = "[{weight: 20}, {pause: {duration: 2m}}], progressDeadline: 2h, onInconclusive: Rollback"
    text = MANIFEST.replace("[{weight: 20, minDuration: 10s}]", steps)
    found = planned(text.replace("release:", "runtime: {replicas: 7}\n  release:"))
    assert found.pods == 7 and found.deadline == 7200.0
    stages = [(one.kind, one.step.weight, one.step.min_seconds, one.step.min_requests) for one in found.stages]
    assert stages == [("Step", 20, 30.0, 50), ("Pause", 20, 120.0, 0), ("Probation", 95, 30.0, 0)]


def test_who_makes_no_progress_in_time_is_held_or_taken_back_as_the_manifest_says(tmp_path: Path) -> None:
    late = MANIFEST.replace("release: {", "release: {progressDeadline: 2m, onInconclusive: Rollback, ")
    flags = ["--requests-per-second", "0.5", "--error-rate", "1%", "--runs", "20", "--effect", "1"]
    assert json.loads(simulate(tmp_path, late, *flags, "-o", "json").output)["candidates"][0]["undecided"] == 1.0
    said = simulate(tmp_path, late, *flags).output
    assert "TIMED OUT" in said and "timed out: no progress for progressDeadline 2m" in said


def test_a_manifest_may_come_from_standard_input() -> None:
    result = CliRunner().invoke(app, ["simulate", "-f", "-", *TRAFFIC, "--effect", "1"], input=MANIFEST)
    assert result.exit_code == 0, result.output
    broken = CliRunner().invoke(app, ["simulate", "-f", "-", *TRAFFIC], input=MANIFEST.replace("weight", "wight"))
    assert broken.exit_code == 1 and "unknown field; did you mean weight?" in broken.output


def test_where_failures_are_not_compared_a_warning_says_that_nothing_is_judged(tmp_path: Path) -> None:
    text = MANIFEST.replace("release: {", "release: {analysis: {errorRate: {enabled: false}}, ")
    result = simulate(tmp_path, text, *TRAFFIC, "--effect", "4")
    assert result.exit_code == 0 and "\nwarning: analysis.errorRate.enabled is false" in result.output
    assert "warning" not in simulate(tmp_path, MANIFEST, *TRAFFIC, "--effect", "4").output


def test_a_window_that_is_no_part_of_a_minute_is_simulated_by_a_longer_one_and_told() -> None:
    found = planned(MANIFEST.replace("release: {", "release: {analysis: {window: 25s}, "))
    assert found.window == 30.0 and "windows of 25s (of 30s instead)" in found.left_out
