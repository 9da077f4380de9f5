"""What `status`, `why`, `history`, `diff` and `wait` say of releases that the operator really went through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from plimsoll import names
from plimsoll.cli import tree
from plimsoll.cli.diff import compare, render
from plimsoll.cli.recorded import Recorded, recorded
from plimsoll.cli.replay import explain
from plimsoll.cli.trouble import No
from plimsoll.cli.wait import Goal
from plimsoll.facts import Ref

from tests.builders.release import NAMESPACE, SERVICE, version
from tests.unit.cli.conftest import Terminal


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def taken_back(terminal: Terminal) -> None:
    """Version 2 failed."""
    terminal.life.character(2).failing = 0.3
    terminal.life.add(version(2))
    terminal.life.until("RolledBack")


# --- status -----------------------------------------------------------------------------------------------------------


def test_status_shows_a_running_release_as_a_tree(terminal: Terminal) -> None:
    terminal.life.add(version(2))
    terminal.life.until("Analyzing")
    terminal.life.run(3)
    said = lines(terminal.run("status", "digits").output)
    assert said[0] == "Name: digits (demo)"
    assert said[1] == "Model: digits, version auto"
    assert said[2].startswith("Phase: ▶ Analyzing for ")
    assert said[3].startswith("Says: candidate v2 at 10 %, step 1/2: ")
    assert "Strategy: Canary, step 1/2" in said
    (stable,) = {one["metadata"]["name"] for one in terminal.life.cluster.all("Deployment")
                 if one["metadata"]["labels"][names.LABEL_VERSION] == "1"}  # fmt: skip
    tree = said[said.index("digits ▶ Analyzing") :]
    assert tree[1].startswith("├── v2 candidate, 10 % digits-")
    assert tree[2].startswith("│ └── pod digits-") and "✔ Running 1/1 ready 0 restarts" in tree[2]
    assert tree[3] == f"└── v1 stable, 90 % {stable}"
    assert [line[:8] for line in tree[4:6]] == ["├── pod ", "└── pod "]
    assert "WINDOW ENDED WEIGHT STABLE CANDIDATE GAP" in said
    assert "1 12:00:10 10 % 0/360 0/40" in said


def test_status_tells_the_forecast_of_a_step_and_the_effect_of_a_test(terminal: Terminal) -> None:
    terminal.life.add(version(2))
    terminal.life.until("Analyzing")
    terminal.life.run(15)
    told = terminal.life.status["eta"]["message"]
    assert f"ETA: {told}" in lines(terminal.run("status", "digits").output)
    service = {"metadata": {"name": "digits", "namespace": "demo"}, "spec": {"model": {"name": "digits"}}}
    assert "Effect: ratio 2" in lines(tree.render(service | {"status": {"effect": {"reason": "ratio 2"}}}, [], 0.0))


def test_status_tells_which_attempt_of_its_revision_it_is_from_the_second_on(terminal: Terminal) -> None:
    terminal.life.add(version(2))
    terminal.life.until("Analyzing")
    terminal.life.run(3)
    assert "of this revision" not in terminal.run("status", "digits").output
    terminal.life.command("a", "abort")
    terminal.life.until("RolledBack")
    terminal.life.command("b", "retry")
    terminal.life.until("Analyzing")
    said = lines(terminal.run("status", "digits").output)
    assert "Attempt: 3, number 2 of this revision: it has less of alpha" in said


def test_a_watch_is_a_tree_and_nothing_else(terminal: Terminal) -> None:
    done = terminal.run("status", "digits", "--watch", "-o", "json")
    assert done.exit_code == 2 and "--watch draws a tree: leave out -o json" in done.output


def test_status_says_what_a_pod_waits_for(terminal: Terminal) -> None:
    terminal.life.character(2).image_missing = True
    terminal.life.add(version(2))
    terminal.life.until("Held")
    said = lines(terminal.run("status", "digits").output)
    assert any(line.startswith("Progressing: False, ImageUnavailable: ") for line in said)
    assert any("✖ ErrImagePull 0/1 ready" in line for line in said)


def test_status_shows_the_quarantine_the_command_and_a_rollback(terminal: Terminal) -> None:
    taken_back(terminal)
    assert "Quarantine: v2" in lines(terminal.run("status", "digits").output)
    terminal.life.command("a", "rollback", to="1")
    terminal.life.run(5)
    said = lines(terminal.run("status", "digits").output)
    assert "Model: digits, version auto, ann rolled back to 1" in said
    assert any(line.startswith("Command: Obeyed: rollback to version 1 asked for by ann (") for line in said)


def test_status_as_json_and_yaml_is_the_status_as_it_is_stored(terminal: Terminal) -> None:
    stored = terminal.life.status
    assert json.loads(terminal.run("status", "digits", "-o", "json").output) == stored
    assert yaml.safe_load(terminal.run("status", "digits", "-o", "yaml").output) == stored


def test_the_flags_of_kubectl_go_to_kubectl_before_and_after_the_subcommand(terminal: Terminal) -> None:
    assert terminal.run("--context", "east", "status", "digits", "-n", "shop", "--as=ann").exit_code == 0
    assert sorted(terminal.flags) == ["--as=ann", "--context=east", "--namespace=shop"]


def test_status_shows_the_version_that_is_kept_warm_once_and_its_pods(terminal: Terminal) -> None:
    life = terminal.life
    watch = {"errorRate": {"max": 0.02}, "interval": "10s", "onDegraded": "Rollback", "keepWarm": "1h"}
    life.edit(lambda body: body["spec"].update(monitoring=watch))
    life.add(version(2))
    assert life.run(300, stop=lambda: life.serves(2))
    for seconds in (2, 120):  # its last connections are ending; they have ended
        life.run(seconds)
        said = lines(terminal.run("status", "digits").output)
        tree = said[said.index("digits ✔ Idle") :]
        (at,) = [number for number, line in enumerate(tree) if " v1 " in line]
        assert " v1 warm digits-" in tree[at]
        assert [" pod digits-" in line for line in tree[at + 1 : at + 3]] == [True, True]


# --- why --------------------------------------------------------------------------------------------------------------


def test_why_judges_the_windows_again_and_says_the_same_as_the_operator(terminal: Terminal) -> None:
    taken_back(terminal)
    done = terminal.run("why", "digits")
    assert done.exit_code == 0, done.output
    assert terminal.life.status["verdict"]["reason"] in done.output
    assert "the same as the operator wrote" in done.output
    found = json.loads(terminal.run("why", "digits", "-o", "json").output)
    assert (found["same"], found["ledger"]) == (True, terminal.life.status["ledger"])
    assert found["windows"][-1]["candidate"] == {"requests": 40, "failures": 12, "clientErrors": 0}


def test_why_explains_an_earlier_attempt_by_what_the_history_says(terminal: Terminal) -> None:
    taken_back(terminal)
    terminal.life.add(version(3))
    terminal.life.until("Idle")
    found = json.loads(terminal.run("why", "digits", "--attempt", "2", "-o", "json").output)
    assert (found["same"], found["verdict"]["outcome"]) == (True, "Fail")


def test_why_knows_an_earlier_verdict_to_which_the_history_adds_what_the_inputs_were(terminal: Terminal) -> None:
    life = terminal.life
    shift = {"window": "2s", "predictionShift": {"onShift": "Rollback"}}
    life.edit(lambda body: body["spec"]["release"].update(analysis=shift))
    life.character(1).predicts, life.character(2).predicts = {"a": 0.9, "b": 0.1}, {"a": 0.2, "b": 0.8}
    life.add(version(2))
    life.until("RolledBack")
    assert "get like inputs" in life.status["history"][0]["reason"]
    attempt = life.status["attempt"]
    life.add(version(3))
    life.until("Analyzing")
    done = terminal.run("why", "digits", "--attempt", str(attempt))
    assert done.exit_code == 0, done.output
    assert "the same as the operator wrote" in done.output


def test_a_verdict_with_which_the_recorded_one_only_begins_is_another_one(terminal: Terminal) -> None:
    taken_back(terminal)
    whole = terminal.life.status["verdict"]["reason"]
    assert explain(_ledger(terminal), Recorded(f"{whole}; and more"))["same"] is True
    assert explain(_ledger(terminal), Recorded(f"{whole}; and m…"))["same"] is True
    assert explain(_ledger(terminal), Recorded(f"{whole}0; and more"))["same"] is False


def test_why_tells_a_ledger_that_is_not_the_one_that_was_cited(terminal: Terminal) -> None:
    taken_back(terminal)
    ref = Ref("v1", "ConfigMap", NAMESPACE, "digits-attempt-2")
    terminal.life.cluster.objects[ref]["data"]["ledger.json"] = _with_fewer_failures(_ledger(terminal))
    terminal.life.asleep = True
    done = terminal.run("why", "digits")
    assert done.exit_code == 3
    assert "is not the one that the status cites" in done.output


def test_another_verdict_than_the_recorded_one_is_told(terminal: Terminal) -> None:
    taken_back(terminal)
    found = explain(_ledger(terminal), Recorded("Fail: something else"))
    assert found["same"] is False


def test_a_sentence_that_the_history_cut_is_compared_by_its_head(terminal: Terminal) -> None:
    taken_back(terminal)
    whole = terminal.life.status["verdict"]["reason"]
    assert explain(_ledger(terminal), Recorded(whole[:50] + "…"))["same"] is True
    assert explain(_ledger(terminal), Recorded(whole[:50]))["same"] is False


def test_why_needs_no_cluster_for_a_file(terminal: Terminal, tmp_path: Path) -> None:
    taken_back(terminal)
    path = tmp_path / "2.json"
    path.write_text(_ledger(terminal))
    done = terminal.run("why", "--file", str(path))
    assert done.exit_code == 0
    assert "The status has no verdict of this release to compare it with." in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["why"], "name an InferenceService, or a --file with a ledger"),
        (["why", "digits", "--attempt", "1"], "the cluster has no ledger of attempt 1 of digits"),
        (["why", "--file", __file__], "the ledger is not JSON"),
    ],
    ids=["nothing named", "a first version", "no ledger"],
)
def test_why_says_what_is_missing(terminal: Terminal, arguments: list[str], said: str) -> None:
    done = terminal.run(*arguments)
    assert done.exit_code in (1, 2)
    assert said in done.output


def test_a_crash_is_not_looked_for_in_the_ledger(terminal: Terminal) -> None:
    taken_back(terminal)
    service = terminal.life.cluster.read(SERVICE)
    service["status"]["verdict"]["metric"] = "crashes"
    assert explain(_ledger(terminal), recorded(service, 2))["same"] is None


def _ledger(terminal: Terminal) -> str:
    text: str = terminal.life.cluster.read(Ref("v1", "ConfigMap", NAMESPACE, "digits-attempt-2"))["data"]["ledger.json"]
    return text


def _with_fewer_failures(text: str) -> str:
    """The candidate's failures of the last window, forgotten."""
    document = json.loads(text)
    document["windows"][-1][8][1] = 0
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


