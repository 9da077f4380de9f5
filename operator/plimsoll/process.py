"""The life of one operator process: look, wait for the Lease, act, stop in order."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any

from kubernetes.aio.client.configuration import Configuration

from plimsoll import names
from plimsoll.addons import AddOns
from plimsoll.converge.ports import Pass, World
from plimsoll.converge.queue import Queue
from plimsoll.converge.schedule import Schedule
from plimsoll.edge.bells import concerned
from plimsoll.edge.cache import Cache
from plimsoll.edge.cluster import Cluster
from plimsoll.edge.events import Recorder
from plimsoll.edge.health import HealthServer
from plimsoll.edge.lease import Lease, Terms
from plimsoll.edge.lister import Lister
from plimsoll.edge.metrics import Scrape
from plimsoll.edge.outward import Outward
from plimsoll.edge.resources import WATCHED
from plimsoll.edge.rest import Api, ApiError, Request
from plimsoll.edge.signing import load_signer
from plimsoll.edge.sources import Sources
from plimsoll.edge.store import S3
from plimsoll.edge.store_admin import StoreAdmin
from plimsoll.edge.telemetry import QUEUE_DEPTH, RECONCILE_SECONDS, RECONCILES, SERVICE_STATES, forget
from plimsoll.facts import Manifest, Ref
from plimsoll.failures import Unavailable
from plimsoll.handlers import Watch
from plimsoll.settings import Install

logger = logging.getLogger(__name__)

#: For how long running passes may finish after a stop, in seconds. The pod's grace period is longer.
_FINISH = 12.0
_RETRY = 2.0


class Telemetry:
    """The queue's observer."""

    def passed(self, ref: Ref, result: str, seconds: float) -> None:
        RECONCILES.labels(ref.kind, result).inc()
        RECONCILE_SECONDS.labels(ref.kind).observe(seconds)

    def depth(self, waiting: int) -> None:
        QUEUE_DEPTH.set(waiting)


