"""The observer of batches: keeps references for a moment, then counts them together.

Counting costs about a microsecond a row with 30 features when it is done for many rows at once, and fifty for a row
by itself: therefore rows are gathered, for at most a quarter of a second. What a busy server answers beyond
``rows_per_second`` is not counted: bins are compared as shares, and those of the first rows of each quarter second are
as good.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plimsoll_serving.counting.bins import Bins
from plimsoll_serving.counting.plan import Plan
from plimsoll_serving.families import CounterFamily, Family, GaugeFamily
from plimsoll_serving.logs import ErrorLog
from plimsoll_serving.settings import Identity

Arrays = dict[str, NDArray[Any]]
TICK_SECONDS = 0.25
GATHERED_ROWS = 256
GATHERED_BYTES = 4 << 20
OUTCOMES = ("counted", "skipped", "failed")


class Loop(Protocol):
    """What is needed of the event loop."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> object: ...

    def call_soon_threadsafe(self, callback: Callable[..., None], /, *args: Any) -> object: ...


class BinCounter:
    """Bins of the own model's answers. Made on the event loop, and counts there; batches may come from any thread.

    Memory: at most ``GATHERED_ROWS`` rows or ``GATHERED_BYTES`` of arrays wait, and the batch that exceeds them.

    Args:
        rows_per_second: rows that are counted at most, in quarters of a second.
    """

    def __init__(self, identity: Identity, plan: Plan, rows_per_second: int, loop: Loop | None = None) -> None:
        self._identity = identity
        self._plan = plan
        self._quota = max(1, int(rows_per_second * TICK_SECONDS))
        self._room = self._quota
        self._loop: Loop = loop or asyncio.get_running_loop()
        self._owner = threading.get_ident()
        self._ticking = False
        self._gathered: list[tuple[Arrays, Arrays]] = []
        self._rows = 0
        self._bytes = 0
        self._totals = dict.fromkeys(OUTCOMES, 0)
        self._errors = ErrorLog()
        self._lead = plan.lead

    def observe(self, inputs: Arrays, outputs: Arrays, _: int = 0) -> None:
        """Take note of one batch; the arrays must not change afterwards. Never raises."""
        if threading.get_ident() == self._owner:
            self._take(inputs, outputs)
        else:
            self._loop.call_soon_threadsafe(self._take, inputs, outputs)

    def _take(self, inputs: Arrays, outputs: Arrays) -> None:
        try:
            self._gather(inputs, outputs)
        except Exception as error:  # a count must not cost an answer
            self._failed(0, error)

    def _gather(self, inputs: Arrays, outputs: Arrays) -> None:
        lead = inputs[self._lead]
        rows = len(lead)
        room = self._room - rows
        if room < 0:
            self._totals["skipped"] -= room
            if self._room == 0:
                return
            rows, room = self._room, 0
            inputs, outputs = _first(inputs, rows), _first(outputs, rows)
        self._room = room
        self._gathered.append((inputs, outputs))
        self._rows += rows
        self._bytes += lead.nbytes
        if self._rows >= GATHERED_ROWS or self._bytes >= GATHERED_BYTES:
            self.count()
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        self._room = self._quota
        self.count()

    def count(self) -> None:
        """Count what has been gathered. Never raises."""
        if not self._gathered:
            return
        gathered, rows = self._gathered, self._rows
        self._gathered, self._rows, self._bytes = [], 0, 0
        failure: Exception | None = None
        for side, wanted in ((0, self._plan.features), (1, self._plan.outputs)):
            for name, bins in wanted:
                try:
                    _add(bins, [batch[side][name] for batch in gathered if name in batch[side]])
                except Exception as error:  # one tensor that cannot be counted leaves the others
                    failure = error
        if failure is not None:
            self._failed(rows, failure)
        else:
            self._totals["counted"] += rows

    def _failed(self, rows: int, error: Exception) -> None:
        self._totals["failed"] += rows
        self._errors.report("bins could not be counted", detail=f"{type(error).__name__}: {error}"[:300])

    def collect(self) -> Iterator[Family]:
        """The families; what waits is counted first."""
        self.count()
        yield self._family("plimsoll_prediction_bin", "output", "Predictions by the bin of the profile.", 1)
        yield self._family("plimsoll_feature_bin", "feature", "Values of features by the bin of the profile.", 0)
        yield self._profile()
        me = self._identity
        rows = CounterFamily(
            "plimsoll_bin_rows", "Rows whose bins were counted, or why not.", labels=("model", "version", "outcome")
        )
        for outcome, count in self._totals.items():
            rows.add((me.model, me.version, outcome), count)
        yield rows

    def _family(self, name: str, label: str, help_text: str, side: int) -> Family:
        me = self._identity
        family = CounterFamily(name, help_text, labels=("model", "version", label, "bin"))
        for _, bins in (self._plan.features, self._plan.outputs)[side]:
            for entry, label_of_bin, count in bins.series():
                family.add((me.model, me.version, entry, label_of_bin), count)
        return family

    def _profile(self) -> Family:
        """What the counts are to be compared with."""
        me = self._identity
        family = GaugeFamily(
            "plimsoll_feature_profile_rows",
            "Rows of the version's profile by the bin of a feature.",
            labels=("model", "version", "feature", "bin"),
        )
        for feature, label, rows in self._plan.profile:
            family.add((me.model, me.version, feature, label), rows)
        return family


def _first(arrays: Arrays, rows: int) -> Arrays:
    return {name: array[:rows] for name, array in arrays.items() if array.ndim}


def _add(bins: Bins, arrays: list[NDArray[Any]]) -> None:
    """Arrays of one width in one go; those of a model that takes several widths by each of them."""
    widths: dict[tuple[int, ...], list[NDArray[Any]]] = {}
    for array in arrays:
        widths.setdefault(array.shape[1:], []).append(array)
    for alike in widths.values():
        bins.add(alike[0] if len(alike) == 1 else np.concatenate(alike))
