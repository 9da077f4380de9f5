"""Which cluster the demo and the tests use: one that exists, kind where Docker answers, else devcluster/."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

from demo.shell import ROOT, Kubernetes, Stop, say, step

IMAGES = ("operator", "serving", "training")
KIND_NAME = "plimsoll"
KIND_BASE = "docker.io/library/python:3.12-slim"


def ready(context: str | None) -> Kubernetes:
    """A cluster that answers, with the images in it (an existing one of yours must be able to pull them)."""
    if context:
        return _existing(context)
    if _docker_answers():
        return _kind()
    return _devcluster()


def image_values(kubernetes: Kubernetes) -> list[str]:
    """Helm flags for the images, as this cluster has them."""
    if registry := os.environ.get("REGISTRY"):
        return ["--set", f"image.registry={registry.rstrip('/')}/"]
    values = ["image.registry=localhost/", "image.pullPolicy=IfNotPresent"]
    values += [f"image.{name}.tag=dev" for name in IMAGES]
    if not kubernetes.context or kubernetes.context == f"kind-{KIND_NAME}":
        values += ["image.store.repository=plimsoll-store", "image.store.tag=dev"]
    return [part for value in values for part in ("--set", value)]


def _existing(context: str) -> Kubernetes:
    kubeconfig = pathlib.Path(os.environ.get("KUBECONFIG", "~/.kube/config").split(":")[0]).expanduser()
    kubernetes = Kubernetes(kubeconfig, context)
    with step(f"Cluster: the context {context}"):
        kubernetes.kubectl("get", "--raw", "/readyz")
    if not os.environ.get("REGISTRY"):
        say("   REGISTRY is not set: the nodes must already have the images localhost/plimsoll-*:dev")
    return kubernetes


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def _kind() -> Kubernetes:
    if shutil.which("kind") is None:
        raise Stop(
            "Docker answers but kind is missing: `go install sigs.k8s.io/kind@latest`, or name a cluster with CONTEXT=…"
        )
    kubeconfig = ROOT / "build" / "kind.kubeconfig"
    kubeconfig.parent.mkdir(exist_ok=True)
    environment = os.environ | {"KUBECONFIG": str(kubeconfig)}
    with step("Cluster: kind with kind-config.yaml"):
        names = subprocess.run(["kind", "get", "clusters"], capture_output=True, text=True, check=True).stdout.split()
        verb = (
            ["export", "kubeconfig"]
            if KIND_NAME in names
            else ["create", "cluster", "--config", str(ROOT / "kind-config.yaml")]
        )
        subprocess.run(["kind", *verb, "--name", KIND_NAME], env=environment, check=True)
    with step("Images, built by Docker and loaded into kind"):
        for name in IMAGES:
            _docker_build(f"{name}/Containerfile", f"localhost/plimsoll-{name}:dev", KIND_BASE)
        subprocess.run(["docker", "pull", "versity/versitygw:v1.8.0"], check=True)
        subprocess.run(["docker", "tag", "versity/versitygw:v1.8.0", "localhost/plimsoll-store:dev"], check=True)
        images = [f"localhost/plimsoll-{name}:dev" for name in (*IMAGES, "store")]
        subprocess.run(["kind", "load", "docker-image", "--name", KIND_NAME, *images], env=environment, check=True)
    return Kubernetes(kubeconfig, f"kind-{KIND_NAME}")


def _docker_build(containerfile: str, tag: str, base: str) -> None:
    command = ["docker", "build", "-q", "-f", containerfile, "--build-arg", f"BASE={base}", "-t", tag, "."]
    subprocess.run(command, cwd=ROOT, check=True)


def _devcluster() -> Kubernetes:
    for verb in (["up"], ["images"]):
        if subprocess.run([sys.executable, str(ROOT / "devcluster"), *verb], check=False).returncode:
            raise Stop(f"devcluster {verb[0]} did not finish: its last lines above say why")
    told = subprocess.run([sys.executable, str(ROOT / "devcluster"), "env"], capture_output=True, text=True, check=True)
    exports = dict(line.removeprefix("export ").split("=", 1) for line in told.stdout.splitlines())
    return Kubernetes(pathlib.Path(exports["KUBECONFIG"]), None, exports["PATH"].split(":")[0])
