"""What became of a Job, word for word."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from plimsoll.core.conditions import timestamp
from plimsoll.core.outcome import Report, lost_message, publish_message, report
from plimsoll.core.pods import STORE_REMEDY

from tests.builders.training import DIGEST, message_of, pod_of, result, terminated, waiting, with_container
from tests.builders.world import NOON
from tests.unit.training_control.test_job_manifests import made

NAME = "digits-99322581-train"
LATER = NOON + 60


def job(type_: str | None = None, reason: str = "", message: str = "", **status: Any) -> dict[str, Any]:
    manifest = made()["train"]
    manifest["metadata"] |= {"uid": "job-1", "creationTimestamp": timestamp(NOON)}
    if type_:
        condition = {"type": type_, "status": "True", "reason": reason, "message": message}
        status["conditions"] = [condition | {"lastTransitionTime": timestamp(NOON)}]
    return manifest | {"status": status}


def pod(phase: str, *containers: dict[str, Any], number: int = 0, **more: Any) -> dict[str, Any]:
    return pod_of(job(), number, {"phase": phase, "initContainerStatuses": list(containers), **more})


def error(reason: str, message: str) -> str:
    return json.dumps({"error": {"reason": reason, "message": message}})


LOGS = f"kubectl logs -n demo job/{NAME} -c train"
BACKOFF = ("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
POLICY = ("Failed", "PodFailurePolicy", f"Container train for pod demo/{NAME}-0 failed with exit code 2")

FAILURES: list[tuple[str, dict[str, Any], list[dict[str, Any]], str, str]] = [
    (
        "our program says what is wrong",
        job(*POLICY),
        [pod("Failed", terminated("train", 2, error("InvalidParameters", "C must be positive")))],
        "InvalidParameters",
        "train: C must be positive.",
    ),
    (
        "our program names a field",
        job(*POLICY),
        [pod("Failed", terminated("fetch", 2, error("InvalidParameters", "data.training.uri: it is not there")))],
        "InvalidParameters",
        "spec.data.training.uri: it is not there.",
    ),
    (
        "our program gives up on the world",
        job(*BACKOFF),
        [pod("Failed", terminated("train", 1, error("StoreUnavailable", "cannot read s3://a/b")))],
        "ContainerFailed",
        f"Container train failed with exit code 1: cannot read s3://a/b. See {LOGS}",
    ),
    (
        "a reason that is no reason",
        job(*POLICY),
        [pod("Failed", terminated("fetch", 2, error("bad reason!", "no such column")))],
        "InvalidInput",
        "fetch: no such column.",
    ),
    (
        "exit code 2 without a message",
        job(*POLICY),
        [pod("Failed", terminated("fetch", 2))],
        "InvalidInput",
        "fetch: it does not say what is wrong.",
    ),
    (
        "out of memory",
        job(*BACKOFF),
        [pod("Failed", terminated("train", 137, reason="OOMKilled"))],
        "OutOfMemory",
        "Container train needed more than its 512Mi of memory: raise spec.resources.memory.",
    ),
    (
        "every attempt failed",
        job(*BACKOFF),
        [pod("Failed", terminated("train", 1, "Traceback\nValueError: no rows"), number=n) for n in range(3)],
        "ContainerFailed",
        f"Container train failed in 3 attempts, the last time with exit code 1: ValueError: no rows. See {LOGS}",
    ),
    (
        "the pod was evicted",
        job(*BACKOFF),
        [pod("Failed", reason="Evicted", message='Usage of EmptyDir volume "output" exceeds the limit "3Gi"')],
        "Evicted",
        f'Pod {NAME}-0 was evicted: Usage of EmptyDir volume "output" exceeds the limit "3Gi".',
    ),
    (
        "the node went away",
        job(*BACKOFF),
        [pod("Failed", reason="NodeLost")],
        "PodFailed",
        f"Pod {NAME}-0 failed: NodeLost.",
    ),
    (
        "the deadline passed",
        job("Failed", "DeadlineExceeded", "Job was active longer than specified deadline"),
        [],
        "DeadlineExceeded",
        f"Job {NAME} ran past its deadline of 3600 s: raise spec.activeDeadlineSeconds, or give it less to do.",
    ),
    (
        "the pods are gone",
        job(*POLICY),
        [],
        "PodFailurePolicy",
        f"Job {NAME} failed: Container train for pod demo/{NAME}-0 failed with exit code 2.",
    ),
]


@pytest.mark.parametrize(
    ("manifest", "pods", "reason", "message"), [row[1:] for row in FAILURES], ids=[r[0] for r in FAILURES]
)
def test_a_failure_has_a_reason_and_a_remedy(
    manifest: dict[str, Any], pods: list[dict[str, Any]], reason: str, message: str
) -> None:
    assert report(manifest, pods, LATER) == Report("Failed", reason, message)


def _unschedulable(one: dict[str, Any]) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    one["status"]["conditions"] = [condition | {"message": "0/1 nodes are available: 1 Insufficient cpu"}]
    return one


PULL = (
    "The image ours:1 of container train cannot be pulled: check its name and who may pull it. "
    "The Job waits for it until its deadline of 3600 s."
)
WAITING: list[tuple[str, list[dict[str, Any]], str, str]] = [
    ("pulling failed", [pod("Pending", waiting("train", "ErrImagePull", "no such host"))], "ImagePullBackOff", PULL),
    ("pulling is put off", [pod("Pending", waiting("train", "ImagePullBackOff"))], "ImagePullBackOff", PULL),
    (
        "a Secret is missing",
        [pod("Pending", waiting("fetch", "CreateContainerConfigError", 'secret "plimsoll-store" not found'))],
        "ContainerCannotStart",
        f'Container fetch cannot start: secret "plimsoll-store" not found. {STORE_REMEDY}',
    ),
    (
        "no node has room",
        [_unschedulable(pod("Pending"))],
        "Unschedulable",
        f"No node takes pod {NAME}-0: 0/1 nodes are available: 1 Insufficient cpu. "
        "Ask for less in spec.resources, or add a node; it runs as soon as one has room.",
    ),
    (
        "no pod at all",
        [],
        "NoPods",
        f"Job {NAME} has had no pod for 30 s: a quota, a limit range or an admission policy may refuse it. "
        f"See kubectl describe job -n demo {NAME}",
    ),
]


@pytest.mark.parametrize(("pods", "reason", "message"), [row[1:] for row in WAITING], ids=[row[0] for row in WAITING])
def test_what_a_job_waits_for_is_said(pods: list[dict[str, Any]], reason: str, message: str) -> None:
    assert report(job(), pods, LATER) == Report("Waiting", reason, message)


def test_a_repeated_attempt_is_said() -> None:
    pods = [pod("Failed", terminated("train", 1, "boom")), pod("Running", number=1)]
    assert report(job(), pods, LATER) == Report(
        "Running", "Retrying", f"Container train failed with exit code 1: boom. See {LOGS} Attempt 2 of 3 is under way."
    )


@pytest.mark.parametrize(
    ("manifest", "now", "expected"),
    [
        (None, NOON, Report("Absent")),
        (job("Complete"), NOON, Report("Complete")),
        (job("FailureTarget", "BackoffLimitExceeded"), NOON, Report("Ending")),
        (job(), NOON + 10, Report("Running", look_again=20.0)),
        (job(*BACKOFF), NOON + 10, Report("Running", look_again=2.0)),
        (job() | {"spec": job()["spec"] | {"suspend": True}}, LATER, Report("Suspended")),
    ],
    ids=["absent", "complete", "about to fail", "no pod yet", "failed, pods not seen yet", "suspended"],
)
def test_states_of_a_job(manifest: dict[str, Any] | None, now: float, expected: Report) -> None:
    assert report(manifest, [], now) == expected


def test_a_program_of_the_users_cannot_speak_for_us() -> None:
    manifest = job(*BACKOFF) | {"spec": made(with_container())["train"]["spec"]}
    ended = pod("Failed", terminated("train", 2, error("Published", "all is well")))
    assert report(manifest, [ended], LATER).reason == "ContainerFailed"


def test_control_characters_of_a_log_are_left_out() -> None:
    ended = pod("Failed", terminated("train", 1, "\x1b[31mred\x1b[0m\x00"))
    assert "[31mred[0m" in report(job(*BACKOFF), [ended], LATER).message
    assert "\x1b" not in report(job(*BACKOFF), [ended], LATER).message


def _publish_pod(container: str = "publish", code: int = 0, message: str | None = None) -> dict[str, Any]:
    text = message_of(result("0" * 16)) if message is None else message
    return pod("Succeeded", terminated(container, code, text))


def test_a_verdict_is_read_from_the_publish_container() -> None:
    found = publish_message([_publish_pod()])
    assert found is not None
    assert (found.verdict, found.digest) == ("Passed", DIGEST)


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda: _publish_pod(container="train"),
        lambda: _publish_pod(code=1),
        lambda: _publish_pod(message=""),
        lambda: _publish_pod(message="Passed"),
        lambda: _publish_pod(message='{"verdict": "Passed"}'),
        lambda: _publish_pod(message='{"verdict": "Great", "digest": null, "result": "' + "0" * 64 + '"}'),
        lambda: _publish_pod(message='{"verdict": "Passed", "digest": null, "result": "' + "G" * 64 + '"}'),
        lambda: _publish_pod(message=message_of(result("0" * 16))[:-1] + ', "more": 1}'),
        lambda: _publish_pod(message=message_of(result("0" * 16)) + " " * 400),
    ],
    ids=["container", "exit code", "empty", "no JSON", "no digest", "verdict", "no hex", "more", "too long"],
)
def test_anything_else_is_no_verdict(spoiled: Callable[[], dict[str, Any]]) -> None:
    assert publish_message([spoiled()]) is None


def test_a_verdict_counts_as_lost_only_when_the_cache_had_time() -> None:
    done = job("Complete", completionTime=timestamp(NOON))
    assert not lost_message(done, NOON + 15)
    assert lost_message(done, NOON + 16)
