"""The pod template of a revision: what docs/contracts.md promises the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import Any

from plimsoll import names
from plimsoll.api.common import Resources
from plimsoll.api.modelversion import ModelVersionSpec
from plimsoll.api.runtime import Runtime, ServingResources
from plimsoll.core import serving_env
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
#: Without it a pod signs prediction ids with a key of its own.
FEEDBACK_VOLUME = {"name": "feedback", "secret": {"secretName": names.FEEDBACK_SECRET, "optional": True}}


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
    settings = replace(settings, serving_image=_image(serving.runtime, settings))
    return {"metadata": {"labels": labels}, "spec": _pod_spec(serving, revision, settings)}


def _image(runtime: Runtime, settings: Settings) -> str:
    """The install's image that has what the model is to run on."""
    special = {
        "OpenVINOExecutionProvider": settings.serving_image_openvino,
        "CUDAExecutionProvider": settings.serving_image_cuda,
    }
    return special.get(runtime.execution_provider or "", settings.serving_image)


def pooled(serving: Serving, revision: str, _: Settings) -> dict[str, Any]:
    """What a revision in a pool is: no pods of its own, only files and how the pool's pods serve them."""
    assert serving.runtime.pool is not None
    pool, model = serving.runtime.pool.name, serving.model
    labels = names.labels(
        "serve",
        model=model.model,
        version=serving.version,
        revision=revision,
        inferenceservice=serving.service,
        pool=pool,
    )
    files = {"artifact": {"uri": model.artifact.uri, "sha256": model.artifact.sha256}}
    if model.profile:
        files["profile"] = {"uri": model.profile.uri, "sha256": model.profile.sha256}
    settings = {
        key: asked.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        for key, asked in (("batching", serving.runtime.batching), ("payloadLog", serving.runtime.payload_log))
        if asked is not None
    }
    return {"metadata": {"labels": labels}, "files": files, **({"settings": settings} if settings else {})}


@dataclass(frozen=True, slots=True)
class Frame:
    """What a pod's spec says apart from its containers; `selector` picks the pods to spread."""

    selector: Mapping[str, str]
    node_selector: Mapping[str, str]
    grace_seconds: int


def frame(what: Frame) -> dict[str, Any]:
    """Without rights, without privileges, spread over nodes."""
    return {
        "serviceAccountName": names.SERVICE_ACCOUNTS["serve"],
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": what.grace_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER_ID,
            "runAsGroup": _USER_ID,
            "fsGroup": _USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **({"nodeSelector": dict(what.node_selector)} if what.node_selector else {}),
        # Always there, so that scaling from one replica to two is not another revision.
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": dict(what.selector)},
            }
        ],
    }


def _pod_spec(serving: Serving, revision: str, settings: Settings) -> dict[str, Any]:
    selector = {names.LABEL_INFERENCE_SERVICE: serving.service, names.LABEL_REVISION: revision}
    runtime = serving.runtime
    return {
        **frame(Frame(selector, runtime.node_selector, runtime.termination_grace_period_seconds)),
        "initContainers": [_fetch(serving, settings)],
        "containers": [_server(serving, revision, settings)],
        "volumes": [
            {"name": "model", "emptyDir": {"sizeLimit": "3Gi"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
            {"name": "route", "configMap": {"name": f"{serving.service}-route", "optional": True}},
            FEEDBACK_VOLUME,
        ],
    }


def fetch_container(settings: Settings) -> dict[str, Any]:
    """The container that downloads, with the store's credentials."""
    return {
        "name": "fetch",
        "image": settings.serving_image,
        "imagePullPolicy": settings.image_pull_policy,
        "envFrom": [{"secretRef": {"name": names.STORE_SECRET}}],
        "resources": _FETCH_RESOURCES,
        # The status says why it failed, in the words of its log.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": _LOCKED_DOWN,
    }


def _fetch(serving: Serving, settings: Settings) -> dict[str, Any]:
    return {
        **fetch_container(settings),
        "args": ["fetch"],
        "env": serving_env.variables(serving_env.artifact(serving.model, serving.version)),
        "volumeMounts": [{"name": "model", "mountPath": names.MODEL_PATH}, {"name": "tmp", "mountPath": _TMP_PATH}],
    }


def server_container(settings: Settings, resources: Resources) -> dict[str, Any]:
    """The container that runs models, without the store's credentials."""
    return {
        "name": "server",
        "image": settings.serving_image,
        "imagePullPolicy": settings.image_pull_policy,
        "ports": [
            {"name": "http", "containerPort": names.PORT_PUBLIC, "protocol": "TCP"},
            {"name": "direct", "containerPort": names.PORT_DIRECT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": names.PORT_METRICS, "protocol": "TCP"},
            {"name": "grpc", "containerPort": names.PORT_GRPC, "protocol": "TCP"},
            {"name": "grpc-direct", "containerPort": names.PORT_GRPC_DIRECT, "protocol": "TCP"},
        ],
        "resources": _resources(resources),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": _LOCKED_DOWN,
        "startupProbe": _probe("/healthz", period=1, failures=300),
        "readinessProbe": _probe("/readyz", period=1, failures=3),
        "livenessProbe": _probe("/healthz", period=10, failures=3),
    }


def _server(serving: Serving, revision: str, settings: Settings) -> dict[str, Any]:
    return {
        **server_container(settings, serving.runtime.resources),
        "env": _server_env(serving, revision),
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


def _server_env(serving: Serving, revision: str) -> list[dict[str, Any]]:
    runtime = serving.runtime
    fixed = {
        **serving_env.artifact(serving.model, serving.version),
        "PLIMSOLL_REVISION": revision,
        "PLIMSOLL_SERVICE": serving.service,
        "PLIMSOLL_NAMESPACE": serving.namespace,
        "PLIMSOLL_ROUTE_PATH": f"{names.ROUTE_PATH}/{names.ROUTE_KEY}",
        "PLIMSOLL_FEEDBACK_KEY_FILE": f"{names.FEEDBACK_PATH}/{names.FEEDBACK_KEY}",
        **serving_env.execution_provider(runtime.execution_provider),
        **serving_env.threads(runtime.intra_op_threads),
        **serving_env.batching(runtime.batching),
        **serving_env.payload_log(runtime.payload_log),
    }
    return [*serving_env.environment(runtime.env, fixed), *serving_env.payload_store(runtime.payload_log)]


def _resources(asked: Resources) -> dict[str, dict[str, str]]:
    limit = asked.cpu_limit or _twice(asked.cpu)
    extended = asked.extended if isinstance(asked, ServingResources) else {}
    # Of devices, requests and limits are equal by Kubernetes' own rule.
    both = {"memory": asked.memory, **{name: str(count) for name, count in extended.items()}}
    return {"requests": {"cpu": asked.cpu, **both}, "limits": {"cpu": limit, **both}}


def _twice(cpu: str) -> str:
    millis = (quantity(cpu) * 2 * Decimal(1000)).to_integral_value(rounding=ROUND_CEILING)
    return f"{millis}m"
