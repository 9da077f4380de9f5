"""The eight processes of the cluster in the order they start, each with its command line and its sign of health."""

import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from devcluster import mounts, processes
from devcluster.commands import Argv
from devcluster.config import API_URL
from devcluster.network import NODE_ADDRESS, NODE_NAME, POD_RANGE, SERVICE_RANGE
from devcluster.paths import Paths
from devcluster.reporting import DevclusterError, settles

# gRPC's frame of a message without fields: not compressed, no bytes follow.
EMPTY_MESSAGE = bytes(5)


@dataclass(frozen=True)
class Part:
    """One process: how it is started, when it is healthy, and how long it may take to become so."""

    name: str
    argv: Callable[[Paths], Argv]
    healthy: Callable[[Paths], bool]
    patience: float = 60.0


def record_of(paths: Paths, part: Part) -> Path:
    return paths.run / f"{part.name}.json"


def log_of(paths: Paths, part: Part) -> Path:
    return paths.logs / f"{part.name}.log"


def running(paths: Paths, part: Part) -> processes.Process | None:
    return processes.recorded(record_of(paths, part))


def start(paths: Paths, part: Part) -> bool:
    """Start a part unless it runs, and wait until it is healthy; say whether it was started.

    Raises DevclusterError with the last line of its log when it ends or does not become healthy.
    """
    process = running(paths, part)
    fresh = process is None
    if process is None:
        process = processes.launch(part.argv(paths), log_of(paths, part), record_of(paths, part))

    def settled() -> bool:
        return not process.alive or part.healthy(paths)

    if not settles(settled, part.patience):
        raise DevclusterError(f"{part.name} is not healthy after {part.patience:.0f} s; see {log_of(paths, part)}.")
    if not process.alive:
        lines = log_of(paths, part).read_text(errors="replace").strip().splitlines()
        raise DevclusterError(f"{part.name} ended: {lines[-1] if lines else 'it said nothing'}")
    if part is CONTAINERD:
        mounts.remember(paths, process)
    return fresh


def stop(paths: Paths, part: Part) -> None:
    process = running(paths, part)
    if process:
        processes.stop([process])
    record_of(paths, part).unlink(missing_ok=True)


def by_name(name: str) -> Part:
    for part in PARTS:
        if part.name == name:
            return part
    raise DevclusterError(f"no part is called {name!r}; the parts are {', '.join(part.name for part in PARTS)}.")


def get(paths: Paths, url: str) -> bool:
    """Say whether a URL answers 200; HTTPS goes with the administrator's certificate."""
    context = None
    if url.startswith("https"):
        context = ssl.create_default_context(cafile=str(paths.pki / "ca.crt"))
        context.load_cert_chain(paths.pki / "admin.crt", paths.pki / "admin.key")
        context.check_hostname = False  # the controller manager and scheduler sign their own, on loopback
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if context:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _answers(url: str) -> Callable[[Paths], bool]:
    return lambda paths: get(paths, url)


def _speaks_cri(paths: Paths) -> bool:
    """Say whether containerd answers kubelet's first question; it listens seconds before it does on a busy machine."""
    call: Argv = [
        *("curl", "--silent", "--max-time", "5", "--http2-prior-knowledge", "--unix-socket", paths.containerd_socket),
        *("--header", "content-type: application/grpc", "--header", "te: trailers", "--data-binary", "@-"),
        "http://localhost/runtime.v1.RuntimeService/Version",
    ]
    answer = subprocess.run([str(word) for word in call], input=EMPTY_MESSAGE, capture_output=True, check=False)
    return len(answer.stdout) > len(EMPTY_MESSAGE)  # a refusal is trailers alone


def kube(paths: Paths, part: str) -> Argv:
    return [paths.bin / part]


def _etcd(paths: Paths) -> Argv:
    flags: Argv = ["--data-dir", paths.state / "etcd", "--unsafe-no-fsync", "--log-level", "warn"]
    client = ["--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379"]
    return [*kube(paths, "etcd"), *flags, *client, "--listen-peer-urls", "http://127.0.0.1:2380"]


