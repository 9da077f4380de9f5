"""Two processes of this server on one core, and a route document that both follow."""

import json
import time
from contextlib import ExitStack
from typing import Any

import httpx

from bench.serving.launches import plimsoll_process
from bench.serving.measure import Plan, Row
from bench.serving.models import ModelFile
from bench.serving.process import Launch, serving

REVISIONS = ("bench-1", "bench-2")
# The discard port, which nothing listens on.
NOBODY = "127.0.0.1:9"


class Pair:
    """Two processes of this server, and a route document that both follow."""

    def __init__(self, plan: Plan, model: ModelFile, stack: ExitStack) -> None:
        self._epoch = 0
        self.folders = [(plan.build / "run" / revision).absolute() for revision in REVISIONS]
        for folder in self.folders:
            (folder / "route.json").unlink(missing_ok=True)
        launches = [
            plimsoll_process(model, folder, revision, {})
            for folder, revision in zip(self.folders, REVISIONS, strict=True)
        ]
        self.servers = [stack.enter_context(serving(launch, plan.server_core)) for launch in launches]
        self._addresses = [f"127.0.0.1:{launch.env['PLIMSOLL_DIRECT_PORT']}" for launch in launches]

    def route(self, weights: tuple[int, int], away: bool = False, **changes: Any) -> None:
        """Share the requests that reach the first one; both get the document in one rename.

        ``away``: nothing listens at the second one's address. ``changes`` are those of `route_document`.
        """
        self._epoch += 1
        addresses = [self._addresses[0], NOBODY if away else self._addresses[1]]
        text = json.dumps(route_document(self._epoch, addresses, weights, **changes))
        for folder in self.folders:
            fresh = folder / "route.new"
            fresh.write_text(text)
            fresh.replace(folder / "route.json")

    def follow(self) -> None:
        """Until both report the newest document."""
        deadline = time.monotonic() + 20
        for server in self.servers:
            while httpx.get(_route_url(server.launch)).json()["epoch"] != self._epoch:
                if time.monotonic() > deadline:
                    raise RuntimeError("the servers do not follow the route document")
                time.sleep(0.02)


def route_document(
    epoch: int, addresses: list[str], weights: tuple[int, int], mode: str = "Serve", sticky: str | None = None
) -> Row:
    """The document of two arms (docs/contracts.md); ``mode`` is the second one's, ``sticky`` the name of a header."""
    arms = [
        {"revision": revision, "version": "1", "weight": weight, "mode": arm_mode, "address": address}
        for revision, address, weight, arm_mode in zip(REVISIONS, addresses, weights, ("Serve", mode), strict=True)
    ]
    return {
        "formatVersion": 1,
        "epoch": epoch,
        "primary": REVISIONS[0],
        "arms": arms,
        "sticky": {"header": sticky} if sticky else None,
        "delegateTimeoutSeconds": 2.0,
        "validUntil": None,
        "maxBlindSeconds": 900,
    }


def _route_url(launch: Launch) -> str:
    return launch.ready.replace("/readyz", "/route")
