"""Envoy Gateway on the development cluster, by the chart of its makers, and one Gateway that it runs an Envoy for."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.shell import Kubernetes, Stop
from devcluster.build import GATEWAY, module
from devcluster.paths import Paths

SYSTEM = "gateways"
NAME = "public"
IMAGE = "localhost/plimsoll-gateway:dev"
_OWNER = f"gateway.envoyproxy.io/owning-gateway-name={NAME}"


@dataclass(frozen=True)
class RealGateway:
    """The Gateway `public`; `host` leads to its Envoy inside the cluster, `address` from this machine."""

    host: str
    address: str


@contextlib.contextmanager
def installed(kubernetes: Kubernetes, folder: Path) -> Iterator[RealGateway]:
    """Envoy Gateway and its Gateway, with the CRDs that come with them; all of it is gone afterwards.

    Raises Stop on a cluster that has the Gateway API already: it is somebody's.
    """
    if kubernetes.kubectl("get", "crd", "httproutes.gateway.networking.k8s.io", "--ignore-not-found").strip():
        raise Stop("this cluster has the Gateway API already: the test would remove it")
    chart = _chart(folder)
    try:
        _helm(kubernetes, "install", "eg", str(chart), "--create-namespace", "--wait", "--timeout", "4m",
              "--set", "topologyInjector.enabled=false")  # fmt: skip
        kubernetes.kubectl("apply", "-f", "-", stdin=as_list(_gateway()))
        kubernetes.kubectl("-n", SYSTEM, "wait", "gateway", NAME, "--for=condition=Programmed", "--timeout=180s")
        services = json.loads(kubernetes.kubectl("-n", SYSTEM, "get", "services", "-l", _OWNER, "-o", "json"))["items"]
        (service,) = services
        yield RealGateway(f"{service['metadata']['name']}.{SYSTEM}.svc", service["spec"]["clusterIP"])
    finally:
        _remove(kubernetes, chart)


def failures(kubernetes: Kubernetes) -> list[str]:
    """Lines of Envoy's access log with a status of 500 or more, as long as it keeps them."""
    log = kubernetes.kubectl("-n", SYSTEM, "logs", "-l", _OWNER, "-c", "envoy", "--tail=-1", check=False)
    return [line for line in log.splitlines() if '"response_code":5' in line]


def as_list(items: list[dict[str, Any]]) -> str:
    """For `kubectl apply -f -`."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _remove(kubernetes: Kubernetes, chart: Path) -> None:
    kubernetes.kubectl("-n", SYSTEM, "delete", "gateway", NAME, "--ignore-not-found", "--timeout=60s", check=False)
    kubernetes.kubectl("delete", "gatewayclass", NAME, "--ignore-not-found", "--timeout=60s", check=False)
    _helm(kubernetes, "uninstall", "eg", "--ignore-not-found", "--wait", "--timeout", "2m")
    # Helm leaves CRDs of a chart's crds folder where they are.
    for part in sorted((chart / "charts" / "crds" / "crds").rglob("*.yaml")):
        kubernetes.kubectl("delete", "-f", str(part), "--ignore-not-found", "--timeout=60s")
    kubernetes.kubectl("delete", "namespace", SYSTEM, "--ignore-not-found", "--wait=false")


def _helm(kubernetes: Kubernetes, *words: str) -> None:
    kubernetes.run("helm", *words, "--namespace", SYSTEM)


def _chart(folder: Path) -> Path:
    """The chart of the very version that the program is built from; a release of it only fills in the image."""
    source = module(Paths.from_environment(), GATEWAY, "github.com/envoyproxy/gateway") / "charts" / "gateway-helm"
    chart = folder / "gateway-helm"
    shutil.copytree(source, chart, copy_function=shutil.copyfile)
    for made in (chart, *(path for path in chart.rglob("*") if path.is_dir())):
        made.chmod(0o755)  # the folders of Go's module cache are read-only
    values = (chart / "values.tmpl.yaml").read_text()
    values = values.replace("${GatewayImagePullPolicy}", "IfNotPresent").replace("${GatewayImage}", IMAGE)
    (chart / "values.yaml").write_text(values)
    return chart


def _gateway() -> list[dict[str, Any]]:
    group = "gateway.networking.k8s.io"
    container = {"image": IMAGE, "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}}}
    proxy = {"envoyService": {"type": "ClusterIP"}, "envoyDeployment": {"container": container}}
    parameters = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": NAME, "namespace": SYSTEM}
    listener = {"name": "web", "protocol": "HTTP", "port": 80, "allowedRoutes": {"namespaces": {"from": "All"}}}
    return [
        {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "EnvoyProxy",
            "metadata": {"name": NAME, "namespace": SYSTEM},
            "spec": {"provider": {"type": "Kubernetes", "kubernetes": proxy}},
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "GatewayClass",
            "metadata": {"name": NAME},
            "spec": {"controllerName": "gateway.envoyproxy.io/gatewayclass-controller", "parametersRef": parameters},
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "Gateway",
            "metadata": {"name": NAME, "namespace": SYSTEM},
            "spec": {"gatewayClassName": NAME, "listeners": [listener]},
        },
    ]
