"""A cgroup of our own above all pods, so that no other kubelet's pods are taken for ours, nor ours for its."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from devcluster.paths import Paths

CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")


def name(paths: Paths) -> str:
    """The cgroup's name: one for each state folder."""
    return f"plimsoll-devcluster-{hashlib.sha256(str(paths.state).encode()).hexdigest()[:8]}"


def create(paths: Paths) -> None:
    """Make the cgroup in every hierarchy; kubelet refuses a root that one of its controllers lacks."""
    for kind, mount in hierarchies(Path("/proc/self/mountinfo").read_text()):
        folder = mount / name(paths)
        folder.mkdir(exist_ok=True)
        if kind == "cgroup2":
            _delegate(mount)
        for file in CPUSET_FILES if kind == "cgroup" and (folder / CPUSET_FILES[0]).exists() else ():
            if not (folder / file).read_text().strip():  # cgroup v1 starts a cpuset empty, and then admits no process
                (folder / file).write_text((mount / file).read_text())


def remove(paths: Paths) -> None:
    """Remove it with everything below; only empty cgroups can be removed, so every process must have ended."""
    for _, mount in hierarchies(Path("/proc/self/mountinfo").read_text()):
        for folder, _, _ in os.walk(mount / name(paths), topdown=False):
            Path(folder).rmdir()


def hierarchies(mountinfo: str) -> Iterator[tuple[str, Path]]:
    """Type (cgroup or cgroup2) and mount point of each hierarchy (proc_pid_mountinfo(5))."""
    seen = set()
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, point = after.split()[0], Path(before.split()[4])
        if kind in ("cgroup", "cgroup2") and point not in seen:
            seen.add(point)
            yield kind, point


def _delegate(mount: Path) -> None:
    controllers = (mount / "cgroup.controllers").read_text().split()
    if controllers:
        (mount / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in controllers))
