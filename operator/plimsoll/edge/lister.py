"""Whole lists of the watched kinds, in chunks: at the start, and again every few minutes.

kopf lists anew after a 410 without saying what was deleted meanwhile; these lists find what vanished.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from plimsoll.edge.cache import Cache
from plimsoll.edge.resources import WATCHED, Resource
from plimsoll.edge.rest import Api, ApiError, Json, Request
from plimsoll.failures import Unavailable

logger = logging.getLogger(__name__)

_CHUNK = "500"
#: What vanished between the first list and the beginning of a watch is found by lists soon after the start, in seconds.
_SOON = (3.0, 30.0)
#: A list that failed is repeated after so many seconds.
_AGAIN = 10.0


class Lister:
    """Fills the cache from lists. `namespaces` is empty for the whole cluster; `jitter` gives numbers in 0..1."""

    def __init__(
        self,
        api: Api,
        cache: Cache,
        namespaces: Sequence[str],
        jitter: Callable[[], float],
        resources: Sequence[Resource] = WATCHED,
    ) -> None:
        self._api = api
        self._resources = resources
        self._cache = cache
        self._namespaces = tuple(namespaces) or ("",)
        self._jitter = jitter
        self.synced = asyncio.Event()

    async def sync(self) -> int:
        """List every kind once; returns how many objects had vanished. Raises ApiError or Unavailable."""
        vanished = 0
        for resource in self._resources:
            for namespace in self._namespaces:
                vanished += await self._list(resource, namespace)
        self.synced.set()
        return vanished

    async def run(self, *, shortest: float = 300.0, longest: float = 600.0) -> None:
        """Sync for ever: soon after the start, then every `shortest` to `longest` seconds."""
        soon = list(_SOON)
        while True:
            await asyncio.sleep(soon.pop(0) if soon else shortest + (longest - shortest) * self._jitter())
            try:
                vanished = await self.sync()
            except (ApiError, Unavailable) as error:
                logger.warning("The periodic list failed and is repeated: %s", error)
                soon.append(_AGAIN)
            else:
                logger.debug("Listed every kind; %d objects had vanished unnoticed", vanished)

    async def _list(self, resource: Resource, namespace: str) -> int:
        listed: list[Json] = []
        params = {"limit": _CHUNK} | ({"labelSelector": resource.selector} if resource.selector else {})
        while True:
            request = Request("GET", resource.path(namespace), resource.plural, params=params)
            answer = await self._api.call(request)
            listed += [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in answer["items"]]
            following = answer["metadata"].get("continue")
            if not following:
                break
            params["continue"] = following
        version = int(answer["metadata"]["resourceVersion"])
        return self._cache.replace(resource.api_version, resource.kind, listed, version=version, namespace=namespace)
