from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.integration.api.apiserver import PLURALS, ROOT, ApiServer, Refused, kubeconfig


@pytest.fixture(scope="session")
def server() -> Iterator[ApiServer]:
    """An API server with our CRDs and a namespace of our own."""
    server = ApiServer(kubeconfig(), f"api-tests-{time.time_ns() % 10**9}")
    sentences: set[str] = set()
    for plural in PLURALS.values():
        crd = yaml.safe_load((ROOT / "crds" / f"{plural}.yaml").read_text())
        server.apply(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd['metadata']['name']}", crd)
        sentences |= _messages(crd)
    _await_rules(server, sentences)
    server.call("POST", "/api/v1/namespaces", {"metadata": {"name": server.namespace}})
    yield server
    server.call("DELETE", f"/api/v1/namespaces/{server.namespace}")


def _await_rules(server: ApiServer, sentences: set[str]) -> None:
    """Until the API server publishes the schemas that were just applied."""
    for _ in range(120):
        with contextlib.suppress(Refused):
            published = json.dumps(server.call("GET", "/openapi/v3/apis/plimsoll.dev/v1alpha1"), ensure_ascii=False)
            if all(sentence in published for sentence in sentences):
                return
        time.sleep(0.5)
    pytest.fail("the API server did not publish our CRDs within 60 s")


def _messages(schema: Any) -> set[str]:
    """The sentences of all rules below a schema, as JSON has them."""
    if isinstance(schema, dict):
        own = {json.dumps(rule["message"], ensure_ascii=False) for rule in schema.get("x-kubernetes-validations", ())}
        return own.union(*(_messages(below) for below in schema.values()))
    return set[str]().union(*(_messages(below) for below in schema)) if isinstance(schema, list) else set()
