"""The pod template of a revision: what docs/contracts.md promises the server."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from plimsoll import names
from plimsoll.api.inferenceservice import Runtime
from plimsoll.api.modelversion import ModelVersionSpec
from plimsoll.core.drift import quantity
from plimsoll.facts import Settings

_USER_ID = 65532
_TMP_PATH = "/tmp"  # noqa: S108 - an emptyDir of the pod
_FETCH_RESOURCES = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}
_LOCKED_DOWN = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True, slots=True)
class Serving:
    """Everything that decides a pod template. `version` is the number as text."""

    service: str
    namespace: str
    version: str
    model: ModelVersionSpec
    runtime: Runtime


def template(serving: Serving, revision: str, settings: Settings) -> dict[str, Any]:
    """The pod template, named for `revision`; with an empty name it is what the revision's hash is taken of."""
    labels = names.labels(
        "serve", model=serving.model.model, version=serving.version, revision=revision, inferenceservice=serving.service
    )
    return {"metadata": {"labels": labels}, "spec": _pod_spec(serving, revision, settings)}


def _pod_spec(serving: Serving, revision: str, settings: Settings) -> dict[str, Any]:
    selector = {names.LABEL_INFERENCE_SERVICE: serving.service, names.LABEL_REVISION: revision}
    return {
        "serviceAccountName": names.SERVICE_ACCOUNTS["serve"],
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": serving.runtime.termination_grace_period_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER_ID,
            "runAsGroup": _USER_ID,
            "fsGroup": _USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **({"nodeSelector": dict(serving.runtime.node_selector)} if serving.runtime.node_selector else {}),
        # Always there, so that scaling from one replica to two is not another revision.
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector},
            }
        ],
        "initContainers": [_fetch(serving, settings)],
        "containers": [_server(serving, revision, settings)],
        "volumes": [
            {"name": "model", "emptyDir": {"sizeLimit": "3Gi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
            {"name": "route", "configMap": {"name": f"{serving.service}-route", "optional": True}},
            # Without it a pod signs prediction ids with a key of its own.
            {"name": "feedback", "secret": {"secretName": names.FEEDBACK_SECRET, "optional": True}},
        ],
    }


def _fetch(serving: Serving, settings: Settings) -> dict[str, Any]:
    return {
        "name": "fetch",
        "image": settings.serving_image,
        "imagePullPolicy": settings.image_pull_policy,
        "args": ["fetch"],
        "env": _variables(_artifact(serving)),
        "envFrom": [{"secretRef": {"name": names.STORE_SECRET}}],
        "resources": _FETCH_RESOURCES,
        # The status says why it failed, in the words of its log.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": _LOCKED_DOWN,
        "volumeMounts": [{"name": "model", "mountPath": names.MODEL_PATH}, {"name": "tmp", "mountPath": _TMP_PATH}],
    }


def _server(serving: Serving, revision: str, settings: Settings) -> dict[str, Any]:
    return {
        "name": "server",
        "image": settings.serving_image,
        "imagePullPolicy": settings.image_pull_policy,
        "env": _server_env(serving, revision),
        "ports": [
            {"name": "http", "containerPort": names.PORT_PUBLIC, "protocol": "TCP"},
            {"name": "direct", "containerPort": names.PORT_DIRECT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": names.PORT_METRICS, "protocol": "TCP"},
            {"name": "grpc", "containerPort": names.PORT_GRPC, "protocol": "TCP"},
            {"name": "grpc-direct", "containerPort": names.PORT_GRPC_DIRECT, "protocol": "TCP"},
        ],
        "resources": _resources(serving.runtime),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": _LOCKED_DOWN,
        "startupProbe": _probe("/healthz", period=1, failures=300),
        "readinessProbe": _probe("/readyz", period=1, failures=3),
        "livenessProbe": _probe("/healthz", period=10, failures=3),
        "volumeMounts": [
            {"name": "model", "mountPath": names.MODEL_PATH, "readOnly": True},
            {"name": "tmp", "mountPath": _TMP_PATH},
            {"name": "route", "mountPath": names.ROUTE_PATH, "readOnly": True},
            {"name": "feedback", "mountPath": names.FEEDBACK_PATH, "readOnly": True},
        ],
    }


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "metrics", "scheme": "HTTP"},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": 2,
    }


def _artifact(serving: Serving) -> dict[str, str]:
    model = serving.model
    profile = (
        {"PLIMSOLL_PROFILE_URI": model.profile.uri, "PLIMSOLL_PROFILE_SHA256": model.profile.sha256}
        if model.profile
        else {}
    )
    return {
        "PLIMSOLL_MODEL_NAME": model.model,
        "PLIMSOLL_MODEL_VERSION": serving.version,
        "PLIMSOLL_ARTIFACT_URI": model.artifact.uri,
        "PLIMSOLL_ARTIFACT_SHA256": model.artifact.sha256,
        "PLIMSOLL_MODEL_DIR": names.MODEL_PATH,
        **profile,
    }


def _server_env(serving: Serving, revision: str) -> list[dict[str, Any]]:
    """The user's variables first; those that the contract fixes cannot be overridden."""
    threads = serving.runtime.intra_op_threads
    fixed = {
        **_artifact(serving),
        "PLIMSOLL_REVISION": revision,
        "PLIMSOLL_SERVICE": serving.service,
        "PLIMSOLL_NAMESPACE": serving.namespace,
        "PLIMSOLL_ROUTE_PATH": f"{names.ROUTE_PATH}/{names.ROUTE_KEY}",
        "PLIMSOLL_FEEDBACK_KEY_FILE": f"{names.FEEDBACK_PATH}/{names.FEEDBACK_KEY}",
        **({"PLIMSOLL_INTRA_OP_THREADS": str(threads)} if threads else {}),
    }
    pod_name = {"name": "PLIMSOLL_POD", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}
    users = {
        variable.name: variable.value
        for variable in serving.runtime.env
        if variable.name not in {*fixed, "PLIMSOLL_POD"}
    }
    return [*_variables(users), *_variables(fixed), pod_name]


def _variables(values: dict[str, str]) -> list[dict[str, Any]]:
    """Without empty values: the API server drops them, and the template would differ for ever."""
    return [{"name": name, "value": value} if value else {"name": name} for name, value in values.items()]


def _resources(runtime: Runtime) -> dict[str, dict[str, str]]:
    asked = runtime.resources
    limit = asked.cpu_limit or _twice(asked.cpu)
    return {"requests": {"cpu": asked.cpu, "memory": asked.memory}, "limits": {"cpu": limit, "memory": asked.memory}}


def _twice(cpu: str) -> str:
    millis = (quantity(cpu) * 2 * Decimal(1000)).to_integral_value(rounding=ROUND_CEILING)
    return f"{millis}m"
