"""All services of the pod, as the documents name them."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from plimsoll_serving.logs import LOGGER
from plimsoll_serving.payload.log import WAITING_BYTES, WaitingBytes
from plimsoll_serving.pool.document import Member
from plimsoll_serving.pool.documents import Documents
from plimsoll_serving.pool.host import Common, Host, State
from plimsoll_serving.pool.residents import Residents, unproven
from plimsoll_serving.pool.running import Running
from plimsoll_serving.pool.service import Service
from plimsoll_serving.pool.settings import PoolSettings
from plimsoll_serving.readiness import Readiness
from plimsoll_serving.shadow.mirror import Held

POLL_SECONDS = 0.05
# Files are looked for this many polls apart.
LOOK_EVERY = 4


class Pool:
    """Follows documents and files. Made inside a running event loop."""

    def __init__(self, settings: PoolSettings, readiness: Readiness) -> None:
        self._settings = settings
        self._readiness = readiness
        self._documents = Documents(settings.documents)
        self._workers = ThreadPoolExecutor(settings.common.workers, thread_name_prefix="inference")
        self._running = Running(settings.folder / "marks")
        self._common = Common(self._workers, readiness, self._running, Held(), WaitingBytes(each=WAITING_BYTES // 4))
        self.services: dict[str, Service] = {}
        self.by_model: dict[str, list[Service]] = {}
        queue_seconds = settings.common.bounds.queue_seconds
        self.residents = Residents(settings.memory_bytes, queue_seconds, settings.folder / "marks")
        self._timer: asyncio.TimerHandle | None = None
        self._polls = 0

    def hosts(self) -> Iterator[Host]:
        """Every revision of every service."""
        for service in self.services.values():
            yield from service.hosts.values()

    def start(self) -> None:
        """Look now, then go on looking."""
        self.look()
        self._timer = asyncio.get_running_loop().call_later(POLL_SECONDS, self.start)

    def look(self) -> None:
        """Follow what changed; the pod is ready once every model that it found was tried."""
        members = self._documents.changed()
        if members is not None:
            self._follow(members)
        if members is not None or self._polls % LOOK_EVERY == 0:
            for host in self.hosts():
                if host.state is State.WAITING and host.look():
                    self.residents.want(host)
                elif host.state is State.READY and host.reason and not host.in_memory:
                    self.residents.reconsider(host)
        self.residents.look()
        self._polls += 1
        if not self._readiness.loaded and not unproven(self.hosts()):
            self._readiness.loaded = True

    def _follow(self, members: dict[str, Member]) -> None:
        for gone in self.services.keys() - members.keys():
            self.services.pop(gone).drop()
        for name, member in members.items():
            try:
                self._apply(name, member)
            except Exception:  # one service's document must not keep the others' from being followed
                LOGGER.exception("a document could not be followed", extra={"fields": {"service": name}})
        self.by_model = {}
        for service in self.services.values():
            self.by_model.setdefault(service.model, []).append(service)

    def _apply(self, name: str, member: Member) -> None:
        if name not in self.services:
            self.services[name] = Service(member, self._settings, self._common, self.residents.recall)
        if self.services[name].member is not member:
            self.services[name].apply(member)

    @property
    def under_way(self) -> int:
        """Requests not answered yet."""
        return sum(host.inference.under_way + len(host.waiting) for host in self.hosts())

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.residents.close()
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._running.close()
        for host in self.hosts():
            host.mirror.close()
        # Together: each waits for its sink.
        await asyncio.gather(*(asyncio.to_thread(one.evidence.close) for one in self.hosts() if one.evidence.logs))
