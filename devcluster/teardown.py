"""Ending a cluster so that nothing of it stays: pods, processes, mounts, links, firewall chains, cgroups, files."""

import os
import shutil
from pathlib import Path

from devcluster import images, mounts, network, parts, processes
from devcluster.commands import succeeds
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
    """Ask containerd to end every container, then end it and whatever still lives in its mount namespace."""
    if parts.running(paths, parts.CONTAINERD):
        tasks = images.ctr(paths, "tasks", "list", "--quiet").split()
        if tasks:
            # Some end by themselves meanwhile, so a complaint is no failure: the namespace is swept below.
            succeeds(images.ctr_command(paths, "tasks", "delete", "--force", *tasks))
    left = mounts.inhabitants(paths)
    parts.stop(paths, parts.CONTAINERD)
    processes.kill(left)


def _remove_cgroups() -> None:
    for top in {*CGROUPS.glob(POD_CGROUP), *CGROUPS.glob(f"*/{POD_CGROUP}")}:
        for folder, _, _ in os.walk(top, topdown=False):
            Path(folder).rmdir()


def _remove_files(paths: Paths) -> None:
    for link in Path("/var/log/containers").glob("*"):
        if link.is_symlink() and link.readlink().is_relative_to(paths.state):
            link.unlink()
    for result in Path("/var/lib/cni/results").glob(f"{CNI_NETWORK}-*"):
        result.unlink()
    for folder in map(Path, ("/var/log/containers", "/var/lib/cni/results", "/var/lib/cni")):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    if paths.state.exists():
        shutil.rmtree(paths.state)
