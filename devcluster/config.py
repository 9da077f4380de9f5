"""The configuration files of the parts, rendered from the paths: YAML written as JSON, TOML, a Corefile."""

import json
from pathlib import Path
from typing import Any

from devcluster import cgroups
from devcluster.network import BRIDGE, NODE_ADDRESS, NODE_NAME, NODE_POD_RANGE, POD_RANGE
from devcluster.paths import Paths

API_URL = f"https://{NODE_ADDRESS}:6443"
PAUSE_IMAGE = "localhost/pause:1"
USERS = ["admin", "kubelet", "scheduler", "controller-manager", "proxy"]


def write(paths: Paths) -> None:
    """Write every configuration file below the state folder."""
    for folder in (paths.etc, paths.logs, paths.run, paths.bin, paths.volumes, paths.state / "cni"):
        folder.mkdir(parents=True, exist_ok=True)
    for user in USERS:
        path = paths.kubeconfig_of(user)
        _update(path, _json(kubeconfig(paths, user)))
        path.chmod(0o600)
    _update(paths.etc / "kubelet.yaml", _json(kubelet(paths)))
    _update(paths.etc / "proxy.yaml", _json(proxy(paths)))
    _update(paths.etc / "containerd.toml", containerd(paths))
    _update(paths.etc / "Corefile", corefile(paths))
    _update(paths.etc / "resolv.conf", "nameserver 127.0.0.1\n")
    _update(paths.state / "cni" / "10-devcluster.conflist", _json(cni(paths)))


def _update(path: Path, content: str) -> None:
    # kube-proxy exits when its file is written, even with the same content.
    if not path.exists() or path.read_text() != content:
        path.write_text(content)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1) + "\n"


def kubeconfig(paths: Paths, user: str) -> dict[str, Any]:
    certificate, key = str(paths.pki / f"{user}.crt"), str(paths.pki / f"{user}.key")
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "devcluster", "cluster": {"server": API_URL, "certificate-authority": str(paths.pki / "ca.crt")}}
        ],
        "users": [{"name": user, "user": {"client-certificate": certificate, "client-key": key}}],
        "contexts": [{"name": "devcluster", "context": {"cluster": "devcluster", "user": user}}],
        "current-context": "devcluster",
    }


def kubelet(paths: Paths) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(paths.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(paths.pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(paths.pki / "kubelet.key"),
        "address": NODE_ADDRESS,
        "containerRuntimeEndpoint": f"unix://{paths.containerd_socket}",
        # A container host may have cgroup v1, swap, and no right to raise limits or protect processes.
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroups.name(paths)}",
        "failSwapOn": False,
        "protectKernelDefaults": False,
        "oomScoreAdj": 0,
        "maxOpenFiles": 20000,
        "resolvConf": str(paths.etc / "resolv.conf"),
        "clusterDomain": "cluster.local",
        "clusterDNS": [NODE_ADDRESS],
        # Images are imported, never pulled: a collected one would be lost.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "200Mi",
            "nodefs.available": "2Gi",
            "imagefs.available": "2Gi",
            "nodefs.inodesFree": "1%",
        },
        "podLogsDir": str(paths.logs / "pods"),
        "volumePluginDir": str(paths.state / "kubelet-plugins"),
        "syncFrequency": "10s",
        "configMapAndSecretChangeDetectionStrategy": "Watch",
        "registryPullQPS": 0,
        "serializeImagePulls": False,
    }


def proxy(paths: Paths) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(paths.kubeconfig_of("proxy"))},
        "mode": "iptables",
        "clusterCIDR": POD_RANGE,
        "hostnameOverride": NODE_NAME,
        "oomScoreAdj": 0,
        "healthzBindAddress": f"{NODE_ADDRESS}:10256",
        "metricsBindAddress": f"{NODE_ADDRESS}:10249",
        "nodePortAddresses": [f"{NODE_ADDRESS}/32"],
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def cni(paths: Paths) -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "dataDir": str(paths.state / "cni-addresses"),
        "ranges": [[{"subnet": NODE_POD_RANGE}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "ipMasq": True, "hairpinMode": True}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "devcluster", "plugins": [{**bridge, "ipam": addresses}, ports]}


def containerd(paths: Paths) -> str:
    state = paths.state
    return f"""\
version = 2
root = "{state}/containerd/root"
state = "{state}/containerd/state"
oom_score = 0
[grpc]
  address = "{paths.containerd_socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state}/cni"
"""


def corefile(paths: Paths) -> str:
    return f"""\
.:53 {{
  bind {NODE_ADDRESS}
  ready {NODE_ADDRESS}:8181
  errors
  kubernetes cluster.local {{
    kubeconfig {paths.kubeconfig_of("admin")}
  }}
  cache 10
}}
"""
