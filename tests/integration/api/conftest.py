from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiClient

from tests.integration.api.apiserver import PLURALS, ROOT, ApiServer, Refused


@pytest.fixture(scope="session")
def server(api: ApiClient, custom_resources: None) -> Iterator[ApiServer]:
    """An API server with our CRDs, and a namespace for the objects of these tests."""
    server = ApiServer(api, f"test-{uuid.uuid4().hex[:10]}")
    crds = [yaml.safe_load((ROOT / "crds" / f"{plural}.yaml").read_text()) for plural in PLURALS.values()]
    _await_rules(server, _messages(crds))
    server.call("POST", "/api/v1/namespaces", {"metadata": {"name": server.namespace}})
    yield server
    server.call("DELETE", f"/api/v1/namespaces/{server.namespace}")


def _await_rules(server: ApiServer, sentences: set[str]) -> None:
    """Until the API server publishes the schemas that were just applied."""
    for _ in range(360):
        with contextlib.suppress(Refused):
            published = json.dumps(server.call("GET", "/openapi/v3/apis/plimsoll.dev/v1alpha1"), ensure_ascii=False)
            if all(sentence in published for sentence in sentences):
                return
        time.sleep(0.5)
    pytest.fail("the API server did not publish our CRDs within 180 s")


def _messages(schema: Any) -> set[str]:
    """The sentences of all rules below a schema, as JSON has them."""
    if isinstance(schema, dict):
        own = {json.dumps(rule["message"], ensure_ascii=False) for rule in schema.get("x-kubernetes-validations", ())}
        return own.union(*(_messages(below) for below in schema.values()))
    return set[str]().union(*(_messages(below) for below in schema)) if isinstance(schema, list) else set()
