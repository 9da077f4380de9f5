"""Kinds that a cluster may lack: looked for now and then, watched while they are served, and never a reason to end."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from plimsoll import names
from plimsoll.edge.cache import Cache
from plimsoll.edge.lister import Lister
from plimsoll.edge.resources import ADD_ONS, HTTP_ROUTE, Resource
from plimsoll.edge.rest import Api, ApiError, Request
from plimsoll.failures import Unavailable
from plimsoll.handlers import Watch, WatchEnded
from plimsoll.settings import Install

logger = logging.getLogger(__name__)

#: How often an add-on is looked for, in seconds: it is installed, or removed, once in a cluster's life.
_LOOK_SECONDS: Final = 15.0
_REMEDIES: Final = {
    HTTP_ROUTE.kind: (
        "install the CRDs of the Gateway API (https://gateway-api.sigs.k8s.io) and a gateway that implements it,"
        " or set spec.traffic.provider: Builtin"
    )
}


#: The smallest HTTPRoute that keeps sessions; it is never stored.
_WITH_SESSION: Final = {
    "apiVersion": HTTP_ROUTE.api_version,
    "kind": HTTP_ROUTE.kind,
    "metadata": {"generateName": "plimsoll-sessions-"},
    "spec": {"rules": [{names.SESSION_FIELD: {"type": "Cookie"}}]},
}
_NO_SESSIONS: Final = (
    "the cluster's HTTPRoutes have no sessionPersistence: install the experimental channel of the Gateway API, with a"
    " gateway that honours it, or remove spec.traffic.gatewayRef.session"
)


class AddOns:
    """`make_watch` gives a watch of some kinds. Before the first `look` every kind counts as missing.

    After it nothing is looked for while nobody `wants` any of them: a world at rest costs no requests.
    """

    def __init__(
        self,
        api: Api,
        cache: Cache,
        make_watch: Callable[..., Watch],
        install: Install,
        wants: Callable[[], bool] = lambda: True,
    ) -> None:
        self._wants = wants
        self._api = api
        self._cache = cache
        self._make_watch = make_watch
        self._namespaces = install.facts.namespaces
        self._own = install.facts.namespace
        self._no_sessions: str | None = "it was not looked for yet"
        self._problems = {one.kind: "it was not looked for yet" for one in ADD_ONS}
        self._watches: dict[str, Watch] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def missing(self, api_version: str, kind: str, field: str = "") -> str | None:
        """Why there can be no object of this kind, or none with this field, with the remedy; None when there can."""
        return (
            self._no_sessions if (kind, field) == (HTTP_ROUTE.kind, names.SESSION_FIELD) else self._problems.get(kind)
        )

    async def look(self) -> None:
        """Look for each kind and list what is new. Raises Unavailable."""
        for resource in ADD_ONS:
            problem = await self._problem(resource)
            if problem is None and self._problems.get(resource.kind) is not None:
                problem = await self._list(resource)
            self._note(resource, problem)
        if HTTP_ROUTE.kind not in self._problems:
            self._no_sessions = await self._without_sessions()

    async def run(self) -> None:
        """For ever: look, and watch what is there. A watch that ends is begun anew at the next look."""
        try:
            while True:
                for resource in ADD_ONS:
                    self._follow(resource)
                await asyncio.sleep(_LOOK_SECONDS)
                if not self._wants():
                    continue
                try:
                    await self.look()
                except Unavailable as error:
                    logger.warning("Add-ons are looked for again: %s", error)
        finally:
            for task in self._tasks.values():
                task.cancel()

    def stop(self) -> None:
        """End the watches soon."""
        for watch in self._watches.values():
            watch.stop()

    async def _problem(self, resource: Resource) -> str | None:
        request = Request("GET", f"/apis/{resource.api_version}", "apis")
        try:
            served = {one["name"] for one in (await self._api.call(request))["resources"]}
        except ApiError as error:
            if error.status != 404:
                return f"{resource.api_version} cannot be looked up: {error}"
            served = set()
        if resource.plural in served:
            return None
        return f"the cluster does not serve {resource.plural} of {resource.api_version}: {_REMEDIES[resource.kind]}"

    async def _without_sessions(self) -> str | None:
        """The API server itself says whether it would keep the field: it checks an object, and stores none."""
        path = HTTP_ROUTE.path(self._namespaces[0] if self._namespaces else self._own)
        terms = {"dryRun": "All", "fieldValidation": "Strict"}
        try:
            await self._api.call(Request("POST", path, HTTP_ROUTE.plural, dict(_WITH_SESSION), terms))
        except ApiError as error:
            unknown = error.status == 400 and "unknown field" in str(error)
            return _NO_SESSIONS if unknown else f"whether HTTPRoutes keep sessions is not known: {error}"
        return None

    async def _list(self, resource: Resource) -> str | None:
        try:
            await self._lister(resource).sync()
        except ApiError as error:
            return (
                f"the operator cannot list {resource.plural} of {resource.api_version}: {error}; see the chart's roles"
            )
        return None

    def _lister(self, resource: Resource) -> Lister:
        return Lister(self._api, self._cache, self._namespaces, random.random, (resource,))

    def _note(self, resource: Resource, problem: str | None) -> None:
        before = self._problems.get(resource.kind)
        if problem == before:
            return
        logger.info("%s: %s", resource.plural, problem or "served, and watched from now on")
        if problem is None:
            del self._problems[resource.kind]
            return
        self._problems[resource.kind] = problem
        if (watch := self._watches.pop(resource.kind, None)) is not None:
            watch.stop()
            # What was deleted with its kind is deleted: nobody would tell us.
            for one in tuple(self._cache.every(resource.api_version, resource.kind)):
                self._cache.remove(one)

    def _follow(self, resource: Resource) -> None:
        """Begin to watch, when the kind is there and nobody watches it."""
        task = self._tasks.get(resource.kind)
        if resource.kind in self._problems or (task is not None and not task.done()):
            return
        watch = self._watches[resource.kind] = self._make_watch(resources=(resource,))
        self._tasks[resource.kind] = asyncio.create_task(self._watched(resource, watch))

    async def _watched(self, resource: Resource, watch: Watch) -> None:
        """The watch, and the periodic lists that find what it missed."""
        listing: asyncio.Task[None] = asyncio.create_task(self._lister(resource).run())
        try:
            await watch.run()
        except WatchEnded as error:
            logger.warning("The watch of %s is begun anew: %s", resource.plural, error)
        finally:
            listing.cancel()