class Process:
    """`login` gives the client's configuration; `passes` reconcile the kinds."""

    def __init__(
        self, install: Install, api: Api, login: Callable[[], Awaitable[Configuration]], passes: Mapping[str, Pass]
    ) -> None:
        self._install = install
        self._api = api
        self._passes = passes
        self._cache = Cache()
        terms = Terms(install.facts.namespace, install.lease_name, install.identity)
        self._lease = Lease(api, terms, time.monotonic)
        self._lister = Lister(api, self._cache, install.facts.namespaces, random.random)
        self._watch = Watch(self._feed, login, install.facts.namespaces)
        watch = partial(Watch, self._feed, login, install.facts.namespaces)
        self._add_ons = AddOns(api, self._cache, watch, install, self._wants_gateways)
        self._queue = Queue(self._work, Schedule(random.random), Telemetry(), time.monotonic, install.workers)
        self._cache.subscribe(self._ring)
        self._cache.subscribe(self._forget)
        SERVICE_STATES.source = self._services
        self._health = HealthServer(self._waiting_for, install.http_port)
        self._scrape = Scrape(time.time)
        self._outward: Outward | None = None
        self._world: World | None = None
        self._kinds_served = False
        self._parts: list[asyncio.Task[None]] = []
        self._passing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until it is cancelled, which stops it in order. Raises Lost, WatchEnded or ApiError: the process must end."""
        await self._health.start()
        try:
            await _patiently(self._kinds_there, "the custom resources")
            self._kinds_served = True
            await _patiently(self._lister.sync, "the first list of every kind")
            await _patiently(self._add_ons.look, "the add-ons")
            self._start(self._watch.run())
            self._start(self._add_ons.run())
            self._start(self._lister.run())
            await self._until(self._start(self._lease.acquire()))
            self._start(self._lease.hold())
            self._world = await self._make_world()
            self._passing = self._start(self._queue.run())
            await self._until(self._passing)
        finally:
            await self._stop()

    def _start(self, part: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(part)
        self._parts.append(task)
        return task

    async def _until(self, awaited: asyncio.Task[None]) -> None:
        """Wait for one part; what ends another part before it is raised."""
        running = [part for part in self._parts if not part.done() or part is awaited]
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for part in done:
            part.result()
        if awaited not in done:
            raise RuntimeError("a part of the operator ended without an error")

    async def _stop(self) -> None:
        """Running passes finish while the Lease is still renewed; then it is released."""
        self._queue.stop()
        if self._passing is not None and self._lease.remaining() > 0:
            await asyncio.wait([self._passing], timeout=_FINISH)
        self._watch.stop()
        self._add_ons.stop()
        for part in self._parts:
            part.cancel()
        await asyncio.gather(*self._parts, return_exceptions=True)
        await self._lease.release()
        await self._scrape.close()
        if self._outward is not None:
            await self._outward.close()
        await self._health.stop()

    async def _make_world(self) -> World:
        install = self._install
        recorder = Recorder(self._api, install.identity, time.time)
        store = install.store
        credentials = (store.access_key_id, store.secret_access_key)
        admin = StoreAdmin(store.admin_endpoint, store.region, credentials) if store.managed else None
        cluster = Cluster(self._api, self._cache, recorder, self._lease.remaining, self._add_ons.missing)
        self._outward = Outward(cluster.get, install.facts, install.credentials)
        return World(
            cluster=cluster,
            metrics=self._scrape,
            store=S3(store, self._api, admin),
            signer=await load_signer(self._api, install.facts.namespace),
            settings=install.facts,
            now=time.time,
            sources=Sources(self._outward, install.facts, time.time),
        )

    async def _work(self, ref: Ref) -> float | None:
        assert self._world is not None
        return await self._passes[ref.kind](self._world, ref)

    def _feed(self, manifest: Mapping[str, Any], deleted: bool) -> None:
        if deleted:
            self._cache.remove(manifest)
        else:
            self._cache.put(manifest)

    def _ring(self, changed: Manifest) -> None:
        for ref in concerned(self._cache, changed):
            if ref.kind in self._passes:
                self._queue.ring(ref)

    def _forget(self, changed: Manifest) -> None:
        """A namespace without services has no series."""
        kind, namespace = changed["kind"], changed["metadata"].get("namespace", "")
        if kind == "InferenceService" and not self._cache.select(names.API_VERSION, kind, namespace):
            forget(namespace)

    def _services(self) -> Iterator[Manifest]:
        return self._cache.every(names.API_VERSION, "InferenceService")

    def _wants_gateways(self) -> bool:
        specs = ((one.get("spec") or {}).get("traffic") or {} for one in self._services())
        return any(spec.get("provider") == "GatewayAPI" for spec in specs)

    def _waiting_for(self) -> str:
        if not self._kinds_served:
            return "the custom resources: install the CRDs"
        if not self._lister.synced.is_set():
            return "the first list of every kind"
        return "" if self._lease.known.is_set() else "the Lease"

    async def _kinds_there(self) -> None:
        """Raises Unavailable with what to do when the CRDs are not installed yet."""
        try:
            answer = await self._api.call(Request("GET", f"/apis/{names.API_VERSION}", "apis"))
        except ApiError as error:
            if error.status != 404:
                raise
            answer = {"resources": []}
        served = {resource["name"] for resource in answer["resources"]}
        missing = [r.plural for r in WATCHED if r.ours and r.plural not in served]
        if missing:
            raise Unavailable(f"{', '.join(missing)} of {names.GROUP} are not served: install the CRDs")


async def _patiently(step: Callable[[], Awaitable[object]], what: str) -> None:
    """Repeat `step` until the world lets it happen; say once a minute what is waited for."""
    said = float("-inf")
    while True:
        try:
            await step()
            return
        except Unavailable as error:
            if time.monotonic() - said >= 60:
                said = time.monotonic()
                logger.warning("Waiting for %s: %s", what, error)
            await asyncio.sleep(_RETRY)
