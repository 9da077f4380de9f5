"""Which models are in memory. One at a time is loaded; the least recently used is put out under the budget."""

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
from plimsoll_serving.pool.host import MAX_WAITING, Host, State

# A session keeps its weights about twice (as read, and as laid out for its kernels), and a little besides.
FILE_FACTOR = 2
FIXED_BYTES = 1 << 20
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
        marks: where a file says which model is being loaded, for the process that comes after this one.
    """

    def __init__(self, budget: int, marks: Path, hosts: Callable[[], Iterable[Host]]) -> None:
        self.budget = budget
        self._marks = marks
        self._hosts = hosts
        self._loop = asyncio.get_running_loop()
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self._wanted: dict[Host, None] = {}
        self._loading: asyncio.Task[None] | None = None
        self.loads = 0
        self.evictions = 0

    def now(self) -> float:
        """Loop time in seconds."""
        return self._loop.time()

    @property
    def used(self) -> int:
        return sum(host.size for host in self._hosts())

    @property
    def settled(self) -> bool:
        """Whether nothing waits to be loaded."""
        return not self._wanted and self._loading is None

    def want(self, host: Host, resume: Callable[[], None] | None = None) -> bool:
        """Bring a model into memory soon, then call ``resume``. False when too many wait for it."""
        if resume is not None:
            if len(host.resume) >= MAX_WAITING:
                return False
            host.resume.append(resume)
        if not host.in_memory:
            self._wanted[host] = None
            host.loads()
        if self._loading is None:
            self._loading = self._loop.create_task(self._run())
        return True

    def close(self) -> None:
        self._loader.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        try:
            while self._wanted:
                # Whom somebody waits for comes first; else in the order in which they were wanted.
                host = next((one for one in self._wanted if one.resume), next(iter(self._wanted)))
                del self._wanted[host]
                if not host.dropped and not host.in_memory:
                    await self._bring(host)
                waiting, host.resume = host.resume, []
                for resume in waiting:
                    _resumed(resume, host)
        finally:
            self._loading = None

    async def _bring(self, host: Host) -> None:
        try:
            expected = _expected(host)
            if expected > self.budget:
                raise ArtifactError(
                    f"the model takes about {expected >> 20} MiB of memory, all models of the pool share "
                    f"{self.budget >> 20} MiB: raise spec.resources.memory of the ServingPool"
                )
            self._make_room(expected)
            loaded = await self._loop.run_in_executor(self._loader, self._load, host)
            if host.dropped:
                return
            host.serves(loaded.engine, max(expected, loaded.grown))
        except (ArtifactError, SettingsError) as error:
            LOGGER.error("a model cannot be served: %s", error, extra={"fields": {"revision": host.revision}})
            host.fails(str(error))
            return
        except Exception as error:
            LOGGER.exception("a model could not be loaded", extra={"fields": {"revision": host.revision}})
            host.fails(f"it could not be loaded: {type(error).__name__}")
            return
        self.loads += 1
        host.used_at = self._loop.time()
        self._make_room(0, keep=host)

    def _make_room(self, size: int, keep: Host | None = None) -> None:
        """Put out what was not used for the longest time; never one with requests under way."""
        idle = [host for host in self._hosts() if host.in_memory and host.idle and host is not keep]
        idle.sort(key=lambda host: (not host.pinned, -host.used_at))
        while idle and self.used + size > self.budget:
            host = idle.pop()
            host.put_out()
            self.evictions += 1
            LOGGER.info("put out of memory", extra={"fields": {"revision": host.revision}})

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


def _resumed(resume: Callable[[], None], host: Host) -> None:
    """What fails for one request must keep no other from being answered, and no other model from being loaded."""
    try:
        resume()
    except Exception:
        LOGGER.exception("a request could not be handled", extra={"fields": {"revision": host.revision}})


def _expected(host: Host) -> int:
    """Bytes in memory, from the size of the file. Raises ArtifactError when there is none."""
    path = host.settings.model_dir / MODEL_FILE
    try:
        return FILE_FACTOR * path.stat().st_size + FIXED_BYTES
    except FileNotFoundError:
        raise ArtifactError(f"{path} does not exist") from None


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
