"""What the rest of the tests take for granted of the development cluster."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from pathlib import Path

import pytest

from devcluster import parts, volumes
from devcluster.kubectl import get, kubectl
from devcluster.network import NODE_NAME
from devcluster.paths import Paths
from devcluster.reporting import DevclusterError, settles

from .conftest import RESTRICTED, SERVING, Kubectl, devcluster, pod, printed

PATIENCE = 180.0


def pids(paths: Paths) -> dict[str, int | None]:
    running = {part.name: parts.running(paths, part) for part in parts.PARTS}
    return {name: process.pid if process else None for name, process in running.items()}


def test_the_node_is_ready_and_of_the_stated_version(paths: Paths) -> None:
    node = get(paths, "node", NODE_NAME)

    ready = next(each for each in node["status"]["conditions"] if each["type"] == "Ready")
    assert ready["status"] == "True", ready["message"]
    assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.35.4"


def test_bringing_it_up_again_changes_nothing(paths: Paths) -> None:
    before = pids(paths)

    again = devcluster("up")

    assert again.returncode == 0, again.stderr
    assert pids(paths) == before


def test_pods_resolve_services_by_name(in_namespace: Kubectl) -> None:
    names = ("kubernetes.default", "kubernetes.default.svc.cluster.local")
    code = f"import socket; print(*map(socket.gethostbyname, {names}))"
    in_namespace("apply", "--filename", "-", stdin=pod("resolver", code))

    assert printed(in_namespace, "resolver").split() == ["198.19.0.1", "198.19.0.1"]


def test_a_deployment_of_two_answers_behind_its_service(in_namespace: Kubectl) -> None:
    container = {
        "name": "main",
        "image": SERVING,
        "command": ["python", "-m", "http.server", "8080", "--directory", "/opt/plimsoll"],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        "securityContext": RESTRICTED,
    }
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    in_namespace("apply", "--filename", "-", stdin=json.dumps(deployment))
    in_namespace("expose", "deployment", "web", "--port=80", "--target-port=8080")
    in_namespace("rollout", "status", "deployment/web", "--timeout=180s")
    address = json.loads(in_namespace("get", "service", "web", "--output=json"))["spec"]["clusterIP"]

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False  # kube-proxy writes the rules a moment after the endpoints

    assert settles(answers, PATIENCE), f"nobody answers at {address}"
    code = "import urllib.request as u; print(u.urlopen('http://web/', timeout=60).status)"
    in_namespace("apply", "--filename", "-", stdin=pod("client", code))
    assert printed(in_namespace, "client").strip() == "200"


def test_a_mounted_config_map_follows_when_the_pod_is_annotated(in_namespace: Kubectl) -> None:
    in_namespace("create", "configmap", "route", "--from-literal=epoch=1")
    code = "\n".join(
        [
            "import pathlib, time",
            "while pathlib.Path('/route/epoch').read_text() != '2': time.sleep(0.05)",
            "print('follows')",
        ]
    )
    mounts = [{"name": "route", "mountPath": "/route"}]
    manifest = pod("follower", code, mounts=mounts, volumes=[{"name": "route", "configMap": {"name": "route"}}])
    in_namespace("apply", "--filename", "-", stdin=manifest)
    in_namespace("wait", "pod/follower", "--for=jsonpath={.status.phase}=Running", "--timeout=180s")

    in_namespace("patch", "configmap", "route", "--patch", '{"data": {"epoch": "2"}}')
    in_namespace("annotate", "pod", "follower", f"example.com/epoch={time.monotonic_ns()}")

    assert printed(in_namespace, "follower").strip() == "follows"


def test_a_claim_binds_keeps_data_and_its_volume_comes_back_empty(paths: Paths, in_namespace: Kubectl) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": spec}
    in_namespace("apply", "--filename", "-", stdin=json.dumps(claim))
    in_namespace("wait", "persistentvolumeclaim/data", "--for=jsonpath={.status.phase}=Bound", "--timeout=180s")
    volume = json.loads(in_namespace("get", "persistentvolumeclaim", "data", "--output=json"))["spec"]["volumeName"]
    code = "import os; open('/data/kept', 'w').write('x'); os.setxattr('/data/kept', 'user.etag', b'1'); print('kept')"
    mounts = [{"name": "data", "mountPath": "/data"}]
    claimed = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    in_namespace("apply", "--filename", "-", stdin=pod("writer", code, mounts=mounts, volumes=claimed))
    assert printed(in_namespace, "writer").strip() == "kept"
    assert (paths.volumes / volume / "kept").read_text() == "x"

    in_namespace("delete", "pod/writer", "persistentvolumeclaim/data")
    kubectl(paths, "wait", f"persistentvolume/{volume}", "--for=jsonpath={.status.phase}=Released", "--timeout=180s")
    recycled = devcluster("recycle-volumes")

    assert recycled.returncode == 0 and volume in recycled.stdout
    assert os.listdir(paths.volumes / volume) == []  # noqa: PTH208
    kubectl(paths, "wait", f"persistentvolume/{volume}", "--for=jsonpath={.status.phase}=Available", "--timeout=180s")


def test_claims_of_the_default_class_have_volumes_left(paths: Paths) -> None:
    phases = [item["status"]["phase"] for item in get(paths, "persistentvolumes")["items"]]

    assert len(phases) >= volumes.COUNT
    assert "Available" in phases or "Released" in phases


def test_pod_security_standards_are_enforced(in_namespace: Kubectl) -> None:
    unsafe = json.loads(pod("unsafe", "print()"))
    unsafe["spec"]["containers"][0]["securityContext"] = {"privileged": True}

    with pytest.raises(DevclusterError, match="violates PodSecurity"):
        in_namespace("apply", "--filename", "-", stdin=json.dumps(unsafe))


def test_a_part_can_be_restarted_alone(paths: Paths) -> None:
    before = pids(paths)

    restarted = devcluster("restart", "scheduler")

    assert restarted.returncode == 0, restarted.stderr
    after = pids(paths)
    assert after.pop("scheduler") not in (None, before.pop("scheduler"))
    assert after == before


def test_env_names_the_kubeconfig_and_a_folder_with_the_clients(paths: Paths) -> None:
    printed_exports = devcluster("env").stdout

    assert f"export KUBECONFIG={paths.kubeconfig}" in printed_exports
    assert {"kubectl", "helm"} <= {link.name for link in Path(paths.bin).iterdir()}


def test_images_run_without_root_pip_or_a_compiler(in_namespace: Kubectl) -> None:
    code = (
        "import os, shutil; print(os.getuid(), [tool for tool in ('pip', 'pip3', 'cc', 'gcc') if shutil.which(tool)])"
    )
    in_namespace("apply", "--filename", "-", stdin=pod("image", code))

    assert printed(in_namespace, "image").strip() == "65532 []"
