"""Kubernetes objects as JSON has them, and what an install decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: A Kubernetes object as JSON has it.
Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ref:
    """Which object: `api_version` as in manifests, `kind`, `namespace`, `name`."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Manifest) -> Ref:
        meta = manifest["metadata"]
        return cls(manifest["apiVersion"], manifest["kind"], meta.get("namespace", ""), meta["name"])


@dataclass(frozen=True, slots=True)
class Settings:
    """What the install decides. `namespaces` is empty for the whole cluster."""

    namespace: str = "plimsoll-system"
    namespaces: tuple[str, ...] = ()
    serving_image: str = "localhost/plimsoll-serving:dev"
    #: Of services that ask for these execution providers.
    serving_image_openvino: str = "localhost/plimsoll-serving-openvino:dev"
    serving_image_cuda: str = "localhost/plimsoll-serving-cuda:dev"
    training_image: str = "localhost/plimsoll-training:dev"
    image_pull_policy: str = "IfNotPresent"
    cluster_domain: str = "cluster.local"
    #: Address of the install's Prometheus; empty when there is none.
    prometheus_url: str = ""
    #: Added to every query of that server with the namespace as its value, for a proxy that enforces it.
    prometheus_namespace_parameter: str = ""
    #: Whether users may send PromQL of their own.
    allow_custom_queries: bool = False
    #: Hosts beyond the Services of their own namespace that users may have the operator ask: shell patterns, https
    #: unless they begin with http://.
    allowed_hosts: tuple[str, ...] = ()
