"""Which models are in memory. One at a time is loaded, once there is room: the least recently used is put out for it,
but none that is at work, and so a model may have to wait. Nothing that is under way waits for a model to be loaded, so
that room comes as soon as runs end.
"""

import asyncio
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from plimsoll_serving.artifact import MODEL_FILE
from plimsoll_serving.engine import Engine, load
from plimsoll_serving.errors import ArtifactError, SettingsError
from plimsoll_serving.logs import LOGGER
from plimsoll_serving.pool import running
from plimsoll_serving.pool.host import MAX_WAITING, Host, State, Waiting

# A session keeps its weights once, as laid out for its kernels, and a little besides. On the way there they are kept
# three times (the file, the graph as read, the session); the half of the limit that is not the models' bears one.
KEPT_FACTOR = 1
LOADING_FACTOR = 2
FIXED_BYTES = 1 << 20
# What is waited for room, and a load under way, are looked at this often.
ROOM_SECONDS = 0.01
NO_ROOM = (
    "the models in memory are all at work and leave no room for it; try again later, or raise spec.resources.memory of "
    "the ServingPool"
)
NO_ROOM_BESIDE = (
    "it is out of memory and does not fit in beside the models that are in a release or in use; raise "
    "spec.resources.memory of the ServingPool"
)
# A model that was asked within these is in use: it is not put out for one that nobody waits for.
IN_USE_SECONDS = 60.0
# A process that died this often while it loaded a model does not load it again.
DEATHS = 2


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model, and by how many bytes the process grew for it."""

    engine: Engine
    grown: int


class Residents:
    """Used on the event loop only; what loads is in a thread of its own.

    Args:
        budget: bytes that all models in memory together may be taken to have.
        queue_seconds: what a request may wait for room.
        marks: where a file says which model is being loaded, for the process that comes after this one.
    """

    def __init__(self, budget: int, queue_seconds: float, marks: Path) -> None:
        self.budget = budget
        self._queue_seconds = queue_seconds
        self._marks = marks
        self._loop = asyncio.get_running_loop()
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loader")
        # Bytes that each is expected to take.
        self._wanted: dict[Host, int] = {}
        # In memory, or on the way there; those too that no document names any more, while they answer.
        self._residents: set[Host] = set()
        self._running: asyncio.Task[None] | None = None
        self.loads = 0
        self.evictions = 0

    def now(self) -> float:
        """Loop time in seconds."""
        return self._loop.time()

    @property
    def used(self) -> int:
        return sum(host.size for host in self._residents)

    def want(self, host: Host, answer: Callable[[str], None] | None = None) -> bool:
        """Bring a model into memory soon. False when too many wait for it.

        Args:
            answer: called once, with nothing when the model is there or cannot be loaded, else with why it was not
                tried.
        """
        if answer is not None:
            if len(host.waiting) >= MAX_WAITING:
                return False
            host.waiting.append(Waiting(answer, self.now()))
        if host not in self._residents:
            self._wanted.setdefault(host, self._expected(host))
            host.loads()
            if self._running is None:
                self._running = self._loop.create_task(self._run())
        return True

    def recall(self, host: Host) -> None:
        """Bring a model back that its release needs and no request waits for, unless others in a release or in use
        would have to go for it: the two would put each other out again and again, and users would wait for that.
        """
        if host.state is State.READY and host not in self._residents and self.reconsider(host):
            self.want(host)

    def reconsider(self, host: Host) -> bool:
        """Whether a proven model that is out of memory fits in beside those that stay; where not, it says so."""
        fits = self._held(recalled=True) + self._expected(host) <= self.budget
        if not fits and host.took_at < self.now() - IN_USE_SECONDS:
            host.took = 0  # it may have been other work that the process grew by: measured again, should its file fit
        host.misses("" if fits else NO_ROOM_BESIDE)
        return fits

    def look(self) -> None:
        """Put out what no document names any more, and what is over the budget, as far as nothing is under way."""
        for host in [one for one in self._residents if one.dropped and one.idle]:
            self._put_out(host)
        self._make_room(0)

    def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
        self._loader.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        try:
            while self._wanted:
                host = self._next()
                if host is None:
                    for lacking in self._wanted:
                        lacking.lacks(NO_ROOM)
                    self._refuse_late()
                    await asyncio.sleep(ROOM_SECONDS)
                    continue
                expected = self._wanted.pop(host)
                if not host.dropped:
                    await self._bring(host, expected)
                waiting, host.waiting = host.waiting, []
                for one in waiting:
                    _answer(one, host, "")
                self._make_room(0)
        finally:
            self._running = None

    def _next(self) -> Host | None:
        """The first for which there is room, or nothing to be made; whom somebody waits for comes before the others."""
        for host in sorted(self._wanted, key=lambda one: not one.waiting):
            expected = self._wanted[host]
            recalled = host.state is State.READY and not host.waiting
            if host.dropped or expected > self.budget or self._held(recalled) + expected <= self.budget:
                return host
        return None

    def _held(self, recalled: bool = False) -> int:
        """Bytes that cannot be had: of models that are being loaded or have requests under way. For one that is
        recalled, of those too that are in a release or in use.
        """
        lately = self.now() - IN_USE_SECONDS
        kept = [
            host for host in self._residents if not host.idle or (recalled and (host.pinned or host.used_at > lately))
        ]
        return sum(host.size for host in kept)

    def _refuse_late(self) -> None:
        """Whoever waits for room for longer than a queue may take is told so. The model comes when there is room."""
        oldest = self.now() - self._queue_seconds
        late = [host for host in self._wanted if host.waiting and host.waiting[0].since < oldest]
        held = self._held() if late else 0
        for host in late:
            if held + self._wanted[host] > self.budget:
                told = [one for one in host.waiting if one.since < oldest]
                host.waiting = host.waiting[len(told) :]
                for one in told:
                    _answer(one, host, NO_ROOM)

    async def _bring(self, host: Host, expected: int) -> None:
        try:
            if expected > self.budget:
                raise ArtifactError(
                    f"the model takes about {expected >> 20} MiB of memory, all models of the pool share "
                    f"{self.budget >> 20} MiB: raise spec.resources.memory of the ServingPool"
                )
            self._make_room(expected)
            host.loads()
            host.size = expected
            self._residents.add(host)
            loaded = await self._loaded(host)
            if not host.dropped:
                # Other work makes the process grow, too: one model is never taken for more than all may have.
                host.took_at = self.now()
                host.took = min(self.budget, max(_from_file(host, KEPT_FACTOR), loaded.grown))
                host.serves(loaded.engine, host.took)
                self.loads += 1
                host.used_at = self.now()
        except (ArtifactError, SettingsError) as error:
            LOGGER.error("a model cannot be served: %s", error, extra={"fields": {"revision": host.revision}})
            host.fails(str(error))
        except Exception as error:
            LOGGER.exception("a model could not be loaded", extra={"fields": {"revision": host.revision}})
            host.fails(f"it could not be loaded: {type(error).__name__}")
        finally:
            if not host.in_memory:
                self._put_out(host)

    def _expected(self, host: Host) -> int:
        """Bytes that loading it takes, by its file, or by what it took the last time."""
        return max(_from_file(host, LOADING_FACTOR), host.took)

    async def _loaded(self, host: Host) -> Loaded:
        load = self._loop.run_in_executor(self._loader, self._load, host)
        while not load.done():
            await asyncio.wait([load], timeout=ROOM_SECONDS)
            self._refuse_late()
        return load.result()

    def _make_room(self, size: int) -> None:
        """Put out what was not used for the longest time; never one with requests under way."""
        over = self.used + size - self.budget
        if over <= 0:
            return
        for host in sorted(self._residents, key=lambda one: (one.pinned, one.used_at)):
            if over > 0 and host.idle:
                over -= host.size
                self._put_out(host)
                self.evictions += 1
                LOGGER.info("put out of memory", extra={"fields": {"revision": host.revision}})

    def _put_out(self, host: Host) -> None:
        self._residents.discard(host)
        host.put_out()

    def _load(self, host: Host) -> Loaded:
        """In the loader's thread. A mark stays behind when the process does not survive it."""
        mark = self._marks / f"{host.revision}.loading"
        deaths = _deaths(mark)
        if deaths >= DEATHS:
            raise ArtifactError(f"the server died {deaths} times while it loaded this model: it is not tried again")
        if host.deaths >= running.DEATHS:
            raise ArtifactError(
                f"the server died {host.deaths} times while it ran this model: in this pod it is not asked again"
            )
        self._marks.mkdir(parents=True, exist_ok=True)
        mark.write_text(str(deaths + 1))
        before = _resident_bytes()
        try:
            engine = load(host.settings)
        finally:
            mark.unlink()
        return Loaded(engine, _resident_bytes() - before)


def _answer(waiting: Waiting, host: Host, why: str) -> None:
    """What fails for one request must keep no other from being answered, and no other model from being loaded."""
    try:
        waiting.answer(why)
    except Exception:
        LOGGER.exception("a request could not be handled", extra={"fields": {"revision": host.revision}})


def _from_file(host: Host, factor: int) -> int:
    """Bytes in memory, from the size of the file; loading says when there is none."""
    try:
        return factor * (host.settings.model_dir / MODEL_FILE).stat().st_size + FIXED_BYTES
    except FileNotFoundError:
        return 0


def _deaths(mark: Path) -> int:
    try:
        return int(mark.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def unproven(hosts: Iterable[Host]) -> bool:
    """Whether a model has neither been tried nor been said to be unavailable."""
    return any(host.state is State.LOADING or (host.state is State.WAITING and not host.reason) for host in hosts)
