"""Where the verdicts on many releases stand, one a run, so that the next window of all of them is judged at once.

The functions of `plimsoll.core.statistics` compare things side by side, the edges; here each edge is a run. What they
carry from window to window has the runs on one axis of each array: which one is found by trial, once, so that this
holds whatever the statistics carry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.measures import Bounds, Comparison
from plimsoll.core.statistics.tables import Rows
from plimsoll.core.statistics.wealth import Array

State = TypeVar("State", "Standing", Comparison)
#: Two numbers of runs that nothing else in a state is as long as.
_FEW, _MORE = 101, 103


@dataclass(frozen=True, slots=True)
class Standing:
    """Of each run: the comparison of its errors, what the breaker takes of the last windows (windows, 5, runs), when
    the spell under way began, the step of the last window that counts, the candidate's requests in it, and the stable
    version's in all."""

    comparison: Comparison
    recent: Array
    spell: Array
    step: NDArray[np.int64]
    in_step: Array
    stable: Array

    @classmethod
    def new(cls, runs: int, pods: int, looks_back: int) -> Standing:
        """Before the first window. A row of zeros says nothing, and gives every array its shape."""
        bounds = Bounds(np.full(runs, 1.5), np.zeros(runs), np.full(runs, 0.01))
        rows = Rows(np.zeros((1, 4, runs)), np.zeros((1, 2, pods, runs)), np.zeros(1, dtype=np.int64), np.array([True]))
        return cls(
            comparison=Comparison().after(rows, bounds, 0.2)[0],
            recent=np.zeros((looks_back, 5, runs)),
            spell=np.full(runs, -np.inf),
            step=np.full(runs, -2),  # no step's name
            in_step=np.zeros(runs),
            stable=np.zeros(runs),
        )


def taken(state: State, runs: NDArray[Any]) -> State:
    """Only these runs, by mask or by number."""
    return _each(lambda axis, values: _folded(_unfolded(values, axis)[_at(axis, runs)], axis), state)


def put(state: State, runs: NDArray[Any], part: State) -> State:
    """The state with that of `runs` replaced; what is not a run's own is that of `part`."""

    def replaced(axis: _Axis, values: Array, new: Array) -> Array:
        values = _unfolded(values.copy(), axis)
        values[_at(axis, runs)] = _unfolded(new, axis)
        return _folded(values, axis)

    return _each(replaced, state, part)


def joined(states: Sequence[State]) -> State:
    """The runs of all of these, in their order; at least one."""

    def together(axis: _Axis, *values: Array) -> Array:
        parts = [_unfolded(one, axis) for one in values]
        return _folded(np.concatenate(parts, axis=axis.place + 1), axis)

    return states[0] if len(states) == 1 else _each(together, *states)


@dataclass(frozen=True, slots=True)
class _Axis:
    """Where the runs are in an array, and how many times over."""

    place: int
    times: int


def _at(axis: _Axis, runs: NDArray[Any]) -> tuple[Any, ...]:
    return (*(slice(None),) * (axis.place + 1), runs)


def _unfolded(values: Array, axis: _Axis) -> Array:
    """With the runs once, on the axis behind that of the times."""
    shape, place = values.shape, axis.place
    return values.reshape(*shape[:place], axis.times, shape[place] // axis.times, *shape[place + 1 :])


def _folded(values: Array, axis: _Axis) -> Array:
    shape, place = values.shape, axis.place
    return values.reshape(*shape[:place], shape[place] * shape[place + 1], *shape[place + 2 :])


def _each(change: Callable[..., Array], state: State, *others: State) -> State:
    """With each array changed; what is none is taken from the last of the states."""

    def changed(axis: Any, *mine: Any) -> Any:
        if isinstance(axis, _Axis):
            return change(axis, *mine)
        if is_dataclass(axis):
            return type(mine[0])(**{
                one.name: changed(*(getattr(of, one.name) for of in (axis, *mine))) for one in fields(axis)
            })  # fmt: skip
        return mine[-1]

    found: State = changed(_axes().comparison if isinstance(state, Comparison) else _axes(), state, *others)
    return found


@lru_cache(maxsize=1)
def _axes() -> Standing:
    """A Standing that has an _Axis for each array."""

    def axis(few: Any, more: Any) -> Any:
        if is_dataclass(few) and not isinstance(few, type):
            names = [one.name for one in fields(few)]
            pairs = {name: axis(getattr(few, name), getattr(more, name)) for name in names}
            return few.__class__(**pairs)
        if not isinstance(few, np.ndarray):
            return None
        differ = [at for at, (short, long) in enumerate(zip(few.shape, more.shape, strict=True)) if short != long]
        return _Axis(differ[0], few.shape[differ[0]] // _FEW) if differ else None

    found: Standing = axis(*(Standing.new(runs, 3, 3) for runs in (_FEW, _MORE)))
    return found
