"""Waiting for an object, with a kubectl that says what a script tells it to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from demo import watch
from demo.shell import Kubernetes, Stop


def event(type_: str, phase: str) -> str:
    return json.dumps({"type": type_, "object": {"kind": "Model", "status": {"phase": phase}}})


def cluster(folder: Path, *watches: str) -> Kubernetes:
    """Each watch is a script that runs when it is begun; whatever else is asked is answered by nothing."""
    for number, script in enumerate(watches):
        (folder / f"watch-{number}").write_text(script)
    program = folder / "kubectl"
    program.write_text(
        f"""#!/bin/sh
        cd {folder}
        case "$*" in *--watch*) ;; *) exit 0 ;; esac
        echo "$*" >> asked
        . ./watch-$(($(wc -l < asked) - 1))
        """
    )
    program.chmod(0o755)
    return Kubernetes(folder / "kubeconfig", None, str(folder))


def says(*events: str, then: str = "exec sleep 60") -> str:
    return "\n".join([*(f"echo '{one}'" for one in events), then])


def until(kubernetes: Kubernetes, phase: str, seconds: float = 30) -> dict[str, Any]:
    return watch.until(
        kubernetes, "team-a", "model", "m", lambda found: found["status"]["phase"] == phase, seconds=seconds
    )


def test_an_object_is_waited_for_through_its_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kubernetes = cluster(tmp_path, says(event("ADDED", "Pending"), event("MODIFIED", "Ready"), event("MODIFIED", "X")))
    assert until(kubernetes, "Ready")["status"] == {"phase": "Ready"}
    assert capsys.readouterr().out.split() == ["model/m:", "Pending", "model/m:", "Ready"]
    assert "-n team-a get model --field-selector=metadata.name=m" in (tmp_path / "asked").read_text()


def test_a_watch_that_the_server_ends_is_begun_again(tmp_path: Path) -> None:
    kubernetes = cluster(tmp_path, says(event("ADDED", "Pending"), then="exit 0"), says(event("ADDED", "Ready")))
    assert until(kubernetes, "Ready")["kind"] == "Model"


def test_what_was_deleted_is_not_there_until_it_is_made_again(tmp_path: Path) -> None:
    events = [("ADDED", "Pending"), ("DELETED", "Ready"), ("BOOKMARK", "Ready"), ("ADDED", "Made again")]
    kubernetes, seen = cluster(tmp_path, says(*(event(*one) for one in events))), []

    def done(found: dict[str, Any]) -> bool:
        seen.append(found["status"]["phase"])
        return seen[-1] == "Made again"

    watch.until(kubernetes, "team-a", "model", "m", done, seconds=30)
    assert seen == ["Pending", "Made again"]


def test_what_does_not_come_in_time_is_named(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="model/m is not there after 0 s"):
        until(cluster(tmp_path, says()), "Ready", seconds=0.1)


def test_a_kubectl_that_cannot_go_on_is_heard(tmp_path: Path) -> None:
    kubernetes = cluster(tmp_path, "echo no such resource >&2; exit 1")
    with pytest.raises(Stop, match="no such resource"):
        until(kubernetes, "Ready")