# --- history, diff ----------------------------------------------------------------------------------------------------


def test_history_lists_how_releases_ended_and_who_decided(terminal: Terminal) -> None:
    assert lines(terminal.run("history", "digits").output)[0] == "ATTEMPT VERSION OUTCOME BY STARTED TOOK REASON"
    terminal.life.add(version(2))
    terminal.life.until("Analyzing")
    terminal.life.command("a", "abort", reason="complaints")
    terminal.life.until("RolledBack")
    newest = lines(terminal.run("history", "digits").output)[1]
    assert newest.startswith("2 v2 Aborted ann 2026-11-22T12:00:")
    assert newest.endswith("aborted by ann: complaints")


def versions() -> tuple[dict[str, Any], dict[str, Any]]:
    first, second = version(1), version(2, shape=(-1, 65))
    first["spec"] |= {"metrics": {"accuracy": 0.95, "rows": 100.0}}
    second["spec"] |= {"metrics": {"accuracy": 0.97, "rows": 100.0, "auc": 0.5}}
    for one, depth in ((first, 3), (second, 4)):
        datasets = [{"name": "s3://data/a.csv", "version": f"sha256:{depth}"}]
        one["spec"]["lineage"] = {"datasets": datasets, "parameters": {"max_depth": depth, "seed": 7}, "seed": 7}
    return first, second


