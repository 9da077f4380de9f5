"""One service of the pool: its revisions, its route, and the split between its versions inside this process."""

from collections.abc import Callable

from plimsoll_serving.logs import LOGGER
from plimsoll_serving.metrics import ArmMetrics
from plimsoll_serving.pool.document import Files, Member
from plimsoll_serving.pool.host import Common, Host, Shared
from plimsoll_serving.pool.local import LocalDelegate, LocalRouting, LocalShadow
from plimsoll_serving.pool.settings import PoolSettings, of_revision
from plimsoll_serving.route import Arm, Route
from plimsoll_serving.settings import Identity


class Service:
    """``member`` is its document as it was read last, in force or not.

    Args:
        recall: has a model that its release needs brought back into memory.
    """

    def __init__(self, member: Member, settings: PoolSettings, common: Common, recall: Callable[[Host], None]) -> None:
        self.name = member.service
        self.model = member.model
        self.epoch = -1
        self.member: Member | None = None
        self.hosts: dict[str, Host] = {}
        self.arms = ArmMetrics(member.model)
        self.routing = LocalRouting(self._routed, lambda revision: self._in_memory(revision) is not None)
        self.delegate = LocalDelegate(self.hosts.get)
        self._settings = settings
        self._recall = recall
        self._shared = Shared(self.routing, self.delegate, self.arms, self._reach, common)

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
            self.hosts.pop(revision).drop()
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
        return Host(of_revision(self._settings, identity, files), self._shared)

    def _routed(self, route: Route) -> None:
        for arm in route.arms:
            self.arms.add(arm.revision)
        self.delegate.follow(route.arms)
        compared = [*route.serving, *route.shadows]
        shared = {arm.revision for arm in compared} if len(compared) > 1 else set()
        for revision, host in self.hosts.items():
            host.pinned = revision in shared
            shadows = route.shadows if revision == route.primary else ()
            host.mirror.follow(shadows, revision, route.delegate_timeout, route.tolerance)

    def _reach(self, arm: Arm) -> LocalShadow:
        return LocalShadow(lambda: self._in_memory(arm.revision))

    def drop(self) -> None:
        """No document names it any more."""
        for host in self.hosts.values():
            host.drop()

    def _in_memory(self, revision: str) -> Host | None:
        """A revision that could answer now. One that could not is called back for those that come later."""
        host = self.hosts.get(revision)
        if host is None or host.in_memory:
            return host
        self._recall(host)
        return None
