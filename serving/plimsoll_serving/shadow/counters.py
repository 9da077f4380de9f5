"""Counters of shadow pairs. Bounded whatever the answers hold: pairs of arms, outputs and classes have a maximum."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from plimsoll_serving.families import CounterFamily, Family
from plimsoll_serving.shadow.compare import Difference

MAX_PAIRS = 4
MAX_OUTPUTS = 16
MAX_CLASSES = 10
MAX_NAME = 100
OTHER = "other"
WHO = ("model", "stable", "candidate")


class Outcome(StrEnum):
    """What came of one mirrored request; the values of the metric's label ``outcome``."""

    MATCH = "match"
    MISMATCH = "mismatch"
    STABLE_ERROR = "stable_error"
    CANDIDATE_ERROR = "candidate_error"
    BOTH_ERROR = "both_error"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    DROPPED = "dropped"


DIRECTIONS = ("above", "below", "level", "not_finite")


@dataclass(slots=True)
class _Output:
    """Sums of `Difference` over pairs: of `rows`, and of `requests` by the shares of their rows."""

    equal: int = 0
    different: int = 0
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DIRECTIONS, 0))
    requests: dict[str, float] = field(default_factory=lambda: dict.fromkeys(DIRECTIONS, 0.0))
    sums: dict[str, float] = field(default_factory=lambda: {"above": 0.0, "below": 0.0})
    squared: float = 0.0
    classes: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, difference: Difference) -> None:
        self.different += difference.different
        self.equal += difference.rows - difference.different
        counts = {direction: getattr(difference, direction) for direction in DIRECTIONS}
        directed = sum(counts.values())
        for direction, count in counts.items():
            self.rows[direction] += count
            self.requests[direction] += count / directed if directed else 0.0
        self.sums["above"] += difference.excess
        self.sums["below"] += difference.shortfall
        self.squared += difference.squared
        for direction, counts in (("gained", difference.gained), ("lost", difference.lost)):
            for name, count in counts.items():
                self._class(name)[direction] += count

    def _class(self, name: str) -> dict[str, int]:
        name = name[:MAX_NAME]
        if name not in self.classes and len(self.classes) >= MAX_CLASSES:
            name = OTHER
        return self.classes.setdefault(name, {"gained": 0, "lost": 0})


@dataclass(slots=True)
class _Pair:
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    outputs: dict[str, _Output] = field(default_factory=dict)


class ShadowCounters:
    """Counts by pair of revisions; touched on the event loop only."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._pairs: dict[tuple[str, str], _Pair] = {}

    def add_pair(self, stable: str, candidate: str) -> None:
        """Let every outcome of a pair exist with the value 0. Beyond four pairs the one added first is forgotten."""
        if (stable, candidate) not in self._pairs:
            if len(self._pairs) >= MAX_PAIRS:
                del self._pairs[next(iter(self._pairs))]
            self._pairs[stable, candidate] = _Pair()

    def count(self, stable: str, candidate: str, outcome: Outcome) -> None:
        self.add_pair(stable, candidate)
        self._pairs[stable, candidate].outcomes[outcome] += 1

    def note(self, stable: str, candidate: str, outputs: dict[str, Difference]) -> None:
        """The outputs of one compared pair; those beyond the first 16 are left out."""
        self.add_pair(stable, candidate)
        known = self._pairs[stable, candidate].outputs
        for name, difference in outputs.items():
            if name in known or len(known) < MAX_OUTPUTS:
                known.setdefault(name, _Output()).add(difference)

    def collect(self) -> Iterator[Family]:
        pairs = CounterFamily(
            "plimsoll_shadow_pairs", "Mirrored requests by what came of the pair.", labels=(*WHO, "outcome")
        )
        rows = CounterFamily("plimsoll_shadow_rows", "Rows compared, by output.", labels=(*WHO, "output", "outcome"))
        for (stable, candidate), pair in self._pairs.items():
            who = (self._model, stable, candidate)
            for outcome, count in pair.outcomes.items():
                pairs.add((*who, outcome.value), count)
            for name, output in pair.outputs.items():
                rows.add((*who, name, "equal"), output.equal)
                rows.add((*who, name, "different"), output.different)
        yield from (pairs, rows, *self._differences(), self._classes())

    def _outputs(self) -> Iterator[tuple[tuple[str, ...], _Output]]:
        for (stable, candidate), pair in self._pairs.items():
            for name, output in pair.outputs.items():
                yield (self._model, stable, candidate, name), output

    def _differences(self) -> Iterator[Family]:
        labels = (*WHO, "output")
        rows = CounterFamily(
            "plimsoll_shadow_difference_rows",
            "Rows of one float by where the candidate lies to the stable, beyond the tolerance.",
            labels=(*labels, "direction"),
        )
        requests = CounterFamily(
            "plimsoll_shadow_difference_requests",
            "The same of requests, each by the shares of its rows.",
            labels=(*labels, "direction"),
        )
        sums = CounterFamily(
            "plimsoll_shadow_difference",
            "Sums of the distances upwards and downwards; their difference is the signed sum.",
            labels=(*labels, "direction"),
        )
        squares = CounterFamily("plimsoll_shadow_squared_difference", "Sum of the squared distances.", labels=labels)
        for who, output in self._outputs():
            if not any(output.rows.values()):
                continue
            for direction in DIRECTIONS:
                rows.add((*who, direction), output.rows[direction])
                requests.add((*who, direction), output.requests[direction])
            for direction, distance in output.sums.items():
                sums.add((*who, direction), distance)
            squares.add(who, output.squared)
        yield from (rows, requests, sums, squares)

    def _classes(self) -> Family:
        classes = CounterFamily(
            "plimsoll_shadow_class_rows",
            "Rows in which only the candidate (gained), or only the stable (lost), said a class.",
            labels=(*WHO, "output", "class", "direction"),
        )
        for who, output in self._outputs():
            for name, counts in output.classes.items():
                for direction, count in counts.items():
                    classes.add((*who, name, direction), count)
        return classes
