"""One active operator per scope: a Lease, judged by this process's own monotonic clock.

As in client-go's leaderelection: another holder's lease is over when it was not renewed for its whole duration as seen
from here, so the clocks of two machines are never compared. Our own counts from before the request that renewed it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from plimsoll.edge.resources import LEASE
from plimsoll.edge.rest import Api, ApiError, Json, Request
from plimsoll.edge.telemetry import LEADER
from plimsoll.failures import Unavailable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """Which Lease, and its times in seconds."""

    namespace: str
    name: str
    identity: str
    duration: int = 15
    renew_every: float = 5.0
    retry_every: float = 1.0


class Lost(Exception):
    """The lease ran out or another holds it: stop acting at once."""


class Lease:
    """Acquire, hold and release. The same identity takes its lease at once: a restarted container need not wait."""

    def __init__(self, api: Api, terms: Terms, clock: Callable[[], float]) -> None:
        self._api = api
        self._terms = terms
        self._clock = clock
        self._deadline = float("-inf")
        self._seen: tuple[str, float] = ("", 0.0)
        self.known = asyncio.Event()

    def remaining(self) -> float:
        """For how many seconds the lease is surely ours; negative when it is not."""
        return self._deadline - self._clock()

    async def acquire(self) -> None:
        """Wait until the lease is ours. Failures of the API server are waited out."""
        while True:
            try:
                if await self._try():
                    logger.info("Holds the Lease %s as %s", self._terms.name, self._terms.identity)
                    return
                self.known.set()
            except Unavailable as error:
                logger.warning("The Lease cannot be read: %s", error)
            await asyncio.sleep(self._terms.retry_every)

    async def hold(self) -> None:
        """Renew until it is lost. Raises Lost."""
        while True:
            await asyncio.sleep(
                self._terms.renew_every if self.remaining() > self._api.timeout else self._terms.retry_every
            )
            try:
                if not await self._try():
                    self._deadline = float("-inf")
                    raise Lost(f"another instance holds the Lease {self._terms.name}")
            except Unavailable as error:
                logger.warning("The Lease was not renewed (%.1f s left): %s", self.remaining(), error)
            finally:
                LEADER.set(self.remaining() > 0)
            if self.remaining() <= 0:
                raise Lost(f"the Lease {self._terms.name} was not renewed in time")

    async def release(self) -> None:
        """Give it up, so that the next instance starts at once. The last call: nothing may act after it."""
        if self.remaining() <= 0:
            return
        self._deadline = float("-inf")
        LEADER.set(0)
        try:
            found = await self._read()
            if found is not None and _holder(found) == self._terms.identity:
                found["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._api.call(Request("PUT", self._path(), LEASE.plural, found))
        except (ApiError, Unavailable) as error:
            logger.warning("The Lease was not released, the next instance waits for its end: %s", error)

    async def _try(self) -> bool:
        """One attempt to take or renew; whether it is ours now."""
        began = self._clock()
        found = await self._read()
        if found is not None and not self._free(found):
            return False
        try:
            await self._write(found)
        except ApiError as error:
            if error.status == 409:
                return False
            raise
        self._deadline = began + self._terms.duration
        self.known.set()
        LEADER.set(1)
        return True

    def _free(self, found: Json) -> bool:
        holder = _holder(found)
        if holder in ("", self._terms.identity):
            return True
        version, since = self._seen
        if version != found["metadata"]["resourceVersion"]:
            since = self._clock()
            self._seen = (found["metadata"]["resourceVersion"], since)
        return self._clock() - since >= float(found["spec"].get("leaseDurationSeconds") or self._terms.duration)

    async def _read(self) -> Json | None:
        try:
            return await self._api.call(Request("GET", self._path(), LEASE.plural))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def _write(self, found: Json | None) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = dict((found or {}).get("spec") or {})
        taken = spec.get("holderIdentity") != self._terms.identity
        spec |= {
            "holderIdentity": self._terms.identity,
            "leaseDurationSeconds": self._terms.duration,
            "renewTime": now,
            "acquireTime": now if taken else spec.get("acquireTime", now),
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + int(taken and found is not None),
        }
        metadata = found["metadata"] if found else {"name": self._terms.name, "namespace": self._terms.namespace}
        lease = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": spec}
        if found is None:
            await self._api.call(Request("POST", LEASE.path(self._terms.namespace), LEASE.plural, lease))
        else:
            await self._api.call(Request("PUT", self._path(), LEASE.plural, lease))

    def _path(self) -> str:
        return LEASE.path(self._terms.namespace, self._terms.name)


def _holder(found: Json) -> str:
    return str((found.get("spec") or {}).get("holderIdentity") or "")
