"""One service of the pool: its revisions, its route, and the split between its versions inside this process."""

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import Executor

from plimsoll_serving.delegate import Delegate, Delegated, Outcome, Settled
from plimsoll_serving.http.message import Request, Response
from plimsoll_serving.logs import LOGGER
from plimsoll_serving.metrics import ArmMetrics
from plimsoll_serving.pool.document import Files, Member
from plimsoll_serving.pool.host import Host, Shared
from plimsoll_serving.pool.settings import PoolSettings, of_revision
from plimsoll_serving.readiness import Readiness
from plimsoll_serving.route import Arm, Route
from plimsoll_serving.routing import Role, Routing
from plimsoll_serving.settings import Identity


class LocalRouting(Routing):
    """The primary is always here. A candidate that is not in memory gets no request that it would be blamed for."""

    def __init__(self, on_change: Callable[[Route], None], available: Callable[[str], bool]) -> None:
        super().__init__("", on_change, random.random)
        self._available = available

    def _role_in(self, route: Route) -> Role:
        self._revision = route.primary
        return Role.PRIMARY

    def choose(self, request: Request) -> Arm | None:
        arm = super().choose(request)
        if arm is None or self.route is None or arm.revision == self._revision or self._available(arm.revision):
            return arm
        return self.route.arm(self._revision)


class LocalDelegate(Delegate):
    """Hands a request to another revision in this process, and waits for it no longer than for one elsewhere."""

    def __init__(self, host: Callable[[str], Host | None]) -> None:
        super().__init__(0)
        self._host = host

    def send(self, arm: Arm, request: Request, seconds: float, settled: Settled) -> None:
        host = self._host(arm.revision)
        if host is None:
            settled(Delegated(Outcome.UNREACHABLE, None, "the revision is not in this pod"))
            return
        attempt = _Attempt(request, seconds, settled)
        host.used_at = self._loop.time()
        host.direct.handle(attempt.request, attempt.answered)


class _Attempt:
    """One request to another revision: its answer, or that none came in time."""

    def __init__(self, request: Request, seconds: float, settled: Settled) -> None:
        loop = asyncio.get_running_loop()
        self.request = request.copy()
        self.request.deadline = loop.time() + seconds
        self._seconds = seconds
        self._settled: Settled | None = settled
        self._timer = loop.call_later(max(0.0, seconds), self._late)

    def answered(self, response: Response) -> None:
        self._timer.cancel()
        self._settle(Delegated(Outcome.of_status(response.status), response))

    def _late(self) -> None:
        self.request.cancelled = True
        self._settle(Delegated(Outcome.TIMEOUT, None, f"no answer within {self._seconds:g} seconds"))

    def _settle(self, result: Delegated) -> None:
        settled, self._settled = self._settled, None
        if settled is not None:
            settled(result)


class Service:
    """``member`` is its document as it was read last, in force or not."""

    def __init__(self, member: Member, settings: PoolSettings, workers: Executor, readiness: Readiness) -> None:
        self.name = member.service
        self.model = member.model
        self.epoch = -1
        self.member: Member | None = None
        self.hosts: dict[str, Host] = {}
        self.arms = ArmMetrics(member.model)
        self.routing = LocalRouting(self._routed, self._available)
        self.delegate = LocalDelegate(self.hosts.get)
        self._settings = settings
        self._shared = Shared(self.routing, self.delegate, self.arms, workers, readiness)

    @property
    def primary(self) -> Host | None:
        """What answers first; None before a version is in service."""
        return self.hosts.get(self.routing.route.primary) if self.routing.route else None

    def of_version(self, version: str) -> Host | None:
        """The revision of a version, the newest named where two have it."""
        found = [host for host in self.hosts.values() if host.settings.identity.version == version]
        return found[-1] if found else None

    def apply(self, member: Member) -> None:
        """Follow a document, unless its epoch is lower than the one in force."""
        self.member = member
        if member.epoch < self.epoch:
            LOGGER.warning(
                "document of %s of epoch %d ignored: epoch %d is in force", self.name, member.epoch, self.epoch
            )
            return
        self.epoch, self.model = member.epoch, member.model
        for revision, files in member.revisions.items():
            if revision not in self.hosts:
                self.hosts[revision] = self._made(member, revision, files)
        for revision in self.hosts.keys() - member.revisions.keys():
            self.hosts.pop(revision).dropped = True
        for revision in self.hosts:
            self.arms.add(revision)
        self.arms.keep(self.hosts)
        if member.route is not None:
            self.routing.apply(member.route)
        for host in self.hosts.values():
            host.metrics.route_epoch = self.epoch

    def _made(self, member: Member, revision: str, files: Files) -> Host:
        common = self._settings.common.identity
        identity = Identity(member.model, files.version, revision, member.service, common.namespace, common.pod)
        profile = files.profile.sha256 if files.profile else None
        return Host(of_revision(self._settings, identity, files.artifact.sha256, profile), self._shared)

    def _routed(self, route: Route) -> None:
        for arm in route.arms:
            self.arms.add(arm.revision)
        self.delegate.follow(route.arms)
        shared = {arm.revision for arm in route.serving} if len(route.serving) > 1 else set()
        for revision, host in self.hosts.items():
            host.pinned = revision in shared

    def _available(self, revision: str) -> bool:
        host = self.hosts.get(revision)
        return host is not None and host.in_memory
