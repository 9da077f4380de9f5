"""What the design builds on, tried on a real cluster: see docs/decisions/0001-facts-that-the-design-builds-on.md."""

from __future__ import annotations

import pytest
from kubernetes.client import ApiClient

from tests.integration.facts.pods import Pods


@pytest.fixture
def pods(api: ApiClient, namespace: str) -> Pods:
    return Pods(api, namespace)
