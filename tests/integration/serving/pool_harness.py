"""A real pool on loopback: documents in a directory that is swapped as a ConfigMap's, a sidecar and a server."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from tests.builders import onnx_models
from tests.integration.serving.harness import HOST, PATIENCE, Server, eventually, v2

# A first feature that keeps a slow classifier busy for longer than a test takes to kill its server.
LONG = 500.0


class Store:
    """Models as files; the address and the digest of each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)

    def put(self, model: bytes) -> dict[str, str]:
        digest = onnx_models.digest(model)
        path = self._folder / f"{digest}.onnx"
        fresh = path.with_suffix(".new")
        fresh.write_bytes(model)
        fresh.replace(path)  # a fetcher that waits for it never sees half of it
        return {"uri": f"file://{path}", "sha256": digest}


def classifier(seed: int) -> bytes:
    """A model that no other seed's answers equal."""
    return onnx_models.linear_classifier(*onnx_models.weights(features=4, classes=3, seed=seed))


def document(service: str, versions: dict[str, dict[str, str]], *, epoch: int = 1, **more: Any) -> dict[str, Any]:
    """The document of a service: its first version has all, or shares as ``weights`` says."""
    names = {version: f"{service}-{int(version):08x}" for version in versions}
    weights = more.pop("weights", None) or {version: 100 * (not i) for i, version in enumerate(versions)}
    arms = [
        {"revision": names[version], "version": version, "weight": weight, "mode": "Serve"}
        for version, weight in weights.items()
    ]
    return {
        "formatVersion": 1, "epoch": epoch, "primary": arms[0]["revision"], "arms": arms, "sticky": None,
        "delegateTimeoutSeconds": PATIENCE, "validUntil": None, "maxBlindSeconds": 900, "service": service,
        "model": service, "revisions": {names[v]: {"version": v, "artifact": file} for v, file in versions.items()},
        **more,
    }  # fmt: skip


