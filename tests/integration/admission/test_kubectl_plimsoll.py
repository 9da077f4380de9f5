"""`kubectl plimsoll` on the real API server, through the admission policies, in the names of people with few rights."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
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
    """`kubectl` with the plugin on PATH, as an installed archive has it."""

    installed: Installed
    environment: dict[str, str]
    context: list[str]

    def kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["kubectl", *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )

    def plimsoll(self, *arguments: str, user: str = "") -> subprocess.CompletedProcess[str]:
        where = ["-n", self.installed.administrator.namespace, *self.context]
        return self.kubectl("plimsoll", *arguments, *where, *([f"--as={user}"] if user else []))

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


@pytest.fixture(scope="module")
def terminal(
    installed: Installed, cluster_access: ClusterAccess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Terminal]:
    """The plugin from the archive that Krew would install."""
    folder = tmp_path_factory.mktemp("plugin")
    for name, content in build.files().items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o755)
    environment = {
        "PATH": f"{folder}:{Path(helm()).parent}:{os.environ['PATH']}",
        "KUBECONFIG": cluster_access.kubeconfig,
        "HOME": str(folder),
    }
    yield Terminal(installed, environment, [f"--context={cluster_access.context}"] if cluster_access.context else [])


@pytest.fixture
def service(terminal: Terminal) -> str:
    return terminal.make()


def version_of(verb: str) -> list[str]:
    return ["--to=1"] if verb == "rollback" else []


# --- commands -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_who_has_the_verb_gives_the_command_in_their_own_name(terminal: Terminal, service: str, verb: str) -> None:
    done = terminal.plimsoll(verb, service, *version_of(verb), "--reason=the dashboards", "--wait=0s", user=verb)
    assert done.returncode == 0, done.stderr
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
    assert (done.returncode, done.stderr) == (
        1,
        "Error: metadata.annotations[plimsoll.dev/command]: editor may not abort here: ask for that verb on "
        "inferenceservices.plimsoll.dev (ClusterRole plimsoll-edit)\n",
    )
    assert commands.read(terminal.read(service)) is None


def test_nobody_gives_a_command_in_another_name_unless_they_act_for_others(terminal: Terminal, service: str) -> None:
    done = terminal.plimsoll("promote", service, "--wait=0s", "--by=ann", user="promote")
    assert done.returncode == 1
    assert "by must be your own user name, promote" in done.stderr
    assert terminal.plimsoll("promote", service, "--wait=0s", "--by=ann", user="git").returncode == 0


def test_a_promote_does_not_take_the_place_of_an_abort_that_nobody_read(terminal: Terminal, service: str) -> None:
    assert terminal.plimsoll("abort", service, "--wait=0s", "--id=first", user="abort").returncode == 0
    done = terminal.plimsoll("promote", service, "--wait=0s", user="promote")
    assert done.returncode == 1
    assert "abort by abort (id first) has not been read yet" in done.stderr
    terminal.write_status(service, commands=["first"])
    assert terminal.plimsoll("promote", service, "--wait=0s", user="promote").returncode == 0


def test_what_became_of_a_command_is_told_once_the_operator_wrote_it(terminal: Terminal, service: str) -> None:
    last = {"id": "mine", "verb": "pause", "by": "pause", "at": "2026-11-24T12:00:00Z"}
    refused = last | {"outcome": "Refused", "message": "nothing is being released"}
    terminal.write_status(service, commands=["mine"], lastCommand=refused)
    done = terminal.plimsoll("pause", service, "--id=mine", user="pause")
    assert (done.returncode, done.stderr) == (3, "Error: the operator refused pause: nothing is being released\n")


def test_a_write_onto_a_state_that_is_gone_is_a_conflict(terminal: Terminal, service: str) -> None:
    kubectl = Kubectl(
        str(Path(helm()).parent / "kubectl"),
        (f"--kubeconfig={terminal.environment['KUBECONFIG']}", f"-n={terminal.installed.administrator.namespace}",
         *terminal.context),
    )  # fmt: skip
    before = kubectl.get(SERVICES, service)["metadata"]["resourceVersion"]
    change = {"metadata": {"labels": {"a": "b"}, "resourceVersion": before}}
    kubectl.patch(SERVICES, service, change)
    with pytest.raises(Conflict):
        kubectl.patch(SERVICES, service, {"metadata": {"labels": {"a": "c"}, "resourceVersion": before}})


# --- looking ------------------------------------------------------------------------------------------------------------


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
    assert f"Verdict:   {reason}" in status.stdout, status.stderr
    assert "└── v1   stable, 100 %   r-1" in status.stdout
    assert json.loads(terminal.plimsoll("why", service, "-o", "json").stdout)["same"] is True
    assert reason in terminal.plimsoll("history", service).stdout
    assert terminal.plimsoll("wait", service, "--for=rolled-back", "--timeout=5s").stdout == "v1 serves\n"
    assert terminal.plimsoll("wait", service, "--for=promoted", "--timeout=5s").returncode == 3


def test_a_wait_sees_a_change_at_once(terminal: Terminal, service: str) -> None:
    where = ["-n", terminal.installed.administrator.namespace, *terminal.context]
    command = ["kubectl", "plimsoll", "wait", service, "--for=held", "--timeout=2m", *where]
    with subprocess.Popen(command, env=terminal.environment, stdout=subprocess.PIPE, text=True) as waiting:
        held = {"phase": "Held", "heldReason": "Paused", "reason": "paused by ann"}
        terminal.write_status(service, candidate={"revision": "r-2", "version": "2"}, attempt=1, **held)
        assert waiting.communicate(timeout=120)[0] == "held: Paused, paused by ann\n"
        assert waiting.returncode == 0


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
    assert "CommandRefused   1x" in terminal.plimsoll("events", service).stdout
    for number, accuracy in ((71, 0.9), (72, 0.95)):
        artifact = {"uri": "s3://b/m.onnx", "sha256": str(number) * 32, "sizeBytes": number, "format": "onnx"}
        body = {
            "apiVersion": "plimsoll.dev/v1alpha1",
            "kind": "ModelVersion",
            "metadata": {"name": f"digits-v{number}"},
        }
        boss.create("modelversions", body | {"spec": {"model": "digits", "artifact": artifact,
                                                      "metrics": {"accuracy": accuracy}}})  # fmt: skip
    shown = terminal.plimsoll("diff", "digits-v71", "72").stdout
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
    assert (done.returncode, done.stderr) == (1, said)


def test_kubectl_completes_the_plugin(terminal: Terminal, service: str) -> None:
    def answered(*words: str) -> list[str]:
        return terminal.kubectl("__complete", "plimsoll", *words).stdout.split()

    assert "promote" in answered("pro")
    where = ["--namespace", terminal.installed.administrator.namespace]
    assert service in answered("status", *where, "cli-")
