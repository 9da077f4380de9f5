"""Events for humans, and the same facts as JSON lines of the audit log. Never a Secret's content."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from plimsoll.edge.resources import EVENT
from plimsoll.edge.rest import MERGE_PATCH, Api, ApiError, Request
from plimsoll.facts import Manifest, Notice
from plimsoll.failures import Unavailable

logger = logging.getLogger(__name__)
audit = logging.getLogger("plimsoll.audit")

_REMEMBERED = 2048
#: The API server takes at most 1024 characters.
_LONGEST = 1024


@dataclass(slots=True)
class _Posted:
    name: str
    count: int


class Recorder:
    """Posts Events: the same fact about the same object again raises the count of the Event that is there.

    `now` is Unix seconds; `instance` names this process.
    """

    def __init__(self, api: Api, instance: str, now: Callable[[], float]) -> None:
        self._api = api
        self._instance = instance
        self._now = now
        self._posted: OrderedDict[str, _Posted] = OrderedDict()

    async def record(self, about: Manifest, notice: Notice) -> None:
        """The audit line always; the Event as well as can be."""
        meta = about["metadata"]
        fact = {"type": notice.type, "reason": notice.reason, "kind": about["kind"], "namespace": meta["namespace"]}
        audit.info(notice.message, extra={"audit": fact | {"name": meta["name"], "uid": meta["uid"]}})
        try:
            await self._post(about, notice)
        except (ApiError, Unavailable) as error:
            logger.warning(
                "The Event %s about %s %s was not posted: %s", notice.reason, about["kind"], meta["name"], error
            )

    async def _post(self, about: Manifest, notice: Notice) -> None:
        fact = "\0".join((about["metadata"]["uid"], notice.type, notice.reason, notice.message))
        key = sha256(fact.encode()).hexdigest()[:16]
        posted = self._posted.get(key)
        if posted is None or not await self._again(about, posted):
            posted = _Posted(f"{about['metadata']['name'][:200]}.{key}.{int(self._now() * 1000):x}", 1)
            await self._first(about, notice, posted.name)
        self._posted[key] = posted
        self._posted.move_to_end(key)
        while len(self._posted) > _REMEMBERED:
            self._posted.popitem(last=False)

    async def _again(self, about: Manifest, posted: _Posted) -> bool:
        """Count it up; False when the Event has expired."""
        body = {"count": posted.count + 1, "lastTimestamp": self._stamp()}
        path = EVENT.path(about["metadata"]["namespace"], posted.name)
        try:
            await self._api.call(Request("PATCH", path, EVENT.plural, body, content_type=MERGE_PATCH))
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        posted.count += 1
        return True

    async def _first(self, about: Manifest, notice: Notice, name: str) -> None:
        meta, stamp = about["metadata"], self._stamp()
        event = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"name": name, "namespace": meta["namespace"]},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
                "resourceVersion": meta["resourceVersion"],
            },
            "type": notice.type,
            "reason": notice.reason,
            "message": notice.message if len(notice.message) <= _LONGEST else f"{notice.message[: _LONGEST - 1]}…",
            "source": {"component": "plimsoll"},
            "reportingComponent": "plimsoll",
            "reportingInstance": self._instance,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        await self._api.call(Request("POST", EVENT.path(meta["namespace"]), EVENT.plural, event))

    def _stamp(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
