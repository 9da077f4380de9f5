"""Containers of Jobs: our programs, some with the credentials of the store, and users', never with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plimsoll import names
from plimsoll.api.common import Resources
from plimsoll.api.judges import JudgeJob
from plimsoll.api.trainingjob import TrainingJobSpec
from plimsoll.core.drift import quantity
from plimsoll.facts import Settings

USER = 65532
TMP = "/tmp"  # noqa: S108 an emptyDir of the pod
#: Our programs load scikit-learn or onnxruntime: less memory than this kills them.
_LEAST_MEMORY = "512Mi"
#: Of pods of Jobs.
POD_SECURITY: Mapping[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
#: The volume that a judge may write to, and its container's name.
SCRATCH: Mapping[str, Any] = {"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}}
JUDGE = "judge"
_PATHS = {"run": names.RUN_PATH, "inputs": names.INPUTS_PATH, "output": names.OUTPUT_PATH, "tmp": TMP}


def program(settings: Settings, verb: str, mounts: Sequence[str], wanted: Resources, *, store: bool) -> dict[str, Any]:
    """A container of our image that runs one verb. `mounts` are names of volumes; `:ro` makes one read-only.

    `store` gives it the credentials of the namespace's bucket.
    """
    container = _container("publish" if verb == "verify" else verb, settings.training_image, mounts)
    container |= {
        "imagePullPolicy": settings.image_pull_policy,
        "args": [verb],
        "env": _variables(
            PLIMSOLL_RUN=f"{names.RUN_PATH}/{names.RUN_KEY}",
            PLIMSOLL_INPUTS=names.INPUTS_PATH,
            PLIMSOLL_OUTPUT=names.OUTPUT_PATH,
            HOME=TMP,
        ),
        "resources": trainer_resources(wanted) if verb == "train" else _program_resources(wanted),
    }
    return container | ({"envFrom": [{"secretRef": {"name": names.STORE_SECRET}}]} if store else {})


def users_trainer(spec: TrainingJobSpec) -> dict[str, Any]:
    """The user's program: it sees the training rows and its own variables, nothing else."""
    trainer = spec.trainer.container
    assert trainer is not None
    fixed = {
        "PLIMSOLL_INPUTS": names.INPUTS_PATH,
        "PLIMSOLL_OUTPUT": names.OUTPUT_PATH,
        "PLIMSOLL_SEED": str(spec.seed),
        "PLIMSOLL_TARGET": spec.target,
    }
    own = {"HOME": TMP} | {variable.name: variable.value for variable in trainer.env}
    container = _container("train", trainer.image, ("inputs:ro", "output", "tmp"))
    container |= {"imagePullPolicy": "IfNotPresent", "env": _variables(**own | fixed)}
    container["resources"] = trainer_resources(spec.resources)
    container |= {"command": list(trainer.command)} if trainer.command else {}
    return container | ({"args": list(trainer.args)} if trainer.args else {})


def judge(job: JudgeJob, told: dict[str, str]) -> dict[str, Any]:
    """The user's program that judges a release: it sees what it is told and its own variables."""
    own = {"HOME": TMP} | {variable.name: variable.value for variable in job.env}
    container = _container(JUDGE, job.image, ("tmp",))
    container |= {"imagePullPolicy": "IfNotPresent", "env": _variables(**own | told)}
    container["resources"] = trainer_resources(job.resources)
    container |= {"command": list(job.command)} if job.command else {}
    return container | ({"args": list(job.args)} if job.args else {})


def trainer_resources(wanted: Resources) -> dict[str, Any]:
    """What the user asked for; the CPU limit is twice the request unless it is given."""
    limit = wanted.cpu_limit or f"{int(quantity(wanted.cpu) * 2000)}m"
    return {
        "requests": {"cpu": wanted.cpu, "memory": wanted.memory},
        "limits": {"cpu": limit, "memory": wanted.memory},
    }


def _program_resources(wanted: Resources) -> dict[str, Any]:
    """They handle the same rows as the trainer, so they get its memory, which the pod has anyway."""
    memory = max(wanted.memory, _LEAST_MEMORY, key=quantity)
    return {"requests": {"cpu": "100m", "memory": memory}, "limits": {"cpu": "1", "memory": memory}}


def _container(name: str, image: str, mounts: Sequence[str]) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [_mount(mount) for mount in mounts],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _mount(mount: str) -> dict[str, Any]:
    name, _, mode = mount.partition(":")
    read_only = {"readOnly": True} if mode == "ro" or name == "run" else {}
    return {"name": name, "mountPath": _PATHS[name]} | read_only


def _variables(**values: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in sorted(values.items())]
