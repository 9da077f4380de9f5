"""One window as the ledger has it: a row of numbers, without names and without zeros at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, replace
from typing import Any

from plimsoll.facts import ArmCounts, Cohort, Differences, Labels, OutputBins, Pairs, Window

_COUNTS = ("requests", "failures", "client_errors", "timed", "timeouts", "unreachable")
_EDGES_AT = len(_COUNTS)
#: In a window's own part, by the letter that stands for it there.
_AWAY, _OUTPUTS, _COHORTS, _PAIRS, _DIFFERENCES = "a", "o", "l", "p", "d"


class Bins:
    """Outputs with their bins, each written once; rows have its number."""

    def __init__(self, known: Iterable[tuple[str, tuple[str, ...]]] = ()) -> None:
        self._known = {one: number for number, one in enumerate(known)}

    @classmethod
    def read(cls, table: Sequence[Sequence[Any]]) -> Bins:
        """From what `table` gave."""
        return cls((str(name), tuple(map(str, bins))) for name, bins in table)

    def number(self, output: OutputBins) -> int:
        """Of this output with these bins."""
        return self._known.setdefault((output.name, output.bins), len(self._known))

    def of(self, number: int) -> tuple[str, tuple[str, ...]]:
        """Name and bins of a number."""
        return list(self._known)[number]

    def table(self) -> list[list[Any]]:
        """As the ledger has it."""
        return [[name, list(bins)] for name, bins in self._known]


def written_window(window: Window, bins: Bins) -> list[Any]:
    """Index, start, end, step, weight, gap, what it says of predictions (null for nothing), the arms, the pods."""
    head = [window.index, window.start, window.end, window.step, window.weight, window.gap, _judged(window, bins)]
    return [*head, _arm(window.stable), _arm(window.candidate), *(_arm(pod) for pod in window.stable_pods)]


def _judged(window: Window, bins: Bins) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    if any(window.turned_away):
        found[_AWAY] = list(window.turned_away)
    if window.outputs:
        found[_OUTPUTS] = [[bins.number(one), _short(one.stable), _short(one.candidate)] for one in window.outputs]
    if window.cohorts:
        found[_COHORTS] = [
            [one.age, _short(astuple(one.stable)), _short(astuple(one.candidate))] for one in window.cohorts
        ]
    if window.pairs is not None:
        found[_PAIRS] = list(astuple(window.pairs))
    if window.differences:
        found[_DIFFERENCES] = [_short(astuple(one)) for one in window.differences]
    return found or None


def _arm(arm: ArmCounts) -> list[Any]:
    """Counts, how many edges were counted, and the slower ones up to the last that is not zero."""
    return [*(getattr(arm, name) for name in _COUNTS), len(arm.slower), *_short(arm.slower)]


def _short(counts: Sequence[float]) -> list[float]:
    """Up to the last that is not zero."""
    kept = list(counts)
    while kept and kept[-1] == 0:
        kept.pop()
    return kept


def read_window(row: Sequence[Any], bins: Bins | None) -> Window:
    """The window of a row; `bins` is None for rows of format 2, which say nothing of predictions.

    Raises ValueError, TypeError, KeyError or IndexError for anything else.
    """
    index, start, end, step, weight, gap, *rest = row
    judged, (stable, candidate, *pods) = (None, rest) if bins is None else (rest[0], rest[1:])
    arms = (_read_arm(stable), _read_arm(candidate), tuple(_read_arm(pod) for pod in pods))
    window = Window(int(index), start, end, int(step), int(weight), *arms, gap=gap)
    return window if bins is None or judged is None else _with_judged(window, judged, bins)


def _with_judged(window: Window, judged: dict[str, Any], bins: Bins) -> Window:
    away = judged.get(_AWAY, [0, 0])
    return replace(
        window,
        turned_away=(int(away[0]), int(away[1])),
        outputs=tuple(_read_output(one, bins) for one in judged.get(_OUTPUTS, ())),
        cohorts=tuple(
            Cohort(str(age), Labels(*_read_sums(stable)), Labels(*_read_sums(candidate)))
            for age, stable, candidate in judged.get(_COHORTS, ())
        ),
        pairs=Pairs(*_counted(judged[_PAIRS], 3)) if _PAIRS in judged else None,
        differences=tuple(_read_differences(*row) for row in judged.get(_DIFFERENCES, ())),
    )


def _read_output(row: Sequence[Any], bins: Bins) -> OutputBins:
    number, stable, candidate = row
    name, labels = bins.of(number)
    return OutputBins(name, labels, _counted(stable, len(labels)), _counted(candidate, len(labels)))


def _read_differences(name: Any, *row: Any) -> Differences:
    if len(row) > 7 or not all(isinstance(value, int | float) and value >= 0 for value in row):
        raise ValueError(f"{row} are not seven sums")
    return Differences(str(name), *map(float, row))


def _read_sums(row: Sequence[Any]) -> tuple[Any, ...]:
    """Three counts and three sums, with the zeros that were left out."""
    if len(row) > 6 or not all(isinstance(value, int | float) and value >= 0 for value in row):
        raise ValueError(f"{row} is not three counts and three sums")
    return (*_counted(row[:3], 3), *map(float, row[3:]), *(0.0,) * min(3, 6 - len(row)))


def _counted(row: Sequence[Any], length: int) -> tuple[int, ...]:
    """Counts, with the zeros that were left out."""
    if len(row) > length or not all(isinstance(count, int) and count >= 0 for count in row):
        raise ValueError(f"{row} is not {length} counts")
    return (*row, *(0,) * (length - len(row)))


def _read_arm(row: Sequence[int]) -> ArmCounts:
    counts, rest = dict(zip(_COUNTS, row, strict=False)), row[_EDGES_AT:]
    if not rest or not all(isinstance(count, int) and count >= 0 for count in row) or len(rest) - 1 > rest[0]:
        raise ValueError(f"{row} is not the counts of an arm")
    edges, *slower = rest
    return ArmCounts(**counts, slower=(*slower, *(0,) * (edges - len(slower))))
