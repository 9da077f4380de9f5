"""Bringing the cluster up, step by step; each step is skipped when its result is there already."""

from devcluster import build, cgroups, checks, config, images, mounts, network, parts, pki, volumes
from devcluster.kubectl import get, kubectl
from devcluster.network import NODE_NAME
from devcluster.paths import Paths
from devcluster.reporting import DevclusterError, say, settles, step

CLIENTS = ["kubectl", "helm"]
SERVERS = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns"]


def up(paths: Paths) -> None:
    """Bring every part up and wait until the node is Ready; a repetition mends what is missing and changes nothing."""
    checks.everything(paths.cache, paths.state)
    binary = build.binary(paths, build.KUBE)
    with step("certificates and configuration"):
        config.write(paths)
        pki.create(paths)
        for name in (*CLIENTS, *SERVERS):
            _link(paths, name, str(binary))
    with step("bridge, addresses, cgroup"):
        network.bring_up(paths)
        cgroups.create(paths)
        mounts.make_covered(paths)
    for part in parts.PARTS:
        _start(paths, part)
    with step(f"node {NODE_NAME} Ready"):
        if not settles(lambda: node_ready(paths), 120, 0.3):
            raise DevclusterError("the node is not Ready after 120 s; `python3 devcluster logs kubelet` says why.")
    with step("storage class and volumes"):
        volumes.create(paths)
        volumes.recycle(paths)
    say(f'the cluster is up: eval "$(python3 devcluster env)"; logs are in {paths.logs}')


def _start(paths: Paths, part: parts.Part) -> None:
    if parts.running(paths, part) and part.healthy(paths):
        return
    with step(f"starting {part.name}"):
        parts.start(paths, part)
        if part is parts.CONTAINERD:
            images.ensure(paths, [images.PAUSE], images.PAUSE_TAG)


def _link(paths: Paths, name: str, target: str) -> None:
    link = paths.bin / name
    if not link.is_symlink() or str(link.readlink()) != target:
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def node_ready(paths: Paths) -> bool:
    try:
        node = get(paths, "node", NODE_NAME)
    except DevclusterError:
        return False  # kubelet has not registered it yet
    conditions = node["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def status(paths: Paths) -> bool:
    """Print a line for each part, and the end of its log where it is not well; say whether all are."""
    well = True
    for part in parts.PARTS:
        process = parts.running(paths, part)
        healthy = process is not None and part.healthy(paths)
        word = "healthy" if healthy else ("not healthy" if process else "not running")
        say(f"{part.name:<19} {process.pid if process else '-':>8}  {word}")
        well = well and healthy
        if not healthy:
            for line in last_lines(paths, part, 5):
                say(f"    {line}")
    if well:
        say(kubectl(paths, "get", "nodes").rstrip())
    return well


def last_lines(paths: Paths, part: parts.Part, count: int) -> list[str]:
    log = parts.log_of(paths, part)
    return log.read_text(errors="replace").splitlines()[-count:] if log.exists() else []
