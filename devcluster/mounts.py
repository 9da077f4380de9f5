"""containerd's mount namespace: it holds every mount of every pod, and is how shims and pods are known as ours."""

import json
import os
import shlex
from pathlib import Path

from devcluster import processes
from devcluster.commands import Argv
from devcluster.paths import Paths
from devcluster.reporting import DevclusterError


def remember(paths: Paths, process: processes.Process) -> None:
    """Record the namespace of ``process``: shims, pods and kubelet live on in it when containerd ends.

    Raises DevclusterError when it is the host's own, whose inhabitants must never be ended with the cluster.
    """
    namespace = processes.mount_namespace(process.pid)
    if namespace == processes.mount_namespace(os.getpid()):
        raise DevclusterError("containerd shares the host's mounts; run `python3 devcluster restart containerd`.")
    record = {"boot": process.boot, "namespace": namespace}
    (paths.run / "mount-namespace.json").write_text(json.dumps(record))


def inhabitants(paths: Paths) -> list[processes.Process]:
    """Every process in the namespace, and every descendant of one (pods have namespaces of their own below it)."""
    namespace = _recorded(paths)
    if namespace is None:
        return []
    pids = processes.all_pids()
    parents = {pid: processes.parent(pid) for pid in pids}
    family = {pid for pid in pids if processes.mount_namespace(pid) == namespace}
    while found := {pid for pid, above in parents.items() if above in family and pid not in family}:
        family |= found
    return [process for pid in sorted(family) if (process := processes.identify(pid))]


def entry(paths: Paths) -> Argv:
    """The prefix that runs a command in the namespace.

    Raises DevclusterError when nobody lives there.
    """
    namespace = _recorded(paths)
    for pid in processes.all_pids():
        if namespace is not None and processes.mount_namespace(pid) == namespace:
            return ["nsenter", "--target", str(pid), "--mount"]
    raise DevclusterError("the cluster is not up; run `python3 devcluster up`.")


def new_or_same(paths: Paths) -> Argv:
    """The prefix for containerd: the namespace that still holds pods if there is one, else a new one.

    kubelet needs shared propagation, and the host's root mount may be private. Folders that the parts write to and that
    no setting moves are covered by folders of the state.
    """
    try:
        return entry(paths)
    except DevclusterError:
        covers = [f"mount --bind {shlex.quote(str(ours))} {theirs}" for theirs, ours in covered(paths).items()]
        script = " && ".join(["mount --make-rshared /", *covers, 'exec "$@"'])
        return ["unshare", "--mount", "sh", "-c", script, "sh"]


def covered(paths: Paths) -> dict[Path, Path]:
    """Fixed folders of the CNI library, kubelet and containerd's shims, each with the one of ours that covers it."""
    return {
        Path("/var/lib/cni"): paths.state / "cni-results",
        Path("/var/log/containers"): paths.logs / "containers",
        Path("/run/containerd"): paths.run / "containerd",
    }


def make_covered(paths: Paths) -> None:
    for theirs, ours in covered(paths).items():
        theirs.mkdir(parents=True, exist_ok=True)
        ours.mkdir(parents=True, exist_ok=True)


def _recorded(paths: Paths) -> str | None:
    record = paths.run / "mount-namespace.json"
    if not record.exists():
        return None
    content: dict[str, str] = json.loads(record.read_text())
    return content["namespace"] if content["boot"] == processes.boot_id() else None
