"""The only kopf in the house: watches that feed the cache, and the table of passes.

kopf runs in a thread and event loop of its own: it ends every task of its loop and takes the process's signals, and
both are ours. Only `on.event` handlers are registered, so kopf writes nothing: no annotations, finalizers or Events.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import kopf
from kubernetes.aio.client.configuration import Configuration

from plimsoll.converge import inferenceservice, modelversion, servingpool, trainingjob
from plimsoll.converge.ports import Pass
from plimsoll.edge.resources import ADD_ONS, WATCHED, Resource

#: Which pass reconciles which kind.
PASSES: Final[Mapping[str, Pass]] = {
    "TrainingJob": trainingjob.reconcile,
    "ModelVersion": modelversion.reconcile,
    "InferenceService": inferenceservice.reconcile,
    "ServingPool": servingpool.reconcile,
}

#: Called in the main loop with what was seen and whether it was deleted.
Feed = Callable[[Mapping[str, Any], bool], None]
Login = Callable[[], Awaitable[Configuration]]


class WatchEnded(Exception):
    """A watch ended for good: its error is the cause. The process cannot go on without it."""


class Watch:
    """Watches the kinds in these namespaces (none: the whole cluster) until it is stopped."""

    def __init__(
        self, feed: Feed, login: Login, namespaces: Sequence[str], resources: Sequence[Resource] = WATCHED
    ) -> None:
        self._feed = feed
        self._resources = resources
        self._login = login
        self._namespaces = tuple(namespaces)
        self._stop = threading.Event()
        self._asked = False

    async def run(self) -> None:
        """Raises WatchEnded; returns after `stop`."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[BaseException | None] = loop.create_future()
        arguments = (loop, ended)
        # A daemon, so that a watch that hangs never keeps the process from its end.
        threading.Thread(target=self._in_thread, args=arguments, name="watches", daemon=True).start()
        try:
            error = await ended
        finally:
            self._stop.set()  # else a thread of kopf keeps the process from its end
        if not self._asked:
            raise WatchEnded(f"a watch ended: {error or 'without an error'}") from error

    def stop(self) -> None:
        """End the watches soon."""
        self._asked = True
        self._stop.set()

    def _in_thread(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Future[BaseException | None]) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._operator(loop))
        except Exception as caught:  # handed to the main loop, which ends the process
            error = caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, ended, error)

    async def _operator(self, loop: asyncio.AbstractEventLoop) -> None:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry, id="login", errors=kopf.ErrorsMode.PERMANENT)(self._log_in)
        for resource in self._resources:
            self._handle(registry, resource, loop)
        try:
            await kopf.operator(
                registry=registry,
                settings=kopf_settings(),
                standalone=True,
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                stop_flag=self._stop,
            )
        finally:
            # A thread of kopf waits for the flag, and the loop would wait for that thread.
            self._stop.set()

    def _handle(self, registry: kopf.OperatorRegistry, resource: Resource, loop: asyncio.AbstractEventLoop) -> None:
        @kopf.on.event(*_group_version(resource), resource.plural, registry=registry, id=resource.plural)
        async def seen(event: Mapping[str, Any], **_: Any) -> None:
            manifest = {**event["object"], "apiVersion": resource.api_version, "kind": resource.kind}
            loop.call_soon_threadsafe(self._feed, manifest, event["type"] == "DELETED")

    async def _log_in(self, **_: Any) -> kopf.ConnectionInfo:
        try:
            config = await self._login()
        except Exception:
            self._stop.set()  # kopf would wait for credentials for ever
            raise
        header = config.get_api_key_with_prefix("BearerToken")
        header = await header if inspect.isawaitable(header) else header
        return kopf.ConnectionInfo(
            server=config.host,
            ca_path=config.ssl_ca_cert,
            insecure=not config.verify_ssl,
            token=header.split(" ", 1)[-1] if header else None,
            certificate_path=config.cert_file,
            private_key_path=config.key_file,
        )


def _settle(ended: asyncio.Future[BaseException | None], error: BaseException | None) -> None:
    if not ended.done():
        ended.set_result(error)


def _group_version(resource: Resource) -> tuple[str, str]:
    group, _, version = resource.api_version.rpartition("/")
    return group, version


def kopf_settings() -> kopf.OperatorSettings:
    """Read-only, without a look at CRDs or namespaces, so that Roles in one namespace are enough."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.process.ultimate_exiting_timeout = None
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.watching.chunk_size = 500
    for resource in (*WATCHED, *ADD_ONS):
        if resource.selector:
            settings.watching.label_selectors[(*_group_version(resource), resource.plural)] = resource.selector
    return settings