def test_diff_has_what_differs_by_section_with_the_change_of_numbers() -> None:
    found = compare(*versions())
    assert (found["from"], found["to"]) == ("digits-v1", "digits-v2")
    assert found["metrics"] == {
        "accuracy": {"from": 0.95, "to": 0.97, "change": 0.02},
        "auc": {"from": None, "to": 0.5},
    }
    assert found["data"] == {"s3://data/a.csv": {"from": "sha256:3", "to": "sha256:4"}}
    assert found["parameters"] == {"max_depth": {"from": 3, "to": 4, "change": 1}}
    assert found["inputs"] == {"input": {"from": "FP32 [-1, 64]", "to": "FP32 [-1, 65]"}}
    assert found["outputs"] == {}
    assert list(found["origin"]) == ["sha256"]


def test_diff_as_text_lines_up_and_names_what_is_the_same() -> None:
    said = lines(render(compare(*versions())))
    assert said[0] == "digits-v1 → digits-v2"
    assert "METRICS FROM TO CHANGE" in said
    assert "accuracy 0.95 0.97 +0.02" in said
    assert "auc - 0.5" in said
    assert said[-1] == "the same: outputs"


def test_diff_takes_a_number_for_the_second_version(terminal: Terminal) -> None:
    terminal.life.add(version(2, phase="PendingApproval"))
    for second in ("2", "v2", "digits-v2"):
        assert "digits-v1 → digits-v2" in terminal.run("diff", "digits-v1", second).output


