"""Requests to the API server: JSON in and out, one time limit for all, failures told apart.

`ApiError` is what the API server said; `Unavailable` is that it said nothing useful (network, time-out, 429, 5xx).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import incluster_config, kube_config

from plimsoll.edge.telemetry import API_REQUESTS
from plimsoll.failures import Unavailable

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
#: Longest time of one request in seconds.
REQUEST_TIMEOUT: Final = 5.0

Json = dict[str, Any]


class ApiError(Exception):
    """An answer that is not a success: HTTP `status`, `reason` as in metav1.Status, and the server's sentence."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `path` begins with a slash; `resource` is the plural, for the metric."""

    verb: str
    path: str
    resource: str
    body: Any = None
    params: Mapping[str, str] | None = None
    content_type: str = JSON


async def configuration(context: str | None = None) -> Configuration:
    """From the pod's service account where there is one, else from KUBECONFIG (or ~/.kube/config)."""
    config = Configuration()
    if context is None and incluster_config.SERVICE_HOST_ENV_NAME in os.environ:
        incluster_config.load_incluster_config(client_configuration=config)
    else:
        await kube_config.load_kube_config(context=context, client_configuration=config)
    return config


class Api:
    """The connection. One per process, closed at its end."""

    def __init__(self, config: Configuration, timeout: float = REQUEST_TIMEOUT) -> None:
        self.timeout = timeout
        self._client = ApiClient(config)
        self._client.user_agent = "plimsoll"

    async def close(self) -> None:
        await self._client.close()

    async def call(self, request: Request) -> Json:
        """The answer's JSON. Raises ApiError or Unavailable."""
        try:
            status, text = await asyncio.wait_for(self._send(request), self.timeout)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            API_REQUESTS.labels(request.verb, request.resource, "none").inc()
            why = str(error) or f"no answer within {self.timeout:g} s"
            raise Unavailable(f"API server: {request.verb} {request.path}: {why}") from error
        API_REQUESTS.labels(request.verb, request.resource, str(status)).inc()
        if 200 <= status < 300:
            return cast("Json", json.loads(text))
        raise _failure(request, status, text)

    async def _send(self, request: Request) -> tuple[int, bytes]:
        method, url, headers, body, _ = await self._client.param_serialize(
            request.verb,
            request.path,
            query_params=list((request.params or {}).items()),
            header_params={"Accept": JSON, "Content-Type": request.content_type},
            body=request.body,
            auth_settings=["BearerToken"],
        )
        response = await self._client.call_api(method, url, headers, body, _request_timeout=self.timeout)
        return response.status, await response.read()


def _failure(request: Request, status: int, text: bytes) -> Exception:
    try:
        said = json.loads(text)
        reason, message = said.get("reason", ""), said.get("message", "")
    except (ValueError, AttributeError):
        reason, message = "", text[:200].decode(errors="replace")
    if status == 429 or status >= 500:
        return Unavailable(f"API server: {request.verb} {request.path}: HTTP {status} {message}")
    return ApiError(status, reason, message or f"HTTP {status}")
