"""Everything that happens to a service, for a while, under mixed load. `make soak` does it for SOAK_SECONDS (1800)."""

from __future__ import annotations

import copy
import os

import pytest

from demo import load
from demo.shell import Kubernetes
from tests.e2e.releases import MANIFEST, SERVICE, Service, serving
from tests.e2e.soak import GROWTH_BYTES, Soak

SECONDS = float(os.environ.get("SOAK_SECONDS", "180"))
IMAGE = "localhost/plimsoll-serving:dev"


@pytest.fixture
def service(kubernetes: Kubernetes, namespace: str) -> Service:
    """Two pods of version 1, a sound version 2, a version 3 that fails, and users of all forms of requests."""
    manifest = copy.deepcopy(MANIFEST)
    manifest["spec"]["runtime"]["replicas"] = 2
    service = serving(kubernetes, namespace, manifest)
    service.until(lambda status: status.get("replicas") == "2/2")
    load.start(kubernetes, namespace, SERVICE, IMAGE, "--mixed")
    return service


@pytest.mark.timeout(SECONDS + 1800)
def test_nothing_is_dropped_nothing_is_wrong_and_memory_stays_flat(service: Service) -> None:
    soak = Soak(service)
    with service.users_notice_nothing():
        soak.run(SECONDS)
    assert all(growth <= GROWTH_BYTES for growth in soak.memory.growth.values()), soak.memory
    told = load.report(service.kubernetes, service.namespace)
    print(f"soak: {soak.happened}, requests {told['requests']}, p99 {told['p99_ms']} ms, memory {soak.memory.growth}")
