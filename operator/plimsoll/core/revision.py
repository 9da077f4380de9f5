"""A revision: one pod template, rendered once, kept in an immutable ControllerRevision, and the children made from it.

What identifies a revision for the user (`inputs`: model version, digest, runtime) is apart from what identifies its
pods (the hash of the template, which names it). So an upgrade of the operator, which brings other images, makes no new
revision: the new image is taken when a revision is made for another reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from plimsoll import names
from plimsoll.core.serving_pod import Serving, pooled, template
from plimsoll.facts import Manifest, Settings


@dataclass(frozen=True, slots=True)
class Revision:
    """What a ControllerRevision holds. `number` rises with each revision of the service, 0 until it is made."""

    name: str
    service: str
    namespace: str
    version: str
    digest: str
    inputs: str
    template: Mapping[str, Any]
    signature: Mapping[str, Any] | None = None
    number: int = 0

    @property
    def model(self) -> str:
        """The model's name."""
        return self.labels[names.LABEL_MODEL]

    @property
    def labels(self) -> dict[str, str]:
        """The labels of this revision's children."""
        return dict(self.template["metadata"]["labels"])

    @property
    def selector(self) -> dict[str, str]:
        """What picks this revision's pods."""
        return {names.LABEL_INFERENCE_SERVICE: self.service, names.LABEL_REVISION: self.name}


def inputs_hash(serving: Serving) -> str:
    """SHA-256 of what the user decided: version, digests and runtime, without the number of replicas.

    Defaults are left out, so that a field added later leaves the hash of existing services alone.
    """
    runtime = serving.runtime.model_dump(mode="json", exclude_defaults=True, exclude={"replicas"})
    model = serving.model
    profile = model.profile.sha256 if model.profile else None
    return sha256_of({
        "model": model.model, "version": serving.version, "digest": model.artifact.sha256, "profile": profile,
        "runtime": runtime,
    })  # fmt: skip


def render(serving: Serving, settings: Settings, signature: Mapping[str, Any] | None, number: int) -> Revision:
    """A new revision with the images of `settings`."""
    made = pooled if serving.runtime.pool else template
    name = f"{serving.service}-{sha256_of(made(serving, '', settings))[:8]}"
    return Revision(
        name=name, service=serving.service, namespace=serving.namespace, version=serving.version,
        digest=serving.model.artifact.sha256, inputs=inputs_hash(serving), template=made(serving, name, settings),
        signature=signature, number=number,
    )  # fmt: skip


def find(revisions: Iterable[Revision], inputs: str) -> Revision | None:
    """The newest stored revision with these inputs."""
    return max((one for one in revisions if one.inputs == inputs), key=lambda one: one.number, default=None)


def stored(revision: Revision) -> dict[str, Any]:
    """The ControllerRevision of a revision."""
    data = {
        "formatVersion": 1, "version": revision.version, "digest": revision.digest, "inputs": revision.inputs,
        "template": revision.template, "signature": revision.signature,
    }  # fmt: skip
    return {**_head("apps/v1", "ControllerRevision", revision), "data": data, "revision": revision.number}


def load(manifest: Manifest) -> Revision:
    """The revision that a ControllerRevision of ours holds. Raises KeyError when it is not one of ours."""
    data, meta = manifest["data"], manifest["metadata"]
    return Revision(
        name=meta["name"], service=data["template"]["metadata"]["labels"][names.LABEL_INFERENCE_SERVICE],
        namespace=meta["namespace"], version=data["version"], digest=data["digest"], inputs=data["inputs"],
        template=data["template"], signature=data.get("signature"), number=manifest["revision"],
    )  # fmt: skip


def baseline_name(stable: str, attempt: int) -> str:
    """The baseline of an attempt: never the name of another one, whose pods would not be fresh."""
    return f"{stable}-b{attempt}"


def renamed(revision: Revision, name: str) -> Revision:
    """What `revision` is, as pods of another name: labels, selectors and the server's own name follow.

    It is not to be stored: what is looked for by its inputs is the original.
    """
    return replace(revision, name=name, template=_with_name(revision.template, revision.name, name))


def _with_name(value: Any, old: str, new: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_name(one, old, new) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_name(one, old, new) for one in value]
    return new if value == old else value


def deployment(revision: Revision) -> dict[str, Any]:
    """The Deployment, without `replicas`: those are set through /scale."""
    spec = {
        "selector": {"matchLabels": revision.selector},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "revisionHistoryLimit": 1,
        "template": revision.template,
    }
    return {**_head("apps/v1", "Deployment", revision), "spec": spec}


def direct_service(revision: Revision) -> dict[str, Any]:
    """The Service of the ports that never delegate; delegated requests come by HTTP, those of gRPC too."""
    ports = [_port("direct", names.PORT_DIRECT), _grpc_port("grpc-direct", names.PORT_GRPC_DIRECT)]
    return {
        **_head("v1", "Service", revision),
        "spec": {"selector": revision.selector, "ports": ports, "type": "ClusterIP"},
    }


def _port(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "port": number, "targetPort": name, "protocol": "TCP"}


def _grpc_port(name: str, number: int) -> dict[str, Any]:
    """Pods of a revision that was made before there was gRPC have no such port: it leads to none of them then."""
    return {**_port(name, number), "appProtocol": "kubernetes.io/h2c"}


def disruption_budget(revision: Revision) -> dict[str, Any]:
    """At most one pod at a time is evicted; a pod that is broken anyway never blocks a node's drain."""
    spec = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": revision.selector},
    }
    return {**_head("policy/v1", "PodDisruptionBudget", revision), "spec": spec}


def public_service(service: str, namespace: str, model: str, primary: str) -> dict[str, Any]:
    """The Service that users call; its selector follows the primary and only saves a hop."""
    meta = {
        "name": service,
        "namespace": namespace,
        "labels": names.labels("serve", model=model, inferenceservice=service),
    }
    selector = {names.LABEL_INFERENCE_SERVICE: service, names.LABEL_REVISION: primary}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {"selector": selector, "ports": public_ports(), "type": "ClusterIP"},
    }


def public_ports() -> list[dict[str, Any]]:
    """Of the Service that users call."""
    return [_port("http", 80), _grpc_port("grpc", names.PORT_GRPC)]


def service_account(namespace: str) -> dict[str, Any]:
    """The account of serving pods: no rights, no token."""
    meta = {"name": names.SERVICE_ACCOUNTS["serve"], "namespace": namespace, "labels": names.labels("serve")}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta, "automountServiceAccountToken": False}


def _head(api_version: str, kind: str, revision: Revision) -> dict[str, Any]:
    meta = {"name": revision.name, "namespace": revision.namespace, "labels": revision.labels}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta}


def sha256_of(value: object) -> str:
    """SHA-256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
