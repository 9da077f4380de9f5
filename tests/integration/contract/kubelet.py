"""A kubelet of a few lines: runs the containers of a rendered pod as processes, on a loopback address of its own.

Ports are those of the pod spec. Paths in variables are led to the folders of the volumes that are mounted there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.integration.serving.harness import ROOT, SOURCES, eventually

Manifest = Mapping[str, Any]
#: Where pods get their addresses, which have the ports of the pod spec: another run on this machine has others.
NETWORK = f"127.{1 + os.getpid() % 250}.{os.getpid() // 250 % 250}"


def entrypoint() -> list[str]:
    """What the serving image runs, by its Containerfile."""
    found = re.search(r"^ENTRYPOINT (\[.*\])$", (ROOT / "serving" / "Containerfile").read_text(), re.MULTILINE)
    assert found is not None
    program, *arguments = json.loads(found[1])
    assert program == "python"
    return [sys.executable, *arguments]


class Pod:
    """One pod of a template. `secrets` are those of the namespace, decoded, by name."""

    def __init__(
        self, folder: Path, template: Manifest, name: str, address: str, secrets: Mapping[str, Mapping[str, str]]
    ) -> None:
        self.name, self.address = name, address
        self.labels: Mapping[str, str] = template["metadata"]["labels"]
        self.spec: Manifest = template["spec"]
        self._folder, self._secrets = folder, secrets
        self._process: subprocess.Popen[bytes] | None = None
        for volume in self.spec["volumes"]:
            self.volume(volume["name"]).mkdir(parents=True)
            for key, value in self._secret_of(volume).items():
                (self.volume(volume["name"]) / key).write_text(value)

    # --- what the API server shows of it ------------------------------------------------------------------------------

    @property
    def manifest(self) -> dict[str, Any]:
        meta = {"name": self.name, "namespace": "demo", "labels": dict(self.labels)}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": {"podIP": self.address}}

    @property
    def server(self) -> Manifest:
        """The container that serves."""
        (container,) = self.spec["containers"]
        found: Manifest = container
        return found

    def port(self, name: str) -> int:
        """The number of a port by its name."""
        return next(int(port["containerPort"]) for port in self.server["ports"] if port["name"] == name)

    # --- what kubelet does --------------------------------------------------------------------------------------------

    def volume(self, name: str) -> Path:
        return self._folder / "volumes" / name

    def mount(self, config_map: Manifest) -> None:
        """Put a ConfigMap's files in place as kubelet does: a new folder, and one symlink that is swapped."""
        (volume,) = [
            one["name"]
            for one in self.spec["volumes"]
            if one.get("configMap", {}).get("name") == config_map["metadata"]["name"]
        ]
        root = self.volume(volume)
        fresh = root / f"..{len(list(root.iterdir()))}"
        fresh.mkdir()
        for key, text in config_map["data"].items():
            (fresh / key).write_text(text)
            if not (root / key).is_symlink():
                (root / key).symlink_to(Path("..data") / key)
        swap = root / "..swap"
        swap.symlink_to(fresh.name)
        swap.replace(root / "..data")

    def _secret_of(self, volume: Manifest) -> Mapping[str, str]:
        """What a volume of a Secret holds; an optional one may be empty."""
        source = volume.get("secret")
        if source is None:
            return {}
        name = source["secretName"]
        return self._secrets.get(name, {}) if source.get("optional") else self._secrets[name]

    def environment(self, container: Manifest) -> dict[str, str]:
        """The variables that the pod spec gives to a container."""
        found: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            found |= self._secrets[source["secretRef"]["name"]]
        for variable in container["env"]:
            field = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath")
            found[variable["name"]] = {"metadata.name": self.name}[field] if field else variable.get("value", "")
        return {name: self._inside(container, value) for name, value in found.items()}

    def _inside(self, container: Manifest, value: str) -> str:
        """A path below a mount is a path below the volume."""
        for mount in container["volumeMounts"]:
            rest = value.removeprefix(mount["mountPath"])
            if rest != value and (not rest or rest.startswith("/")):
                return f"{self.volume(mount['name'])}{rest}"
        assert not value.startswith("/"), f"{value} is not mounted in {container['name']}"
        return value

    def initialize(self) -> None:
        """Run the init containers to their end."""
        for container in self.spec["initContainers"]:
            with self._start(container) as process:
                _, log = process.communicate(timeout=120)
            assert process.returncode == 0, log.decode()

    def start(self) -> None:
        """Run the server until `stop`."""
        self._process = self._start(self.server, self._folder / "log")

    def _start(self, container: Manifest, log: Path | None = None) -> subprocess.Popen[bytes]:
        image = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES), "PYTHONDONTWRITEBYTECODE": "1"}
        # The address is the pod's network; nothing of it is in the pod spec.
        environment = image | {"PLIMSOLL_HOST": self.address} | self.environment(container)
        command = [*entrypoint(), *container.get("args", ())]
        errors = log.open("ab") if log else subprocess.PIPE
        return subprocess.Popen(command, env=environment, cwd=self._folder, stderr=errors)

    def probe(self, name: str) -> int:
        """The status code of a probe; 0 when nothing answers."""
        action = self.server[name]["httpGet"]
        try:
            url = f"{action['scheme'].lower()}://{self.address}:{self.port(action['port'])}{action['path']}"
            return httpx.get(url, timeout=self.server[name]["timeoutSeconds"]).status_code
        except httpx.TransportError:
            return 0

    def until_ready(self) -> None:
        def ready() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, (self._folder / "log").read_text()
            return self.probe("readinessProbe") == 200

        eventually(ready, f"{self.name} ({shlex.join(entrypoint())}) is ready")

    def terminate(self) -> None:
        """SIGTERM, as at the beginning of a pod's end."""
        assert self._process is not None
        self._process.terminate()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)


class Network:
    """Services as kube-proxy and the cluster's DNS lead to pods."""

    def __init__(self, namespace: str, services: list[Manifest], pods: list[Pod]) -> None:
        self._services = {f"{one['metadata']['name']}.{namespace}.svc": one["spec"] for one in services}
        self._pods = pods

    def lead(self, address: str) -> str:
        """`name.namespace.svc:port` → `address:port` of the one pod behind it."""
        host, _, number = address.partition(":")
        service = self._services[host]
        (port,) = [one for one in service["ports"] if str(one["port"]) == number]
        (pod,) = [one for one in self._pods if service["selector"].items() <= one.labels.items()]
        return f"{pod.address}:{pod.port(port['targetPort'])}"

    def resolved(self, config_map: Manifest) -> dict[str, Any]:
        """A route ConfigMap whose addresses are led to pods, for there is no cluster DNS here."""
        data = {}
        for key, text in config_map["data"].items():
            document = json.loads(text)
            for arm in document["arms"]:
                arm["address"] = self.lead(arm["address"])
            data[key] = json.dumps(document)
        return {**config_map, "data": data}
