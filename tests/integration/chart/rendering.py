"""The chart as helm renders it: needs helm (the development cluster brings one), but no cluster."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Any

import yaml

from config import render as plain

CHART = Path(__file__).resolve().parents[3] / "charts" / "plimsoll"
Manifest = dict[str, Any]

helm = functools.cache(plain.helm)


def render(*values: str, release: str = "plimsoll", namespace: str = "plimsoll-system") -> list[Manifest]:
    """Every manifest with `--set` of these values."""
    done = template(*values, release=release, namespace=namespace)
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def refusal(*values: str) -> str:
    """What helm says about these values, which it must refuse."""
    done = template(*values)
    assert done.returncode != 0, "helm accepted the values"
    return done.stderr


@functools.cache
def template(
    *values: str, release: str = "plimsoll", namespace: str = "plimsoll-system"
) -> subprocess.CompletedProcess[str]:
    flags = [part for value in values for part in ("--set", value)]
    command = [helm(), "template", release, str(CHART), "--namespace", namespace, *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """The one object of that kind and name."""
    found = [manifest for manifest in of_kind(manifests, kind) if manifest["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} {kind} are called {name}"
    return found[0]


def pod_of(manifests: list[Manifest], deployment: str) -> Manifest:
    """The pod's spec of a Deployment."""
    spec: Manifest = named(manifests, "Deployment", deployment)["spec"]["template"]["spec"]
    return spec
