"""Custom metrics and judges as criteria of a verdict, beside those of the pods' own counters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics import means
from plimsoll.core.statistics.criteria import Criterion, against, reached, reaches
from plimsoll.core.statistics.measures import Bounds, above, whole
from plimsoll.core.statistics.tables import Noise, starts_of, table
from plimsoll.core.statistics.wealth import Array, average, mixture, restarted
from plimsoll.facts import ArmCounts, Demand, External, Window

_NOTHING = External(gap="nothing was asked")


@dataclass(frozen=True, slots=True)
class Levels:
    """`alpha` of one metric, `beta` of Pass, shares of trials that are negligible, and the noise allowed for."""

    alpha: float
    beta: float
    negligible: float
    floor: float
    noise: Noise


def statistical(demands: Sequence[Demand], *, compares: bool) -> int:
    """How many of them take a part of alpha."""
    return sum(one.kind in ("Ratio", "Mean") and (compares or one.bound is not None) for one in demands)


def criteria(windows: Sequence[Window], demands: Sequence[Demand], levels: Levels, *, compares: bool) -> list[Asked]:
    """One for each demand, in order; without two arms those that compare say nothing."""
    found = []
    for demand in demands:
        said = tuple(window.external.get(demand.name, _NOTHING) for window in windows)
        if demand.kind == "Judge":
            found.append(Asked(demand.name, said, _Answers(demand.name.removeprefix("judge/"), said)))
        elif demand.kind == "Counter":
            found.append(Asked(demand.name, said, _Counted(demand, said)))
        elif demand.kind == "Ratio" and (compares or demand.bound is not None):
            found.append(Asked(demand.name, said, _ratio(windows, demand, said, levels)))
        elif demand.kind == "Mean" and compares:
            found.append(Asked(demand.name, said, _Means(windows, demand, said, levels)))
    return found


@dataclass(frozen=True, slots=True)
class Asked:
    """A criterion that passes only in windows in which its source answered: an outage holds, whatever was before."""

    name: str
    said: tuple[External, ...]
    inner: Criterion | _Counted | _Means | _Answers

    def failed_at(self) -> int | None:
        """The first row whose evidence of harm suffices, or None."""
        return self.inner.failed_at()

    def passes(self, row: int) -> bool:
        """Whether the evidence of health suffices after this row."""
        return self.said[row].gap is None and self.inner.passes(row)

    def describe_failure(self, row: int) -> str:
        """What failed."""
        return self.inner.describe_failure(row)

    def describe_pass(self, row: int) -> str:
        """What was shown to be well."""
        return self.inner.describe_pass(row)

    def describe_doubt(self, row: int) -> str:
        """What is still missing for a pass."""
        gap = self.said[row].gap
        return (
            f"{self.name.replace('judge/', 'judge ', 1)}: no answer ({gap})"
            if gap is not None
            else self.inner.describe_doubt(row)
        )


# --- shares of events -----------------------------------------------------------------------------------------------


def _ratio(windows: Sequence[Window], demand: Demand, said: Sequence[External], levels: Levels) -> Criterion:
    """As the pods' own failures are judged; how much pods differ is not known of a custom metric."""
    counts = [
        replace(window, stable=_arm(one.stable), candidate=_arm(one.candidate), stable_pods=())
        for window, one in zip(windows, said, strict=True)
    ]
    if demand.margin is None:
        data, limit = table(counts, _events, 1, levels.noise), demand.bound or 0.0
        k, n = (np.cumsum(column[:, 0]) for column in (data.arms.k_candidate, data.arms.n_candidate))
        above_limit = above(data, limit)
        return Criterion(
            name=demand.name, totals=data.totals, units=("",), margin=None, tolerance=limit, negligible=limit,
            alpha=levels.alpha, beta=levels.alpha, against_health=above_limit, failing=average(above_limit),
            within=(n > 0) & (k <= limit * n),
        )  # fmt: skip
    bounds = Bounds(np.array([demand.margin]), np.zeros(1), np.array([levels.negligible]))
    found = whole(counts, _events, bounds, levels.noise)
    failing = np.where(found.rise[:, 0] >= levels.floor, found.against_health[:, 0], -np.inf)
    return Criterion(
        name=demand.name, totals=found.totals, units=("",), margin=demand.margin, tolerance=0.0,
        negligible=levels.negligible, alpha=levels.alpha, beta=levels.beta, against_health=found.against_health,
        failing=failing, against_harm=found.against_harm, standing=failing,
    )  # fmt: skip


def _events(arm: ArmCounts) -> tuple[Sequence[float], Sequence[float]]:
    return (arm.failures,), (arm.requests,)


def _arm(counts: tuple[float, ...]) -> ArmCounts:
    return ArmCounts(requests=int(counts[1]), failures=int(counts[0])) if counts else ArmCounts()


