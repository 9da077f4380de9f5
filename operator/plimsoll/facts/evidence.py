"""What a verdict is made of: what both arms did between two samples, and what is demanded of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from plimsoll.facts.samples import External


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """What one arm did in one window: counts, not rates.

    `failures` are server errors, unreachable and timeouts; `client_errors` are apart. `slower` counts, for each edge of
    names.LATENCY_EDGES, the requests that took longer; `timed` is how many were timed. `timeouts` and `unreachable` are
    parts of `failures`: the rest are server errors.
    """

    requests: int = 0
    failures: int = 0
    client_errors: int = 0
    timed: int = 0
    slower: tuple[int, ...] = ()
    timeouts: int = 0
    unreachable: int = 0


@dataclass(frozen=True, slots=True)
class OutputBins:
    """Rows of one output by bin, in both arms: `stable` and `candidate` have a count for each of `bins`."""

    name: str
    bins: tuple[str, ...]
    stable: tuple[int, ...]
    candidate: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Labels:
    """What labels said of predictions: classes correct or not; of numbers how many were measured, and their errors.

    Errors are predicted minus true: `over` and `under` are the sums of the sizes of those above and below, `squared`
    of the squares of all.
    """

    correct: int = 0
    incorrect: int = 0
    measured: int = 0
    over: float = 0.0
    under: float = 0.0
    squared: float = 0.0


@dataclass(frozen=True, slots=True)
class Cohort:
    """Labels of one age, by the version that predicted: only those that came equally late are compared."""

    age: str
    stable: Labels
    candidate: Labels


@dataclass(frozen=True, slots=True)
class Pairs:
    """Mirrored requests: the candidate's answer beside the one that the user got.

    `matched` and `differed` were both answered and compared; `candidate_failed` got an answer from the stable arm only
    (errors, unreachable, timed out).
    """

    matched: int = 0
    differed: int = 0
    candidate_failed: int = 0


@dataclass(frozen=True, slots=True)
class Differences:
    """One output of one number a row, of mirrored requests: the candidate's answer beside the one that the user got.

    Requests by the shares of their rows: `above` and `below` are beyond the tolerance of the route, `level` within it,
    and `not_finite` differ without a finite distance. `excess` and `shortfall` are the sums of the distances upwards
    and downwards of so many `rows`, in the unit of the output.
    """

    output: str
    above: float = 0.0
    below: float = 0.0
    level: float = 0.0
    not_finite: float = 0.0
    rows: float = 0.0
    excess: float = 0.0
    shortfall: float = 0.0

    @property
    def requests(self) -> float:
        """Whose answers were compared."""
        return self.above + self.below + self.level + self.not_finite


@dataclass(frozen=True, slots=True)
class Window:
    """Evidence between two samples, at one weight of one step. `gap` names why it cannot count, or is None.

    `turned_away` are requests of the stable version and of the candidate that are in no arm's counts: an open breaker
    kept them from it, or, where a baseline is the stable arm, the rest of the stable version answered them.
    """

    index: int
    start: float
    end: float
    step: int
    weight: int
    stable: ArmCounts
    candidate: ArmCounts
    stable_pods: tuple[ArmCounts, ...] = ()
    gap: str | None = None
    turned_away: tuple[int, int] = (0, 0)
    outputs: tuple[OutputBins, ...] = ()
    cohorts: tuple[Cohort, ...] = ()
    pairs: Pairs | None = None
    differences: tuple[Differences, ...] = ()
    #: Custom metrics and judges, by name.
    external: Mapping[str, External] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`outcome` is Pass, Fail or Inconclusive; `metric` what decided; `mode` Sequential, Absolute or Breaker.

    `hold` names why a person has to look before the release goes on, in one word; it is never set with Pass or Fail.
    """

    outcome: str
    reason: str
    metric: str = ""
    mode: str = "Sequential"
    window: int = 0
    hold: str = ""


@dataclass(frozen=True, slots=True)
class Demand:
    """What the candidate has to show in a custom metric (`kind` Ratio, Mean or Counter), or to a Judge.

    `margin` and `bound` are the spec's margin and max; `low` and `high` bound the values of a Mean, and `sign` −1 says
    that lower ones are worse.
    """

    name: str
    kind: str
    margin: float | None = None
    bound: float | None = None
    low: float = 0.0
    high: float = 1.0
    sign: int = 1
