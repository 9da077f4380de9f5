"""Which models were running when a process died: a mark in memory that the next process of the pod reads.

A crash, or the kernel for want of memory, takes every model of the process along. Those that were running are under
suspicion: from then on they run one at a time, so that the next death has one of them to blame. A model that two deaths
are blamed on is not run again in that pod, and its neighbours are.
"""

import mmap
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

from plimsoll_serving.jobs import Computing, Cost, Job, Result
from plimsoll_serving.logs import LOGGER

# Deaths that are blamed on a model before it is not run again.
DEATHS = 2
SUFFIX = ".run"
# Of a mark: runs under way, deaths.
RUNS, BLAMED = 0, 1


class Running:
    """Marks of the pod's models, as files of two bytes. Made before any of them runs.

    Args:
        folder: survives the process, and is the pod's own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._deaths = _blamed(folder)
        self._marks: dict[str, mmap.mmap] = {}
        self._one_at_a_time = ThreadPoolExecutor(1, thread_name_prefix="suspects")

    def deaths(self, revision: str) -> int:
        """How many ends of a process are blamed on its runs."""
        return self._deaths.get(revision, 0)

    def workers(self, revision: str, usual: Executor) -> Executor:
        """The threads that may run it."""
        return self._one_at_a_time if self.deaths(revision) else usual

    def watched(self, revision: str, model: Computing) -> Computing:
        """The model, with a mark while it runs."""
        mark = self._marks.get(revision)
        if mark is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{revision}{SUFFIX}"
            path.write_bytes(bytes((0, self.deaths(revision))))
            with path.open("r+b") as file:
                mark = self._marks[revision] = mmap.mmap(file.fileno(), 2)
        return _Watched(model, mark, bool(self.deaths(revision)))

    def forget(self, revision: str) -> None:
        """It is nobody's revision any more."""
        self._deaths.pop(revision, None)
        self._marks.pop(revision, None)
        (self._folder / f"{revision}{SUFFIX}").unlink(missing_ok=True)

    def close(self) -> None:
        self._one_at_a_time.shutdown(wait=False, cancel_futures=True)


class _Watched:
    """A model whose runs are marked. One under suspicion never runs on the loop, but in its thread."""

    def __init__(self, model: Computing, mark: mmap.mmap, suspect: bool) -> None:
        self._model = model
        self._mark = mark
        self._suspect = suspect
        self._lock = threading.Lock()
        self._runs = 0

    @property
    def cost(self) -> Cost:
        return self._model.cost

    @property
    def run_cost(self) -> Cost | None:
        return None if self._suspect else self._model.run_cost

    @property
    def clock(self) -> Callable[[], float]:
        return self._model.clock

    def execute(self, batch: list[Job]) -> list[Result]:
        self._count(1)
        try:
            return self._model.execute(batch)
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._runs += change
            self._mark[RUNS] = min(self._runs, 255)


def _blamed(folder: Path) -> dict[str, int]:
    """Deaths by revision, with that of the process before this one. Who was blamed before is blamed first."""
    marks = {path.stem: path.read_bytes() for path in folder.glob(f"*{SUFFIX}")} if folder.is_dir() else {}
    whole = {revision: mark for revision, mark in marks.items() if len(mark) == RUNS + BLAMED + 1}
    ran = {revision for revision, mark in whole.items() if mark[RUNS]}
    guilty = {revision for revision in ran if whole[revision][BLAMED]} or ran
    deaths = {revision: mark[BLAMED] + (revision in guilty) for revision, mark in whole.items()}
    for revision, count in deaths.items():
        (folder / f"{revision}{SUFFIX}").write_bytes(bytes((0, min(count, 255))))
    if guilty:
        LOGGER.error("the process before this one died in a run", extra={"fields": {"revisions": sorted(guilty)}})
    return {revision: count for revision, count in deaths.items() if count}
