"""Static volumes, so that claims bind without a provisioner; a released one is emptied before it is used again."""

import shutil
from pathlib import Path
from typing import Any

from devcluster.kubectl import apply, get, kubectl
from devcluster.paths import Paths

COUNT = 30
CAPACITY = "10Gi"
CLASS = "standard"


def storage_class() -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "Immediate",
        "reclaimPolicy": "Retain",
    }


def volume(name: str, folder: Path) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": CAPACITY},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "hostPath": {"path": str(folder), "type": "Directory"},
        },
    }


def names() -> list[str]:
    return [f"devcluster-{number:02d}" for number in range(COUNT)]


def create(paths: Paths) -> None:
    """Make the folders, the default StorageClass and the volumes; what exists stays as it is."""
    for name in names():
        _empty_folder(paths.volumes / name, keep=True)
    apply(paths, [storage_class(), *(volume(name, paths.volumes / name) for name in names())])


def recycle(paths: Paths) -> list[str]:
    """Empty every volume whose claim is gone and make it available again; returns their names."""
    recycled = released(get(paths, "persistentvolumes")["items"])
    for name in recycled:
        _empty_folder(paths.volumes / name, keep=False)
        patch = '[{"op": "remove", "path": "/spec/claimRef"}]'
        kubectl(paths, "patch", "persistentvolume", name, "--type", "json", "--patch", patch)
    return recycled


def released(volumes: list[dict[str, Any]]) -> list[str]:
    """Names of our volumes among ``volumes`` that lost their claim."""
    ours = set(names())
    return [
        item["metadata"]["name"]
        for item in volumes
        if item["metadata"]["name"] in ours and item.get("status", {}).get("phase") in ("Released", "Failed")
    ]


def _empty_folder(folder: Path, keep: bool) -> None:
    if folder.exists() and not keep:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)  # whichever user a pod runs as may write, as with a provisioned volume and fsGroup
