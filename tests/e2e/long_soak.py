"""Everything that happens to a service, for a while, under mixed load. `make soak` does it for SOAK_SECONDS (1800)."""

from __future__ import annotations

import copy
import json
import os

import pytest

from demo import load, watch
from demo.shell import Kubernetes
from tests.e2e import grpc_users, operator_process
from tests.e2e.releases import MANIFEST, SERVICE, Service, serving, wrong_answers
from tests.e2e.soak import GROWTH_BYTES, Soak

SECONDS = float(os.environ.get("SOAK_SECONDS", "180"))
IMAGE = "localhost/plimsoll-serving:dev"
STEADY, STEADY_USERS = "steady", "traffic-steady"


@pytest.fixture
def service(kubernetes: Kubernetes, namespace: str) -> Service:
    """Two pods of version 1, a sound version 2, a version 3 that fails, and users of all forms of requests over HTTP.

    Beside them a service that nothing is done to, and its own users: its pod is there from the beginning to the end.
    """
    if why := operator_process.unreachable(kubernetes):
        pytest.skip(f"users who speak gRPC: {why}")
    manifest = copy.deepcopy(MANIFEST)
    manifest["spec"]["runtime"]["replicas"] = 2
    service = serving(kubernetes, namespace, manifest)
    service.until(lambda status: status.get("replicas") == "2/2")
    service.kubectl("apply", "-f", "-", stdin=json.dumps(MANIFEST | {"metadata": {"name": STEADY}}))
    watch.until(kubernetes, namespace, "inf", STEADY, lambda inf: inf.get("status", {}).get("phase") == "Idle")
    load.start(kubernetes, namespace, SERVICE, IMAGE, "--mixed")
    url = f"http://{STEADY}.{namespace}.svc/v2/models/{SERVICE}/infer"
    load.start(kubernetes, namespace, STEADY, IMAGE, "--mixed", "--url", url, pod=STEADY_USERS)
    return service


@pytest.mark.timeout(SECONDS + 1800)
def test_nothing_is_dropped_nothing_is_wrong_and_memory_stays_flat(service: Service) -> None:
    soak = Soak(service)
    with service.users_notice_nothing(), grpc_users.users(service) as callers:
        soak.run(SECONDS)
    by_grpc = callers.report()
    assert by_grpc["failures"] == {} and wrong_answers(service.models, by_grpc["answers"]) == 0
    assert sum(by_grpc["requests"].values()) > 100
    assert len(set(service.names("pods", f"plimsoll.dev/inferenceservice={STEADY}")) & set(soak.memory.growth)) == 1
    assert all(growth <= GROWTH_BYTES for growth in soak.memory.growth.values()), soak.memory
    steady = load.report(service.kubernetes, service.namespace, STEADY_USERS)
    assert steady["failures"] == {} and wrong_answers(service.models, steady["answers"]) == 0
    told = load.report(service.kubernetes, service.namespace)
    print(f"soak: {soak.happened}, requests {told['requests']} and {steady['requests']}, p99 {told['p99_ms']} ms")
    print(f"gRPC: requests {by_grpc['requests']}, p99 {by_grpc['p99_ms']} ms")
    for pod, settled in soak.memory.settled.items():
        print(f"{pod}: {settled / 2**20:.1f} MiB settled, {soak.memory.most[pod] / 2**20:.1f} MiB at most")
