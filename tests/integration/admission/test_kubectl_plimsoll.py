"""`kubectl plimsoll` on the real API server, through the admission policies, in the names of people with few rights."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from plimsoll.cli.app import app
from plimsoll.cli.kubectl import SERVICES, Kubectl
from plimsoll.cli.trouble import Conflict
from plimsoll.core import ledger as ledgers
from plimsoll.core.release import commands
from plimsoll.core.release.record import digest
from plimsoll.core.statistics.policy import Policy
from plimsoll.core.verdict import judge

from plugins.krew import build
from tests.integration.admission.conftest import VERBS, Installed, Manifest
from tests.integration.chart.rendering import helm
from tests.integration.conftest import ClusterAccess
from tests.unit.statistics.builders import arm, repeat

NUMBERS = itertools.count(1)


@dataclass
class Terminal:
    """Somebody at a terminal with kubectl and the plugin; the plugin runs in this process, kubectl in its own."""

    installed: Installed
    context: list[str]

    def plimsoll(self, *arguments: str, user: str = "") -> Result:
        where = ["-n", self.installed.administrator.namespace, *self.context]
        return CliRunner().invoke(app, [*arguments, *where, *([f"--as={user}"] if user else [])])

    def make(self) -> str:
        """A new InferenceService."""
        body = {
            "apiVersion": "plimsoll.dev/v1alpha1",
            "kind": "InferenceService",
            "spec": {"model": {"name": "digits"}},
        }
        name: str = self.installed.administrator.create(
            "inferenceservices", body | {"metadata": {"name": f"cli-{next(NUMBERS)}"}}
        )["metadata"]["name"]
        return name

    def read(self, name: str) -> Manifest:
        found: Manifest = self.installed.administrator.patch("inferenceservices", name, {})
        return found

    def write_status(self, name: str, **status: Any) -> None:
        self.installed.administrator.write_status("inferenceservices", name, status)


@pytest.fixture
def terminal(
    installed: Installed, cluster_access: ClusterAccess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Terminal:
    """With the cluster's kubectl."""
    monkeypatch.setenv("PATH", f"{Path(helm()).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("KUBECONFIG", cluster_access.kubeconfig)
    monkeypatch.setenv("HOME", str(tmp_path))
    return Terminal(installed, [f"--context={cluster_access.context}"] if cluster_access.context else [])


@pytest.fixture
def service(terminal: Terminal) -> str:
    return terminal.make()


def version_of(verb: str) -> list[str]:
    return ["--to=1"] if verb == "rollback" else []


# --- commands -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_who_has_the_verb_gives_the_command_in_their_own_name(terminal: Terminal, service: str, verb: str) -> None:
    done = terminal.plimsoll(verb, service, *version_of(verb), "--reason=the dashboards", "--wait=0s", user=verb)
    assert done.exit_code == 0, done.output
    command = commands.read(terminal.read(service))
    assert command is not None
    assert (command.verb, command.by, command.reason, command.to) == (
        verb,
        verb,
        "the dashboards",
        "1" if verb == "rollback" else "",
    )
    assert terminal.read(service)["spec"]["model"] == {"name": "digits", "version": "auto"}


def test_who_has_not_the_verb_is_told_which_to_ask_for(terminal: Terminal, service: str) -> None:
    done = terminal.plimsoll("abort", service, "--wait=0s", user="editor")
    assert (done.exit_code, done.output) == (
        1,
        "Error: metadata.annotations[plimsoll.dev/command]: editor may not abort here: ask for that verb on "
        "inferenceservices.plimsoll.dev (ClusterRole plimsoll-edit)\n",
    )
    assert commands.read(terminal.read(service)) is None


def test_nobody_gives_a_command_in_another_name_unless_they_act_for_others(terminal: Terminal, service: str) -> None:
    done = terminal.plimsoll("promote", service, "--wait=0s", "--by=ann", user="promote")
    assert done.exit_code == 1
    assert "by must be your own user name, promote" in done.output
    assert terminal.plimsoll("promote", service, "--wait=0s", "--by=ann", user="git").exit_code == 0


def test_a_promote_does_not_take_the_place_of_an_abort_that_nobody_read(terminal: Terminal, service: str) -> None:
    assert terminal.plimsoll("abort", service, "--wait=0s", "--id=first", user="abort").exit_code == 0
    done = terminal.plimsoll("promote", service, "--wait=0s", user="promote")
    assert done.exit_code == 1
    assert "abort by abort (id first) has not been read yet" in done.output
    terminal.write_status(service, commands=["first"])
    assert terminal.plimsoll("promote", service, "--wait=0s", user="promote").exit_code == 0


def test_what_became_of_a_command_is_told_once_the_operator_wrote_it(terminal: Terminal, service: str) -> None:
    last = {"id": "mine", "verb": "pause", "by": "pause", "at": "2026-11-24T12:00:00Z"}
    refused = last | {"outcome": "Refused", "message": "nothing is being released"}
    terminal.write_status(service, commands=["mine"], lastCommand=refused)
    done = terminal.plimsoll("pause", service, "--id=mine", user="pause")
    assert (done.exit_code, done.output) == (3, "Error: the operator refused pause: nothing is being released\n")


def test_a_write_onto_a_state_that_is_gone_is_a_conflict(terminal: Terminal, service: str) -> None:
    kubectl = Kubectl.found([f"-n={terminal.installed.administrator.namespace}", *terminal.context])
    before = kubectl.get(SERVICES, service)["metadata"]["resourceVersion"]
    kubectl.patch(SERVICES, service, {"metadata": {"labels": {"a": "b"}, "resourceVersion": before}})
    with pytest.raises(Conflict):
        kubectl.patch(SERVICES, service, {"metadata": {"labels": {"a": "c"}, "resourceVersion": before}})


# --- looking -----------------------------------------------------------------------------------------------------


def released(terminal: Terminal, service: str) -> str:
    """The status and the ledger of a release that failed; the verdict's sentence."""
    windows = tuple(repeat(3, arm(1800, failures=9), arm(200, failures=8)))
    text = ledgers.encode(ledgers.Ledger("r-1", "r-2", Policy(), windows=windows))
    verdict = judge(windows, Policy())
    boss = terminal.installed.administrator
    boss.create("configmaps", {"metadata": {"name": f"{service}-attempt-2"}, "data": {"ledger.json": text}})
    at = "2026-11-24T12:00:00Z"
    record = {"attempt": 2, "revision": "r-2", "version": "2", "outcome": "RolledBack", "reason": verdict.reason}
    terminal.write_status(
        service, phase="RolledBack", attempt=2, ledger=digest(text), message="v1 serves", observedGeneration=1,
        stable={"revision": "r-1", "version": "1"}, history=[record | {"startedAt": at, "finishedAt": at}],
        verdict={"outcome": "Fail", "mode": "Sequential", "reason": verdict.reason, "at": at},
    )  # fmt: skip
    return verdict.reason


def test_who_may_only_look_sees_the_release_and_why(terminal: Terminal, service: str) -> None:
    reason = released(terminal, service)
    status = terminal.plimsoll("status", service)
    assert f"Verdict:  {reason}" in status.output, status.output
    assert "└── v1   stable, 100 %   r-1" in status.output
    assert json.loads(terminal.plimsoll("why", service, "-o", "json").output)["same"] is True
    assert reason in terminal.plimsoll("history", service).output
    assert terminal.plimsoll("wait", service, "--for=rolled-back", "--timeout=60s").output == "v1 serves\n"
    assert terminal.plimsoll("wait", service, "--for=promoted", "--timeout=60s").exit_code == 3


def test_a_wait_sees_a_change(terminal: Terminal, service: str) -> None:
    held = {"phase": "Held", "heldReason": "Paused", "reason": "paused by ann", "attempt": 1}
    held |= {"candidate": {"revision": "r-2", "version": "2"}}
    changing = threading.Timer(1.0, lambda: terminal.write_status(service, **held))
    changing.start()
    done = terminal.plimsoll("wait", service, "--for=held", "--timeout=2m")
    changing.join()
    assert (done.exit_code, done.output) == (0, "held: Paused, paused by ann\n")


def test_events_and_versions_are_shown(terminal: Terminal, service: str) -> None:
    boss, found = terminal.installed.administrator, terminal.read(service)
    about = {"apiVersion": found["apiVersion"], "kind": found["kind"], "uid": found["metadata"]["uid"]}
    about |= {"name": service, "namespace": boss.namespace}
    event = {
        "metadata": {"name": f"{service}.1"},
        "involvedObject": about,
        "type": "Warning",
        "reason": "CommandRefused",
    }
    event |= {"message": "promote by ann (id a): nothing is being released", "lastTimestamp": "2026-11-24T12:00:00Z"}
    boss.create("events", event)
    assert "CommandRefused   1x" in terminal.plimsoll("events", service).output
    for number, accuracy in ((71, 0.9), (72, 0.95)):
        artifact = {"uri": "s3://bucket/m.onnx", "sha256": str(number) * 32, "sizeBytes": number, "format": "onnx"}
        body = {
            "apiVersion": "plimsoll.dev/v1alpha1",
            "kind": "ModelVersion",
            "metadata": {"name": f"digits-v{number}"},
        }
        boss.create("modelversions", body | {"spec": {"model": "digits", "artifact": artifact,
                                                      "metrics": {"accuracy": accuracy}}})  # fmt: skip
    shown = terminal.plimsoll("diff", "digits-v71", "72").output
    assert "accuracy   0.9    0.95   +0.05" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["status", "nothing"], 'Error: inferenceservices.plimsoll.dev "nothing" not found\n'),
        (["diff", "digits-v1000", "2"], 'Error: modelversions.plimsoll.dev "digits-v1000" not found\n'),
    ],
)
def test_what_is_not_there_is_said(terminal: Terminal, arguments: list[str], said: str) -> None:
    done = terminal.plimsoll(*arguments)
    assert (done.exit_code, done.output) == (1, said)


def test_the_archive_for_krew_holds_a_plugin_that_kubectl_runs_and_completes(
    terminal: Terminal, service: str, tmp_path: Path
) -> None:
    for name, content in build.files().items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def kubectl(*arguments: str) -> str:
        command = ["kubectl", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    where = ["--namespace", terminal.installed.administrator.namespace, *terminal.context]
    assert kubectl("plimsoll", "history", service, *where) == "no release has ended yet\n"
    assert service in kubectl("__complete", "plimsoll", "status", *where, "cli-").splitlines()
