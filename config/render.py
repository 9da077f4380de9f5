"""Render config/install.yaml from the chart: `python -m config.render` (helm: from PATH, else devcluster's)."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = ROOT / "config" / "install.yaml"
HEADER = "# Generated from charts/plimsoll by `make generate`. Do not edit.\n"


def helm() -> str:
    """Path of helm. Raises FileNotFoundError with the remedy."""
    told = subprocess.run(
        [sys.executable, str(ROOT / "devcluster"), "env"], capture_output=True, text=True, check=False
    )
    folders = [
        line.split("=", 1)[1].split(":")[0] for line in told.stdout.splitlines() if line.startswith("export PATH=")
    ]
    found = shutil.which("helm", path=":".join([os.environ["PATH"], *folders]))
    if found is None:
        raise FileNotFoundError("helm is missing: install it, or run `make cluster`, which brings one")
    return found


def rendered() -> str:
    """The chart as plain manifests for the namespace plimsoll-system, with a root Secret of the user's."""
    command = [helm(), "template", "plimsoll", str(ROOT / "charts" / "plimsoll"), "--namespace", "plimsoll-system"]
    command += ["--kube-version", "1.31.0", "--set", "store.existingSecret=plimsoll-store-root"]
    manifests = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return HEADER + manifests.replace("app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kustomize")


if __name__ == "__main__":
    TARGET.write_text(rendered())
