"""What a real Envoy does with the weights of our HTTPRoutes. `make test-gateway`; the translation is the test's own."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from plimsoll.api.inferenceservice import InferenceServiceSpec, InferenceServiceStatus
from plimsoll.core import gateway, http_route
from plimsoll.core.release.observed import Observed
from plimsoll.facts import Settings

from tests.gateway.envoy import Envoy

STABLE, CANDIDATE = "digits-r1", "digits-r2"
PATH = "/v2/models/digits/infer"


def backend(name: str) -> ThreadingHTTPServer:
    """Answers with its own name; with 400 where a user's request passes for one between pods."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(400 if any(one.startswith("plimsoll-") for one in self.headers) else 200)
            self.send_header("Content-Length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_request(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, name=name, daemon=True).start()
    return server


def route(weight: int, phase: str = "Analyzing") -> dict[str, Any]:
    """The operator's HTTPRoute with the candidate at this share."""
    ref = {"name": "public", "armHeader": "x-arm"}
    traffic = {"provider": "GatewayAPI", "gatewayRef": ref}
    spec = InferenceServiceSpec.model_validate({"model": {"name": "digits"}, "traffic": traffic})
    arms = {"stable": {"revision": STABLE, "version": "1"}, "candidate": {"revision": CANDIDATE, "version": "2"}}
    status = InferenceServiceStatus.model_validate({"phase": phase, "primary": STABLE, "weight": weight} | arms)
    owner = {"metadata": {"name": "digits", "namespace": "demo"}}
    reference = gateway.reference(seen := Observed(owner, spec, status, Settings(), 0.0))
    assert reference is not None
    return http_route.manifest(seen, status, reference)


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[Envoy]:
    servers = {name: backend(name) for name in (STABLE, CANDIDATE)}
    envoy = Envoy(tmp_path, {name: server.server_address[1] for name, server in servers.items()})
    envoy.follow(route(20))
    with envoy.running():
        yield envoy
    for server in servers.values():
        server.shutdown()


def answers(envoy: Envoy, count: int, **headers: str) -> Counter[str]:
    """Who answered; every answer is a good one."""
    found = [envoy.get(PATH, headers) for _ in range(count)]
    assert {status for status, _ in found} == {200}
    return Counter(body for _, body in found)


def test_shares_are_kept_chosen_requests_go_where_they_belong_and_a_rollback_takes_all_back(envoy: Envoy) -> None:
    split = answers(envoy, 400)
    assert 16 <= split[CANDIDATE] <= 144  # 20 %; eight standard deviations each way
    assert answers(envoy, 20, **{"x-arm": "candidate"}) == {CANDIDATE: 20}
    assert answers(envoy, 20, **{"x-arm": "stable"}) == {STABLE: 20}
    forged = {"plimsoll-delegated": "1", "plimsoll-mirrored": "1"}
    assert answers(envoy, 20, **forged, **{"x-arm": "stable"}) == {STABLE: 20}
    assert answers(envoy, 20, **forged).total() == 20
    assert envoy.get("/v2/models/other/infer")[0] == 404
    assert envoy.get("/v2/models/digits-too/infer")[0] == 404

    began = time.monotonic()
    envoy.follow(route(0, "RollingBack"))
    while answers(envoy, 40)[CANDIDATE]:
        assert time.monotonic() - began < 60
    assert answers(envoy, 200) == {STABLE: 200}
    assert answers(envoy, 20, **{"x-arm": "candidate"}) == {STABLE: 20}
