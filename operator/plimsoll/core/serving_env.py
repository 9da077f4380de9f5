"""The environment of the containers that serve: what docs/contracts.md promises them, and what users add."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from plimsoll import names
from plimsoll.api.common import EnvVar
from plimsoll.api.modelversion import ModelVersionSpec
from plimsoll.api.runtime import Batching, PayloadLog


def artifact(model: ModelVersionSpec, version: str) -> dict[str, str]:
    """Which files are served, and as what."""
    profile = (
        {"PLIMSOLL_PROFILE_URI": model.profile.uri, "PLIMSOLL_PROFILE_SHA256": model.profile.sha256}
        if model.profile
        else {}
    )
    return {
        "PLIMSOLL_MODEL_NAME": model.model,
        "PLIMSOLL_MODEL_VERSION": version,
        "PLIMSOLL_ARTIFACT_URI": model.artifact.uri,
        "PLIMSOLL_ARTIFACT_SHA256": model.artifact.sha256,
        "PLIMSOLL_MODEL_DIR": names.MODEL_PATH,
        **profile,
    }


def threads(intra_op: int | None) -> dict[str, str]:
    """Threads of one inference; the server's own default without a number."""
    return {"PLIMSOLL_INTRA_OP_THREADS": str(intra_op)} if intra_op else {}


def execution_provider(name: str | None) -> dict[str, str]:
    """What ONNX Runtime runs the model on; the CPU without a name."""
    return {"PLIMSOLL_EXECUTION_PROVIDERS": name} if name else {}


def batching(asked: Batching | None) -> dict[str, str]:
    """Which requests share a run; what is not said is the server's default."""
    if asked is None:
        return {}
    size, delay = asked.max_batch_size, asked.max_delay_milliseconds
    return {
        **({"PLIMSOLL_MAX_BATCH_ROWS": str(size)} if size is not None else {}),
        **({"PLIMSOLL_BATCH_WINDOW_SECONDS": f"{delay / 1000:g}"} if delay is not None else {}),
    }


def payload_log(log: PayloadLog | None) -> dict[str, str]:
    """The sample of requests and answers that is sent elsewhere."""
    if log is None:
        return {}
    masked = {"PLIMSOLL_PAYLOAD_LOG_MASK": ",".join(log.mask)} if log.mask else {}
    share = f"{log.sample_percent / 100:g}"
    return {"PLIMSOLL_PAYLOAD_LOG": share, "PLIMSOLL_PAYLOAD_LOG_SINK": log.sink, **masked}


def payload_store(log: PayloadLog | None) -> list[dict[str, Any]]:
    """Where a payload log in a store goes, and with which keys: kubelet reads them, the operator never does."""
    if log is None or not log.sink.startswith("s3:"):
        return []
    return [
        *(_secret(name, name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
        *(_secret(name, name, optional=True) for name in ("AWS_ENDPOINT_URL", "AWS_REGION")),
        _secret("PLIMSOLL_PAYLOAD_LOG_CA", "ca.crt", optional=True),
    ]


def _secret(variable: str, key: str, **more: bool) -> dict[str, Any]:
    return {
        "name": variable,
        "valueFrom": {"secretKeyRef": {"name": names.PAYLOAD_LOG_SECRET, "key": key, **more}},
    }


def environment(users: Iterable[EnvVar], fixed: Mapping[str, str]) -> list[dict[str, Any]]:
    """The user's variables, those that the contract fixes, which cannot be overridden, and the pod's own name."""
    pod_name = {"name": "PLIMSOLL_POD", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}
    taken = {*fixed, "PLIMSOLL_POD"}
    theirs = {variable.name: variable.value for variable in users if variable.name not in taken}
    return [*variables(theirs), *variables(fixed), pod_name]


def variables(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Without empty values: the API server drops them, and the template would differ for ever."""
    return [{"name": name, "value": value} if value else {"name": name} for name, value in values.items()]
