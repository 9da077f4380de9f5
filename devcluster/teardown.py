"""Ending a cluster so that nothing of it stays: pods, processes, mounts, links, firewall chains, cgroups, files."""

import json
import os
import shutil
from pathlib import Path

from devcluster import network, parts, processes
from devcluster.commands import run, succeeds
from devcluster.network import CNI_NETWORK
from devcluster.paths import Paths
from devcluster.reporting import step

CGROUPS = Path("/sys/fs/cgroup")
POD_CGROUP = "kubepods"


def everything(paths: Paths) -> None:
    """Undo ``up``. Safe to repeat, and after a start that went half way."""
    with step("stopping the control plane and kubelet"):
        for part in reversed(parts.PARTS):
            if part is not parts.CONTAINERD:
                parts.stop(paths, part)
    with step("ending pods"):
        _end_pods(paths)
    with step("removing links, firewall chains, cgroups and files"):
        network.take_down(paths)
        _remove_cgroups()
        _remove_files(paths)


def _end_pods(paths: Paths) -> None:
    """Ask containerd to end every container, then end containerd and whatever still lives in its mount namespace."""
    process = parts.running(paths, parts.CONTAINERD)
    namespace_record = paths.run / "mount-namespace"
    if process:
        _remove_containers(paths)
    if namespace_record.exists():
        parts.stop(paths, parts.CONTAINERD)
        namespace = json.loads(namespace_record.read_text())
        if namespace["boot"] == processes.boot_id():
            processes.kill(processes.inhabitants(namespace["mnt"]))
    parts.stop(paths, parts.CONTAINERD)


def record_mount_namespace(paths: Paths) -> None:
    """Remember containerd's mount namespace: shims and pods outlive it and are known by that namespace."""
    process = parts.running(paths, parts.CONTAINERD)
    if process:
        record = {"boot": process.boot, "mnt": processes.mount_namespace(process.pid)}
        (paths.run / "mount-namespace").write_text(json.dumps(record))


def _remove_containers(paths: Paths) -> None:
    ctr = [*parts.in_containerd_mounts(paths), "ctr", "--address", paths.containerd_socket, "--namespace", "k8s.io"]
    tasks = run([*ctr, "tasks", "list", "--quiet"]).split()
    if tasks:
        # Some end by themselves meanwhile, so a complaint here is no failure: the namespace is swept afterwards.
        succeeds([*ctr, "tasks", "delete", "--force", *tasks])


def _remove_cgroups() -> None:
    for top in {*CGROUPS.glob(POD_CGROUP), *CGROUPS.glob(f"*/{POD_CGROUP}")}:
        for folder, _, _ in os.walk(top, topdown=False):
            os.rmdir(folder)


def _remove_files(paths: Paths) -> None:
    for link in Path("/var/log/containers").glob("*"):
        if link.is_symlink() and link.readlink().is_relative_to(paths.state):
            link.unlink()
    for result in Path("/var/lib/cni/results").glob(f"{CNI_NETWORK}-*"):
        result.unlink()
    for folder in ("/var/log/containers", "/var/lib/cni/results", "/var/lib/cni"):
        if os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)
    if paths.state.exists():
        shutil.rmtree(paths.state)