class PoolServer(Server):
    """The two processes of a pool's pod."""

    def __init__(self, folder: Path, **env: str) -> None:
        super().__init__(folder, b"", "pool", **env)
        self.mount, self.files = folder / "models", folder / "pool"
        self.mount.mkdir()
        self.env |= {
            "PLIMSOLL_POOL": "shared", "PLIMSOLL_POOL_DOCUMENTS": str(self.mount),
            "PLIMSOLL_POOL_DIR": str(self.files), "PLIMSOLL_WORKERS": "2",
        } | env  # fmt: skip
        self._versions = 0
        self._documents: dict[str, str] = {"formatVersion": "1"}
        self.fetcher: subprocess.Popen[bytes] | None = None
        self._swap()

    def write(self, *documents: dict[str, Any]) -> None:
        """Change some services' documents; the others' files are new, too, and the same."""
        self._documents |= {f"{one['service']}.json": json.dumps(one) for one in documents}
        self._swap()

    def write_text(self, service: str, text: str) -> None:
        self._documents[f"{service}.json"] = text
        self._swap()

    def remove(self, service: str) -> None:
        del self._documents[f"{service}.json"]
        self._swap()

    def _swap(self) -> None:
        """As kubelet does: a new directory, and one symlink that is moved onto it."""
        self._versions += 1
        fresh = self.mount / f"..{self._versions}"
        fresh.mkdir()
        for name, text in self._documents.items():
            (fresh / name).write_text(text)
        link = self.mount / "..data_tmp"
        link.symlink_to(fresh.name)
        link.rename(self.mount / "..data")
        for name in self._documents:
            if not (self.mount / name).is_symlink():
                (self.mount / name).symlink_to(Path("..data") / name)
        for path in self.mount.iterdir():
            if path.is_symlink() and path.name != "..data" and path.name not in self._documents:
                path.unlink()
        if self._versions > 2:
            shutil.rmtree(self.mount / f"..{self._versions - 2}")

    def start(self) -> "PoolServer":
        with self.log_path.open("ab") as log:
            run = [sys.executable, "-m", "plimsoll_serving"]
            self.fetcher = subprocess.Popen([*run, "fetch", "--pool"], env=self.env, cwd=self.folder, stderr=log)
            self.process = subprocess.Popen([*run, "serve", "--pool"], env=self.env, cwd=self.folder, stderr=log)
        return self

    def end(self) -> None:
        for process in (self.process, self.fetcher):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(PATIENCE)

    def die_while_running(self, *models: str) -> None:
        """Kill the server, as the kernel does for want of memory, once these models and no others are in a run."""

        def ask(model: str) -> None:
            with contextlib.suppress(httpx.TransportError):
                self.ask(model, LONG, 1.0, 2.0, 3.0)

        threads = [threading.Thread(target=ask, args=(model,)) for model in models]
        for thread in threads:
            thread.start()

        def under_way() -> set[str]:
            marks = (self.files / "marks").glob("*.run")
            return {path.stem.rpartition("-")[0] for path in marks if path.read_bytes()[0]}

        eventually(lambda: under_way() == set(models), f"runs of {', '.join(models)}")
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE)
        for thread in threads:
            thread.join()

    def restart(self) -> "PoolServer":
        """The server alone, as kubelet restarts its container."""
        with self.log_path.open("ab") as log:
            run = [sys.executable, "-m", "plimsoll_serving", "serve", "--pool"]
            self.process = subprocess.Popen(run, env=self.env, cwd=self.folder, stderr=log)
        return self

    def stop_fetcher(self) -> int:
        assert self.fetcher is not None
        self.fetcher.send_signal(signal.SIGTERM)
        return self.fetcher.wait(PATIENCE)

    def ask(self, name: str, *row: float, host: str = "", client: httpx.Client | None = None) -> httpx.Response:
        headers = {"host": host} if host else {}
        body = v2(list(row) or [1.0, 2.0, 3.0, 4.0])
        send = client.post if client else httpx.post
        return send(self.url(f"/v2/models/{name}/infer"), json=body, headers=headers, timeout=PATIENCE)

    def revisions(self, service: str) -> dict[str, Any]:
        """What the server says of a service's revisions."""
        told = self.get(f"/route?service[]={service}", "metrics").json()["services"]
        found: dict[str, Any] = told.get(service, {}).get("revisions", {})
        return found

    def follows(self, service: str, epoch: int) -> None:
        def fact() -> bool:
            told = self.get(f"/route?service[]={service}", "metrics").json()["services"]
            return bool(told.get(service, {}).get("epoch") == epoch)

        eventually(fact, f"{service} at epoch {epoch}")

    def serves(self, *services: str, seconds: float = PATIENCE) -> None:
        """Until the primaries answer."""
        for service in services:
            eventually(lambda service=service: self.ask(service).status_code == 200, f"{service} served", seconds)

    def arms(self) -> dict[str, float]:
        return self.counts("plimsoll_arm_requests_total", "revision", "outcome")

    def value(self, name: str, *labels: str) -> dict[str, float]:
        return self.counts(name, *labels)


def outcomes(server: PoolServer, service: str, requests: int) -> dict[str, int]:
    """Answers by version of so many requests, none of which may fail."""
    found: dict[str, int] = {}
    with httpx.Client() as client:
        for number in range(requests):
            response = server.ask(service, float(number), 1.0, 2.0, 3.0, client=client)
            assert response.status_code == 200, response.text
            version = response.headers["plimsoll-model-version"]
            found[version] = found.get(version, 0) + 1
    return found


def seconds_of(server: PoolServer, service: str, client: httpx.Client) -> float:
    """How long one answer takes over a connection that is open."""
    began = time.perf_counter()
    assert server.ask(service, client=client).status_code == 200
    return time.perf_counter() - began


__all__ = ["HOST", "PoolServer", "Store", "classifier", "document", "outcomes", "seconds_of"]
