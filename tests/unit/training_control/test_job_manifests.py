"""The Jobs of a run: who may see what, and what no user can loosen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from plimsoll.api.common import Resources
from plimsoll.api.trainingjob import TrainingJobSpec
from plimsoll.core import jobs
from plimsoll.core.run import training_run
from plimsoll.facts import Settings

from tests.builders.training import Modifier, training_job, with_container, with_spec

LONGEST = "a" * 40


def made(*modifiers: Modifier, name: str = "digits") -> dict[str, dict[str, Any]]:
    """The three Jobs by component."""
    manifest = training_job(*modifiers, name=name)
    manifest["metadata"] |= {"uid": "u-1", "generation": 3}
    spec = TrainingJobSpec.model_validate(manifest["spec"])
    order = jobs.training_order(manifest, spec, training_run(manifest, spec), Settings(training_image="ours:1"))
    creates = {
        "train": jobs.train_job(order, spec),
        "publish": jobs.publish_job(order),
        "verify": jobs.verify_job(order, f"{name}-verify"),
    }
    return {component: dict(create.manifest) for component, create in creates.items()}


def pods(*modifiers: Modifier) -> Iterator[dict[str, Any]]:
    for job in made(*modifiers).values():
        yield job["spec"]["template"]["spec"]


def containers(*modifiers: Modifier) -> Iterator[dict[str, Any]]:
    for pod in pods(*modifiers):
        yield from (*pod.get("initContainers", ()), *pod["containers"])


def container(name: str, *modifiers: Modifier) -> dict[str, Any]:
    return next(one for one in containers(*modifiers) if one["name"] == name)


TRAINERS = pytest.mark.parametrize("trainer", [with_spec(), with_container()], ids=["sklearn", "container"])


@TRAINERS
def test_every_container_is_restricted(trainer: Modifier) -> None:
    for one in containers(trainer):
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }


@TRAINERS
def test_every_container_has_requests_and_limits(trainer: Modifier) -> None:
    for one in containers(trainer):
        for side in ("requests", "limits"):
            assert set(one["resources"][side]) == {"cpu", "memory"}, one["name"]


@TRAINERS
def test_no_pod_gets_a_token_or_the_environment_of_services(trainer: Modifier) -> None:
    for pod in pods(trainer):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["restartPolicy"] == "Never"
        assert pod["securityContext"]["runAsNonRoot"] is True


@TRAINERS
def test_every_scratch_volume_is_bounded(trainer: Modifier) -> None:
    for pod in pods(trainer):
        for volume in pod["volumes"]:
            assert "configMap" in volume or volume["emptyDir"]["sizeLimit"]


@TRAINERS
def test_only_programs_of_ours_get_the_credentials_of_the_store(trainer: Modifier) -> None:
    holders = {one["name"] for one in containers(trainer) if "envFrom" in one}
    assert holders == {"fetch", "upload", "publish"}
    assert all(one["image"] == "ours:1" for one in containers(trainer) if "envFrom" in one)


@TRAINERS
def test_the_trainer_reads_its_inputs_and_cannot_change_them(trainer: Modifier) -> None:
    mounts = {mount["name"]: mount for mount in container("train", trainer)["volumeMounts"]}
    assert mounts["inputs"] == {"name": "inputs", "mountPath": "/plimsoll/inputs", "readOnly": True}
    assert "readOnly" not in mounts["output"]
    assert "readOnly" not in {mount["name"]: mount for mount in container("fetch", trainer)["volumeMounts"]}["inputs"]


def test_a_program_of_the_users_sees_neither_the_run_nor_a_secret() -> None:
    train = container("train", with_container("example.org/trainer:1"))
    assert train["image"] == "example.org/trainer:1"
    assert {mount["name"] for mount in train["volumeMounts"]} == {"inputs", "output", "tmp"}
    assert {one["name"]: one["value"] for one in train["env"]} == {
        "EPOCHS": "3",
        "HOME": "/tmp",
        "PLIMSOLL_INPUTS": "/plimsoll/inputs",
        "PLIMSOLL_OUTPUT": "/plimsoll/output",
        "PLIMSOLL_SEED": "7",
        "PLIMSOLL_TARGET": "target",
    }


def test_a_users_variable_cannot_replace_one_of_ours() -> None:
    mine = {"image": "example.org/trainer:1", "env": [{"name": "PLIMSOLL_SEED", "value": "666"}]}
    train = container("train", with_spec(trainer={"container": mine}))
    assert [one["value"] for one in train["env"] if one["name"] == "PLIMSOLL_SEED"] == ["7"]


@pytest.mark.parametrize(
    ("trainer", "ours"),
    [(with_spec(), {"fetch", "train", "upload"}), (with_container(), {"fetch", "upload"})],
    ids=["sklearn", "container"],
)
def test_only_our_programs_may_end_a_job_as_the_users_mistake(trainer: Modifier, ours: set[str]) -> None:
    rules = made(trainer)["train"]["spec"]["podFailurePolicy"]["rules"]
    assert rules[0] == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert {rule["onExitCodes"]["containerName"] for rule in rules[1:]} == ours
    assert all(rule["onExitCodes"]["values"] == [2] and rule["action"] == "FailJob" for rule in rules[1:])


def test_names_of_jobs_fit_into_a_label() -> None:
    assert max(len(job["metadata"]["name"]) for job in made(name=LONGEST).values()) <= 63


def test_a_job_is_bounded_and_labelled() -> None:
    job = made(with_spec(backoffLimit=1, activeDeadlineSeconds=60))["train"]
    assert (job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == (1, 60)
    assert "ttlSecondsAfterFinished" not in job["spec"]
    assert job["metadata"]["labels"]["plimsoll.dev/trainingjob"] == "digits"
    assert job["spec"]["template"]["metadata"]["labels"] == job["metadata"]["labels"]
    assert job["metadata"]["annotations"]["plimsoll.dev/generation"] == "3"


@pytest.mark.parametrize(
    ("resources", "limits"),
    [
        ({"cpu": "500m", "memory": "2Gi"}, {"cpu": "1000m", "memory": "2Gi"}),
        ({"cpu": "0.25", "memory": "2Gi"}, {"cpu": "500m", "memory": "2Gi"}),
        ({"cpu": "1", "memory": "2Gi", "cpuLimit": "1"}, {"cpu": "1", "memory": "2Gi"}),
    ],
)
def test_the_trainer_gets_its_memory_and_twice_its_cpu(resources: dict[str, str], limits: dict[str, str]) -> None:
    Resources.model_validate(resources)
    assert container("train", with_spec(resources=resources))["resources"]["limits"] == limits


@pytest.mark.parametrize(("asked", "given"), [("256Mi", "512Mi"), ("1Gi", "1Gi"), ("2G", "2G")])
def test_our_programs_get_at_least_half_a_gibibyte(asked: str, given: str) -> None:
    publish = container("publish", with_spec(resources={"memory": asked}))
    assert publish["resources"]["limits"]["memory"] == given


def test_service_accounts_mount_no_token() -> None:
    account = jobs.service_account("demo", "train")
    assert account.adopt
    assert account.manifest["automountServiceAccountToken"] is False
    assert account.manifest["metadata"]["name"] == "plimsoll-train"
