"""A real Envoy that follows HTTPRoutes as this file translates them: Envoy is real, the translation is the test's.

The translation covers what core/gateway.py writes and nothing else: path prefixes, exact headers, weights.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.ports import free_port

_ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def routes(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Envoy's routes for an HTTPRoute; the Services of its backendRefs are clusters of the same names."""
    found = [_route(rule) for rule in manifest["spec"]["rules"]]
    # The more specific match first, as the Gateway API asks of its implementations.
    found.sort(key=lambda one: -len(one["match"].get("headers", ())))
    hosts = {"name": "all", "domains": manifest["spec"].get("hostnames") or ["*"], "routes": found}
    return {"@type": _ROUTES, "name": "routes", "virtual_hosts": [hosts]}


def _route(rule: Mapping[str, Any]) -> dict[str, Any]:
    (match,) = rule["matches"]
    wanted: dict[str, Any] = {"path_separated_prefix": match["path"]["value"]}
    headers = [{"name": one["name"], "string_match": {"exact": one["value"]}} for one in match.get("headers", ())]
    clusters = [{"name": one["name"], "weight": one["weight"]} for one in rule["backendRefs"]]
    removed = [name for one in rule["filters"] for name in one["requestHeaderModifier"]["remove"]]
    return {
        "match": wanted | ({"headers": headers} if headers else {}),
        "route": {"weighted_clusters": {"clusters": clusters}},
        "request_headers_to_remove": removed,
    }


class Envoy:
    """Listens on loopback; `follow` gives it another HTTPRoute, as its controller would."""

    def __init__(self, folder: Path, backends: Mapping[str, int]) -> None:
        self._folder, self._backends = folder, backends
        self._port = free_port()
        self._routes = folder / "routes.json"

    def follow(self, manifest: Mapping[str, Any]) -> None:
        """Envoy reads the file anew when another is moved onto its name."""
        written = self._folder / "next.json"
        written.write_text(json.dumps({"version_info": str(time.time()), "resources": [routes(manifest)]}))
        written.rename(self._routes)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Runs in the block; `follow` comes before."""
        config = self._folder / "envoy.json"
        config.write_text(json.dumps(self._bootstrap()))
        command = [
            os.environ["ENVOY"],
            "-c",
            str(config),
            "--use-dynamic-base-id",
            "--concurrency",
            "1",
            "-l",
            "warning",
        ]
        with (self._folder / "envoy.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            self._await_ready(process)
            yield
        finally:
            process.terminate()
            process.wait()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Status and body."""
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}{path}", headers=dict(headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        for _ in range(600):
            assert process.poll() is None, (self._folder / "envoy.log").read_text()
            with contextlib.suppress(OSError):
                self.get("/")
                return
            time.sleep(0.1)
        raise AssertionError((self._folder / "envoy.log").read_text())

    def _bootstrap(self) -> dict[str, Any]:
        source = {"path_config_source": {"path": str(self._routes)}, "resource_api_version": "V3"}
        manager = {
            "@type": _MANAGER,
            "stat_prefix": "web",
            "rds": {"route_config_name": "routes", "config_source": source},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}],
        }
        chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        listener = {"name": "web", "address": _address(self._port), "filter_chains": [chain]}
        clusters = [_cluster(name, port) for name, port in self._backends.items()]
        node = {"id": "test", "cluster": "test"}
        return {"node": node, "static_resources": {"listeners": [listener], "clusters": clusters}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(name: str, port: int) -> dict[str, Any]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}]
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": endpoints}}
