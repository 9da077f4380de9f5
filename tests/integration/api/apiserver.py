"""Talking to a real API server: what it stores, and the sentences with which it refuses."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client import ApiClient

ROOT = Path(__file__).resolve().parents[3]
Manifest = dict[str, Any]
PLURALS = {
    "TrainingJob": "trainingjobs",
    "ModelVersion": "modelversions",
    "InferenceService": "inferenceservices",
    "ServingPool": "servingpools",
}
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


class Refused(Exception):
    """What the API server answered: one `field: message` for each cause, as `kubectl` prints them."""

    def __init__(self, status: Manifest) -> None:
        causes = [cause for cause in status.get("details", {}).get("causes") or () if "field" in cause]
        self.sentences = [f"{cause['field']}: {cause['message']}" for cause in causes] or [status["message"]]
        super().__init__("\n".join(self.sentences))


class ApiServer:
    """Requests for our kinds in one namespace."""

    def __init__(self, api: ApiClient, namespace: str) -> None:
        self._api = api
        self.namespace = namespace

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The decoded answer. Raises Refused."""
        sent = {"Content-Type": "application/json", "Accept": "application/json"} | headers
        answer = self._api.call_api(
            method, self._api.configuration.host + path, header_params=sent, body=body, _request_timeout=30
        )
        decoded = json.loads(answer.read())
        if answer.status >= 400:
            raise Refused(decoded)
        return decoded

    def path(self, kind: str, name: str = "") -> str:
        return f"/apis/plimsoll.dev/v1alpha1/namespaces/{self.namespace}/{PLURALS[kind]}" + (f"/{name}" if name else "")

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """POST with strict validation, as `kubectl apply` does it."""
        query = "?fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        return self.call("POST", self.path(manifest["kind"]) + query, manifest)

    def patch(
        self, kind: str, name: str, change: Manifest, subresource: str = "", *, dry_run: bool = False
    ) -> Manifest:
        """A JSON merge patch."""
        path = self.path(kind, name) + subresource + ("?dryRun=All" if dry_run else "")
        return self.call("PATCH", path, change, **{"Content-Type": "application/merge-patch+json"})


def cases(folder: str, kind: str) -> list[Manifest]:
    """The table of a kind: each case has a `manifest` made of the table's base, `set` and `remove`."""
    table = _table(folder, kind)
    return [{"manifest": varied(table.get("base", {}), case)} | case for case in table["cases"]]


def base(folder: str, kind: str) -> Manifest:
    """The manifest that the cases of a table vary."""
    return _table(folder, kind)["base"]


def _table(folder: str, kind: str) -> Manifest:
    return yaml.safe_load((Path(__file__).parent / folder / f"{kind.lower()}.yaml").read_text())


def varied(base: Manifest, case: Manifest) -> Manifest:
    """`base` without the paths in `remove` and with the values in `set`, whose keys are dotted paths."""
    manifest = copy.deepcopy(base)
    for path in case.get("remove", ()):
        parent, last = _parent(manifest, path)
        del parent[last]
    for path, value in case.get("set", {}).items():
        parent, last = _parent(manifest, path)
        parent[last] = value
    return manifest


def _parent(manifest: Manifest, path: str) -> tuple[Manifest, str]:
    *above, last = path.split(".")
    for key in above:
        manifest = manifest.setdefault(key, {})
    return manifest, last
