"""Ending a cluster so that nothing of it stays: pods, processes, mounts, links, firewall chains, cgroups, files."""

import shutil

from devcluster import cgroups, images, mounts, network, parts, processes
from devcluster.commands import succeeds
from devcluster.paths import Paths
from devcluster.reporting import step


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
        cgroups.remove(paths)
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


def _remove_files(paths: Paths) -> None:
    for folder in mounts.covered(paths):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    if paths.state.exists():
        shutil.rmtree(paths.state)