def _apiserver(paths: Paths) -> Argv:
    pki = paths.pki
    where: Argv = ["--secure-port", "6443", "--bind-address", NODE_ADDRESS, "--advertise-address", NODE_ADDRESS]
    tls: Argv = ["--tls-cert-file", pki / "apiserver.crt", "--tls-private-key-file", pki / "apiserver.key"]
    clients: Argv = ["--client-ca-file", pki / "ca.crt", "--authorization-mode", "Node,RBAC"]
    accounts: Argv = [
        *("--service-account-key-file", pki / "sa.pub", "--service-account-signing-key-file", pki / "sa.key"),
        *("--service-account-issuer", "https://kubernetes.default.svc"),
    ]
    to_kubelet: Argv = [
        *("--kubelet-client-certificate", pki / "admin.crt", "--kubelet-client-key", pki / "admin.key"),
        *("--kubelet-certificate-authority", pki / "ca.crt"),
        *("--kubelet-preferred-address-types", "InternalIP,Hostname"),
    ]
    rest: Argv = ["--etcd-servers", "http://127.0.0.1:2379", "--service-cluster-ip-range", SERVICE_RANGE]
    admission: Argv = ["--allow-privileged", "--enable-admission-plugins", "NodeRestriction,PodSecurity"]
    return [*kube(paths, "kube-apiserver"), *where, *tls, *clients, *accounts, *to_kubelet, *rest, *admission]


def _controller_manager(paths: Paths) -> Argv:
    config = paths.kubeconfig_of("controller-manager")
    access: Argv = [
        *("--kubeconfig", config, "--authentication-kubeconfig", config, "--authorization-kubeconfig", config),
        *("--root-ca-file", paths.pki / "ca.crt", "--service-account-private-key-file", paths.pki / "sa.key"),
        "--use-service-account-credentials",
    ]
    ranges: Argv = ["--cluster-cidr", POD_RANGE, "--allocate-node-cidrs"]
    local: Argv = ["--leader-elect=false", "--bind-address", "127.0.0.1"]
    plugins: Argv = ["--flex-volume-plugin-dir", paths.state / "kubelet-plugins"]
    return [*kube(paths, "kube-controller-manager"), *access, *ranges, *local, *plugins]


def _scheduler(paths: Paths) -> Argv:
    config = paths.kubeconfig_of("scheduler")
    access: Argv = [
        *("--kubeconfig", config, "--authentication-kubeconfig", config, "--authorization-kubeconfig", config)
    ]
    return [*kube(paths, "kube-scheduler"), *access, "--leader-elect=false", "--bind-address", "127.0.0.1"]


def _containerd(paths: Paths) -> Argv:
    return [*mounts.new_or_same(paths), "containerd", "--config", paths.etc / "containerd.toml"]


def _kubelet(paths: Paths) -> Argv:
    node: Argv = ["--hostname-override", NODE_NAME, "--node-ip", NODE_ADDRESS, "--root-dir", paths.state / "kubelet"]
    config: Argv = ["--config", paths.etc / "kubelet.yaml", "--kubeconfig", paths.kubeconfig_of("kubelet")]
    return [*mounts.entry(paths), *kube(paths, "kubelet"), *config, *node]


def _proxy(paths: Paths) -> Argv:
    return [*kube(paths, "kube-proxy"), "--config", paths.etc / "proxy.yaml"]


def _coredns(paths: Paths) -> Argv:
    return [*kube(paths, "coredns"), "-conf", paths.etc / "Corefile"]


CONTAINERD = Part("containerd", _containerd, _speaks_cri)
PARTS = [
    Part("etcd", _etcd, _answers("http://127.0.0.1:2379/readyz")),
    Part("apiserver", _apiserver, _answers(f"{API_URL}/readyz"), patience=120.0),
    Part("controller-manager", _controller_manager, lambda paths: _accepts_tcp("127.0.0.1", 10257)),
    Part("scheduler", _scheduler, lambda paths: _accepts_tcp("127.0.0.1", 10259)),
    CONTAINERD,
    Part("kubelet", _kubelet, _answers("http://127.0.0.1:10248/healthz")),
    Part("proxy", _proxy, _answers(f"http://{NODE_ADDRESS}:10256/livez")),
    Part("coredns", _coredns, _answers(f"http://{NODE_ADDRESS}:8181/ready")),
]


def _accepts_tcp(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False