# --- wait -------------------------------------------------------------------------------------------------------------


def test_wait_ends_when_the_version_is_promoted(terminal: Terminal) -> None:
    terminal.life.add(version(2))
    done = terminal.run("wait", "digits", "--for=promoted", "--version=2", "--timeout=5m")
    assert done.exit_code == 0
    assert done.output.startswith("v2 was promoted: Pass: ")
    assert terminal.run("wait", "digits", "--for=promoted", "--version=2").output == "promoted: v2 serves\n"


def test_wait_ends_with_a_no_when_what_runs_is_taken_back(terminal: Terminal) -> None:
    terminal.life.character(2).failing = 0.3
    terminal.life.add(version(2))
    terminal.life.until("Preparing")
    done = terminal.run("wait", "digits", "--for=promoted", "--timeout=5m")
    assert done.exit_code == 3
    assert "it is not promoted: v2 was rolled back: Fail: error rate " in done.output
    assert terminal.run("wait", "digits", "--for=rolled-back", "--timeout=5s").exit_code == 0


def test_wait_for_a_hold_says_why_it_is_held(terminal: Terminal) -> None:
    terminal.life.add(version(2, shape=(-1, 65)))
    done = terminal.run("wait", "digits", "--for=held", "--timeout=1m")
    assert done.exit_code == 0
    assert done.output.startswith("held: SignatureChanged, requests that version 1 accepts would fail")


def test_wait_ends_when_the_time_is_over_and_says_where_it_is(terminal: Terminal) -> None:
    done = terminal.run("wait", "digits", "--for=rolled-back", "--timeout=10s")
    assert (done.exit_code, done.output) == (4, "Error: not rolled-back in 10 s: v1 serves\n")


def test_a_manifest_that_the_operator_has_not_acted_on_yet_counts_for_nothing(terminal: Terminal) -> None:
    service = terminal.life.cluster.read(SERVICE)
    assert Goal("promoted").met(service) is not None
    service["metadata"]["generation"] += 1
    assert Goal("promoted").met(service) is None


def test_a_release_that_another_one_replaced_is_not_the_end(terminal: Terminal) -> None:
    service = terminal.life.cluster.read(SERVICE)
    goal = Goal("promoted", attempt=2)
    service["status"]["history"].insert(0, service["status"]["history"][0] | {"attempt": 2, "outcome": "Superseded"})
    service["status"]["candidate"] = service["status"]["stable"]
    assert goal.met(service) is None
    del service["status"]["candidate"]
    service["status"]["history"].insert(
        0, service["status"]["history"][0] | {"attempt": service["status"]["attempt"], "outcome": "Aborted"}
    )
    with pytest.raises(No, match="was aborted"):
        goal.met(service)


@pytest.mark.parametrize("given", ["10", "soon", "5d"])
def test_a_time_without_a_unit_is_wrong_usage(terminal: Terminal, given: str) -> None:
    done = terminal.run("wait", "digits", "--for=held", f"--timeout={given}")
    assert (done.exit_code, "--timeout" in done.output) == (2, True)
