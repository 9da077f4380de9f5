"""`kubectl plimsoll simulate`: a manifest in, chances out; no cluster is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from plimsoll.api.common import seconds
from plimsoll.api.release import Release
from plimsoll.cli import simulated
from plimsoll.cli.app import app

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
    assert "20 releases each through 20/95 % at 200 requests/s, 0.10% errors" in result.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Pod\n", "there is no InferenceService in it"),
        (MANIFEST.replace("weight: 20", "weight: many"), "steps[0].weight"),
        (
            MANIFEST.replace("{steps: [{weight: 20, minDuration: 10s}], probation: 30s}", "{strategy: Recreate}"),
            "simulate a Canary",
        ),
        (MANIFEST.replace("release: {", "release: {analysis: {window: 25s}, "), "must divide a minute"),
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
    watched = MANIFEST.replace("release: {", "release: {analysis: {prePeriod: 5m}, ")
    flags = ["--requests-per-second", "500", "--error-rate", "2%", "--noise", "0", "--effect", "4", "--runs", "40"]
    plain, later = (
        json.loads(simulate(tmp_path, text, *flags, "-o", "json").output)["candidates"][0]["secondsToVerdict"]
        for text in (MANIFEST, watched)
    )
    assert simulated.release_of(watched, "service.yaml").pre_period == 300.0
    assert later["p50"] < plain["p50"], "what was seen before makes the verdict sooner"


def test_a_fresh_baseline_is_simulated_and_takes_longer_than_all_of_the_stable_version(tmp_path: Path) -> None:
    fresh = MANIFEST.replace("release: {", "release: {analysis: {baseline: Fresh}, ")
    flags = ["--requests-per-second", "100", "--error-rate", "2%", "--noise", "0", "--effect", "4", "--runs", "40"]
    plain, beside = (
        json.loads(simulate(tmp_path, text, *flags, "-o", "json").output)["candidates"][0]["secondsToVerdict"]
        for text in (MANIFEST, fresh)
    )
    assert beside["p50"] > plain["p50"], "a baseline answers a tenth of the requests and not all the others"


def test_what_a_manifest_leaves_out_is_what_the_api_says() -> None:
    found = simulated.release_of("kind: InferenceService\n", "service.yaml")
    default = Release()
    steps = [(step.weight, seconds(step.min_duration), step.min_requests) for step in default.steps]
    steps.append((100 - default.holdback, seconds(default.probation), 0))
    assert [(step.weight, step.min_seconds, step.min_requests) for step in found.steps] == steps
    assert found.window == seconds(default.analysis.window)
    assert found.pre_period == seconds(default.analysis.pre_period)
    assert found.fresh == (default.analysis.baseline == "Fresh")
    analysis = default.analysis
    assert (found.policy.alpha, found.policy.error_margin, found.policy.latency_margin, found.policy.min_requests) == (
        analysis.alpha, analysis.error_rate.margin, analysis.latency.margin, default.steps[0].min_requests
    )  # fmt: skip
