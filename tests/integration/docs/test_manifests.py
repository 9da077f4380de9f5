"""The API server takes every manifest that the pages and examples show, validated strictly; nothing is stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiClient

from tests.unit.docs.pages import ROOT, blocks

Manifest = dict[str, Any]
#: Kinds of clients and add-ons, which an API server without them does not know.
ELSEWHERE = ("argoproj.io/", "gateway.envoyproxy.io/", "kustomize.config.k8s.io/", "monitoring.coreos.com/")


def shown() -> list[Any]:
    """Whole manifests by where they stand."""
    texts = {block.place: block.text for block in blocks("yaml")}
    texts |= {str(path.relative_to(ROOT)): path.read_text() for path in sorted(Path(ROOT, "examples").rglob("*.yaml"))}
    return [
        pytest.param(manifest, id=place)
        for place, text in texts.items()
        for manifest in yaml.safe_load_all(text)
        if "apiVersion" in manifest and not manifest["apiVersion"].startswith(ELSEWHERE)
    ]


def call(api: ApiClient, method: str, path: str, body: Manifest | None = None) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    answer = api.call_api(method, api.configuration.host + path, headers, body, _request_timeout=30)
    return answer.status, json.loads(answer.read())


def collection(api: ApiClient, manifest: Manifest, namespace: str) -> str:
    """The path to POST to, as the API server's own discovery has it."""
    version = manifest["apiVersion"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    _, served = call(api, "GET", root)
    (found,) = [one for one in served["resources"] if one["kind"] == manifest["kind"] and "/" not in one["name"]]
    return f"{root}/namespaces/{namespace}/{found['name']}" if found["namespaced"] else f"{root}/{found['name']}"


@pytest.mark.parametrize("manifest", shown())
def test_a_manifest_that_is_shown_is_accepted(
    manifest: Manifest, api: ApiClient, custom_resources: None, namespace: str
) -> None:
    here = manifest | {"metadata": manifest["metadata"] | {"namespace": namespace}}
    path = collection(api, manifest, namespace)
    code, said = call(api, "POST", f"{path}?dryRun=All&fieldValidation=Strict", here)
    assert code == 201, said.get("message")


@pytest.mark.parametrize("change", [{"model": "No-Such-Name"}, {"nope": 1}], ids=["value", "field"])
def test_a_manifest_with_a_mistake_would_be_refused(
    change: Manifest, api: ApiClient, custom_resources: None, namespace: str
) -> None:
    """What makes the test above one that can fail."""
    manifest = next(one.values[0] for one in shown() if one.values[0]["kind"] == "TrainingJob")
    wrong = manifest | {"metadata": {"name": "wrong"}, "spec": manifest["spec"] | change}
    code, _ = call(api, "POST", f"{collection(api, manifest, namespace)}?dryRun=All&fieldValidation=Strict", wrong)
    assert 400 <= code < 500
