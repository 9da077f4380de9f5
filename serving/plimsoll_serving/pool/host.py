"""One revision in this process: how far it is, and what answers for it."""

import asyncio
import json
import random
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from plimsoll_serving.delegate import Delegate
from plimsoll_serving.endpoints import Endpoints
from plimsoll_serving.engine import Engine
from plimsoll_serving.errors import SettingsError
from plimsoll_serving.evidence import Evidence
from plimsoll_serving.forwarding import Forwarding
from plimsoll_serving.inference import Inference
from plimsoll_serving.metrics import ArmMetrics, ServingMetrics
from plimsoll_serving.payload.log import WaitingBytes
from plimsoll_serving.payload.options import PayloadOptions
from plimsoll_serving.pool.running import Running
from plimsoll_serving.readiness import Readiness
from plimsoll_serving.route import Arm
from plimsoll_serving.routing import Routing
from plimsoll_serving.settings import Settings
from plimsoll_serving.shadow.mirror import Held, Mirror, Shadow

# Requests that may wait for a model to come into memory.
MAX_WAITING = 256


class State(StrEnum):
    """As the operator reads it. READY stays when the model is put out of memory: it was proven, and comes back."""

    WAITING = "waiting"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


class HostReadiness(Readiness):
    """Of one model in a pod that has its own."""

    def __init__(self, pod: Readiness) -> None:
        super().__init__()
        self._pod = pod
        self.why = ""

    @property
    def ready(self) -> bool:
        return self.loaded and not self._pod.draining

    @property
    def reason(self) -> str:
        if self._pod.draining:
            return self._pod.reason
        return "ready" if self.loaded else self.why or "the model is being loaded"


@dataclass(frozen=True, slots=True)
class Common:
    """What all models of the pod share: threads, and the bounds of what copies and payload logs may hold."""

    workers: Executor
    readiness: Readiness
    running: Running
    copies: Held
    payloads: WaitingBytes


@dataclass(frozen=True, slots=True)
class Shared:
    """What the revisions of one service share."""

    routing: Routing
    delegate: Delegate
    arms: ArmMetrics
    reach: Callable[[Arm], Shadow]
    common: Common


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request for a model that is not in memory: see `Residents.want`. ``since`` is loop time."""

    answer: Callable[[str], None]
    since: float


class Host:
    """A revision.

    Attributes:
        public, direct: its endpoints; the public ones split as the service's route says.
        used_at: loop time of its last request.
        size: bytes that it is taken to have in memory while it is there, or on its way there.
        took, took_at: bytes that it had the last time, and the loop time of that; 0 before it was in memory.
        pinned: it takes a share of a release, and goes out of memory last.
        waiting: requests that wait for it, in the order in which they came.
    """

    def __init__(self, settings: Settings, shared: Shared) -> None:
        common = shared.common
        self.settings = settings
        self.readiness = HostReadiness(common.readiness)
        self.metrics = ServingMetrics(settings.identity, shared.arms)
        self.evidence, refused = _evidence(settings, common.payloads)
        self.metrics.others.append(self.evidence)
        forwarding = Forwarding(shared.routing, shared.delegate, self.metrics)
        self.mirror = Mirror(self.metrics.shadow, settings.mirror, random.random, shared.reach, common.copies)
        self.inference = Inference(settings, shared.routing, forwarding, self.mirror, self.metrics, self.readiness)
        self._running = common.running
        self.inference.share(self._running.workers(self.revision, common.workers))
        self.public, self.direct = (
            Endpoints(settings.identity, self.inference, self.readiness, delegates, self.evidence.feedback)
            for delegates in (True, False)
        )
        self.state = State.WAITING
        self.used_at = asyncio.get_running_loop().time()
        self.size = self.took = 0
        self.took_at = 0.0
        self.pinned = False
        self.dropped = False
        self.waiting: list[Waiting] = []
        if refused:
            self.fails(refused)

    @property
    def revision(self) -> str:
        return self.settings.identity.revision

    @property
    def in_memory(self) -> bool:
        return self.inference.engine is not None

    @property
    def reason(self) -> str:
        """Why it is not ready; empty when there is nothing to say."""
        return self.readiness.why

    @property
    def deaths(self) -> int:
        """How many processes of the pod died in its runs."""
        return self._running.deaths(self.revision)

    @property
    def idle(self) -> bool:
        """Whether it is in memory and could be put out."""
        return self.in_memory and self.inference.under_way == 0

    def waits(self, why: str = "") -> None:
        """Its file is not there yet."""
        if self.state is State.WAITING:
            self.readiness.why = why

    def loads(self) -> None:
        if self.state is not State.READY:
            self.state = State.LOADING
            self.readiness.why = ""

    def lacks(self, what: str) -> None:
        """It would be loaded if there were room."""
        if self.state is State.LOADING:
            self.readiness.why = what

    def misses(self, what: str) -> None:
        """It was proven, and is kept out of memory; with nothing, it may come back."""
        self.readiness.why = what

    def serves(self, engine: Engine, size: int) -> None:
        """In memory, verified and warm. Raises SettingsError when its payload log cannot be kept as asked for."""
        self.evidence.attach(engine)
        self.size = size
        self.inference.serve(engine, self._running.watched(self.revision, engine))
        self.state = State.READY
        self.readiness.loaded = True
        self.readiness.why = ""

    def fails(self, why: str) -> None:
        """Not to be tried again in this process."""
        self.state = State.FAILED
        self.readiness.loaded = False
        self.readiness.why = why

    def put_out(self) -> None:
        """Out of memory; the next request brings it back."""
        self.inference.forget()
        self.size = 0

    def drop(self) -> None:
        """No document names it any more; what is under way is still answered."""
        self.dropped = True
        self.mirror.close()
        self._running.forget(self.revision)
        if self.evidence.logs:
            # It blocks while the sink takes what waits.
            asyncio.get_running_loop().run_in_executor(None, self.evidence.close)

    def look(self) -> bool:
        """Whether its files have come; what the fetcher said when they could not."""
        if self.settings.model_dir.is_dir():
            return True
        said = read_note(note_path(self.settings.model_dir))
        if said is not None and said.final:
            self.fails(said.reason)
        else:
            self.waits(said.reason if said is not None else "")
        return False


def _evidence(settings: Settings, payloads: WaitingBytes) -> tuple[Evidence, str]:
    """And why the payload log cannot be kept as asked for; then the revision is not served, and its neighbours are."""
    try:
        return Evidence(settings, payloads), ""
    except SettingsError as error:
        return Evidence(replace(settings, payload_log=PayloadOptions()), payloads), str(error)


@dataclass(frozen=True, slots=True)
class Note:
    """Why the fetcher has not brought a revision's files; ``final`` says that trying again would not help."""

    reason: str
    final: bool


def note_path(folder: Path) -> Path:
    """Beside a revision's folder."""
    return folder.with_name(f"{folder.name}.note")


def read_note(path: Path) -> Note | None:
    try:
        said = json.loads(path.read_bytes())
        return Note(str(said["reason"])[:300], bool(said["final"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
