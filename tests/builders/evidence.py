"""A pod that others' evidence comes from: a real Prometheus that scrapes the servers, and a webhook that judges.

Prometheus' program is copied into the pod: no image of it can be pulled here.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from demo.shell import Kubernetes
from tests.builders import prometheus

POD = "evidence"
PORTS = {"prometheus": 9090, "webhook": 8000}
#: Debian's Prometheus finds no pods by itself: the webhook's server tells it of them.
CONFIGURATION: dict[str, Any] = {
    "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
    "scrape_configs": [
        {
            "job_name": "pods",
            "http_sd_configs": [{"url": "http://127.0.0.1:8000/targets", "refresh_interval": "1s"}],
        }
    ],
}
#: Answers Fail under /veto and Pass elsewhere. GET /asked gives the ids of what it was asked, /targets the addresses of
#: the namespace's servers with the names of their pods.
WEBHOOK = """
import http.server, json, ssl, urllib.request

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
asked = []

def read(name):
    with open(f"{ACCOUNT}/{name}") as file:
        return file.read()

def targets():
    path = f"/api/v1/namespaces/{read('namespace')}/pods?labelSelector=plimsoll.dev/revision"
    request = urllib.request.Request("https://kubernetes.default.svc" + path)
    request.add_header("Authorization", "Bearer " + read("token"))
    trust = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
    with urllib.request.urlopen(request, context=trust, timeout=5) as answer:
        pods = json.load(answer)["items"]
    return [
        {
            "targets": [pod["status"]["podIP"] + ":8082"],
            "labels": {"namespace": pod["metadata"]["namespace"], "pod": pod["metadata"]["name"]},
        }
        for pod in pods
        if pod["status"].get("podIP")
    ]

class Judge(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked.append(document["id"])
        verdict = "Fail" if self.path == "/veto" else "Pass"
        self.say({"verdict": verdict, "reason": f"rule 7 for version {document['candidate']['version']}"})

    def do_GET(self):
        self.say(targets() if self.path == "/targets" else asked)

    def say(self, what):
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("", 8000), Judge).serve_forever()
"""
_RIGHTS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}


def start(kubernetes: Kubernetes, namespace: str, image: str) -> None:
    """Until both answer. `image` has Python and tar."""
    listed = {"apiVersion": "v1", "kind": "List", "items": _objects(image)}
    kubernetes.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(listed))
    wait = ("-n", namespace, "wait", f"pod/{POD}", "--timeout=180s")
    kubernetes.kubectl(*wait, "--for=jsonpath={.status.phase}=Running")
    program = str(prometheus.program("prometheus"))
    kubernetes.kubectl("-n", namespace, "cp", program, f"{POD}:/work/copied", "-c", "prometheus")
    kubernetes.kubectl("-n", namespace, "exec", POD, "-c", "prometheus", "--", "mv", "/work/copied", "/work/prometheus")
    kubernetes.kubectl(*wait, "--for=condition=Ready")


def asked(kubernetes: Kubernetes, namespace: str) -> list[str]:
    """The ids of the documents that the webhook was sent."""
    path = f"/api/v1/namespaces/{namespace}/pods/{POD}:{PORTS['webhook']}/proxy/asked"
    found: list[str] = json.loads(kubernetes.kubectl("get", "--raw", path))
    return found


def kill_prometheus(kubernetes: Kubernetes, namespace: str) -> None:
    """Until it is brought back: kubelet starts its container again at once, but its program is not there."""
    hide_and_kill = "mv /work/prometheus /work/hidden && kill 1"
    kubernetes.kubectl("-n", namespace, "exec", POD, "-c", "prometheus", "--", "sh", "-c", hide_and_kill)


def bring_prometheus_back(kubernetes: Kubernetes, namespace: str) -> None:
    """Until it answers; what it had stored is still there."""
    kubernetes.kubectl("-n", namespace, "exec", POD, "-c", "prometheus", "--", "mv", "/work/hidden", "/work/prometheus")
    kubernetes.kubectl("-n", namespace, "wait", f"pod/{POD}", "--for=condition=Ready", "--timeout=180s")


def _objects(image: str) -> list[dict[str, Any]]:
    head = {"name": POD, "labels": {"app.kubernetes.io/name": POD}}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": POD}
    files = {"prometheus.yml": yaml.safe_dump(CONFIGURATION), "webhook.py": WEBHOOK}
    ports = [{"name": name, "port": port} for name, port in PORTS.items()]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": head},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": head, "rules": [_RIGHTS]},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": head,
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", "name": POD}],
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": head, "data": files},
        {"apiVersion": "v1", "kind": "Service", "metadata": head, "spec": {"selector": head["labels"], "ports": ports}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": head, "spec": _pod(image)},
    ]


def _pod(image: str) -> dict[str, Any]:
    waited = "until [ -x /work/prometheus ]; do sleep 0.1; done; exec /work/prometheus"
    options = "--config.file=/files/prometheus.yml --storage.tsdb.path=/work/data"
    return {
        "serviceAccountName": POD,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            _container("prometheus", image, ["sh", "-c", f"{waited} {options}"], "/-/ready"),
            _container("webhook", image, ["python3", "/files/webhook.py"], "/asked"),
        ],
        "volumes": [
            {"name": "files", "configMap": {"name": POD}},
            {"name": "work", "emptyDir": {"sizeLimit": "500Mi"}},
        ],
    }


def _container(name: str, image: str, command: list[str], path: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "readinessProbe": {"httpGet": {"path": path, "port": PORTS[name]}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "files", "mountPath": "/files"}, {"name": "work", "mountPath": "/work"}],
    }