# --- means ----------------------------------------------------------------------------------------------------------


class _Means:
    """The candidate's mean against the stable one's, for values between known bounds."""

    def __init__(self, windows: Sequence[Window], demand: Demand, said: Sequence[External], levels: Levels) -> None:
        self._demand, self._levels = demand, levels
        self._arms = tuple(_moments([getattr(one, arm) for one in said], demand) for arm in ("candidate", "stable"))
        bounds = (demand.low, demand.high) if demand.sign > 0 else (-demand.high, -demand.low)
        margin = demand.margin or 0.0
        candidate, stable = self._arms
        harm = means.log_worse(candidate, stable, margin, bounds)[:, None, :]
        self._failing: Array = restarted(harm, means.BET_WEIGHTS, starts_of(windows))[:, 0]
        health = np.cumsum(means.log_worse(candidate, stable, margin, bounds, sign=-1), axis=0)
        self._passing: Array = mixture(health, means.BET_WEIGHTS)

    def failed_at(self) -> int | None:
        rows = np.flatnonzero(reaches(self._failing, self._levels.alpha))
        return int(rows[0]) if len(rows) else None

    def passes(self, row: int) -> bool:
        return reached(self._passing[row], self._levels.beta)

    def describe_failure(self, row: int) -> str:
        return f"{self._means(row)}; {self._bound('more')}; {against(self._failing[row], self._levels.alpha)}"

    def describe_pass(self, row: int) -> str:
        return f"{self._means(row)}; {self._bound('less')}; {against(self._passing[row], self._levels.beta)}"

    def describe_doubt(self, row: int) -> str:
        if not all(arm.count[: row + 1].sum() for arm in self._arms):
            return f"{self._demand.name}: nothing was measured"
        said = f"not yet shown to be {self._bound('less')}"
        return f"{self._means(row)}; {said}; {against(self._passing[row], self._levels.beta)}"

    def _bound(self, how: str) -> str:
        worse_ = "above" if self._demand.sign > 0 else "below"
        return f"{how} than {self._demand.margin:g} {worse_} stable"

    def _means(self, row: int) -> str:
        count = [arm.count[: row + 1].sum() for arm in self._arms]
        mean = [
            self._demand.sign * arm.total[: row + 1].sum() / max(n, 1.0)
            for arm, n in zip(self._arms, count, strict=True)
        ]
        said = [f"{m:.4g} of {n:,.0f}" for m, n in zip(mean, count, strict=True)]
        return f"{self._demand.name} candidate {said[0]} vs stable {said[1]}"


def _moments(rows: Sequence[tuple[float, ...]], demand: Demand) -> means.Moments:
    """Larger is worse after this: where lower is worse, values are taken with the other sign."""
    count, total, squares = np.array([row or (0.0, 0.0, 0.0) for row in rows], dtype=np.float64).reshape(-1, 3).T
    return means.Moments(count, demand.sign * total, squares)


# --- counters and judges --------------------------------------------------------------------------------------------


class _Counted:
    """Events that the candidate may have so many of in a release; a bound, no statistics."""

    def __init__(self, demand: Demand, said: Sequence[External]) -> None:
        self._demand = demand
        self._total: NDArray[np.float64] = np.cumsum([one.candidate[0] if one.candidate else 0.0 for one in said])

    def failed_at(self) -> int | None:
        rows = np.flatnonzero(self._total > (self._demand.bound or 0.0))
        return int(rows[0]) if len(rows) else None

    def passes(self, row: int) -> bool:
        return bool(self._total[row] <= (self._demand.bound or 0.0))

    def describe_failure(self, row: int) -> str:
        return f"{self._said(row)}; more than {self._demand.bound:g}"

    def describe_pass(self, row: int) -> str:
        return f"{self._said(row)}; not more than {self._demand.bound:g}"

    def describe_doubt(self, row: int) -> str:
        return self.describe_failure(row)

    def _said(self, row: int) -> str:
        return f"{self._demand.name} candidate {self._total[row]:,.0f}"


class _Answers:
    """A judge: Fail in any window fails, Pass in the last one passes."""

    def __init__(self, name: str, said: Sequence[External]) -> None:
        self._name, self._said = name, said

    def failed_at(self) -> int | None:
        return next((row for row, one in enumerate(self._said) if one.answer == "Fail"), None)

    def passes(self, row: int) -> bool:
        return self._said[row].answer == "Pass"

    def describe_failure(self, row: int) -> str:
        return self._says(row)

    def describe_pass(self, row: int) -> str:
        return self._says(row)

    def describe_doubt(self, row: int) -> str:
        return self._says(row)

    def _says(self, row: int) -> str:
        one = self._said[row]
        return f"judge {self._name} says {one.answer}" + (f" ({one.reason})" if one.reason else "")
