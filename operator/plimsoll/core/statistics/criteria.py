"""The criteria of a verdict: a measure, its thresholds, and how what was found reads."""

from __future__ import annotations

from functools import lru_cache
from math import floor, inf, log
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.statistics.wealth import Array

#: Logs are compared to so many decimals, so that a replay on another processor decides alike.
_DECIMALS = 9


class Judge(Protocol):
    """What one thing says of the candidate after each row; a row is a window that counts."""

    @property
    def name(self) -> str: ...

    def failed_at(self) -> int | None: ...

    def passes(self, row: int) -> bool: ...

    def describe_failure(self, row: int) -> str: ...

    def describe_pass(self, row: int) -> str: ...

    def describe_doubt(self, row: int) -> str: ...


class Criterion(NamedTuple):
    """One measure of the candidate, row by row, from the row `first` on; a row is a window that counts.

    `totals` (rows, 2, 4, edges) are sums of the events and trials of the candidate and of the stable arm, of all rows
    up to each and of those of its step: of rows with trials in both arms, where arms are compared. `against_health`
    (rows, edges) are log e-values; what is made of them, `failing` (rows,), is held against 1/`alpha`. `against_harm`
    (rows, edges): the least of them is held against 1/`beta`; where it is None, `within` (rows,) decides, and where
    that is None too, this criterion never keeps from passing. `standing` (rows,), where it is given, is `failing` as it
    stands after windows that compare nothing as well: above 0 it keeps from passing.
    `units` follow the candidate's counts of each edge in a sentence. Above `margin` × stable + `tolerance` is harm,
    below `margin` × stable + `negligible` is health; where `margin` is None, `tolerance` alone is the bound of both.
    """

    name: str
    totals: Array
    units: tuple[str, ...]
    margin: float | None
    tolerance: float
    negligible: float
    alpha: float
    beta: float
    against_health: Array
    failing: Array
    against_harm: Array | None = None
    within: NDArray[np.bool_] | None = None
    standing: Array | None = None
    first: int = 0

    def failed_at(self) -> int | None:
        """The first row whose evidence of harm suffices, or None."""
        failing = self.failing.tolist()
        if not reached(max(failing), self.alpha):
            return None
        return self.first + next(row for row, log_e in enumerate(failing) if reached(log_e, self.alpha))

    def passes(self, row: int) -> bool:
        """Whether the evidence of health suffices after this row."""
        row -= self.first
        if self.against_harm is not None:
            return reached(min(self.against_harm[row].tolist()), self.beta) and not self._suspected(row)
        return self.within is None or bool(self.within[row])

    def _suspected(self, row: int) -> bool:
        """Whether what is bet against health has grown, though it does not suffice.

        Harm below `negligible` may pass, and does so within seconds; what may be above `margin` all the same is looked
        at for longer. Neither error rate grows: a rarer pass passes no more harm, and an e-process may be looked at
        for as long as one likes (Ville's inequality; decision 0011).
        """
        return self.standing is not None and round(float(self.standing[row]), _DECIMALS) > 0

    def describe_failure(self, row: int) -> str:
        """What failed: counts (of the last step, should those of all windows hide it), bound and e-value."""
        row -= self.first
        edge = int(self.against_health[row].argmax())
        whole, step = self._ratio(row, edge), self._ratio(row, edge, of_step=True)
        excess = f"above {self._bound(self.tolerance)}"
        if self.margin is not None and not self.tolerance:
            excess = f"ratio {number(max(whole, step))} > {self.margin:g}"
        counts = self._counts(row, edge, of_step=step > whole)
        return f"{counts}; {excess}; {against(self.failing[row], self.alpha)}"

    def describe_pass(self, row: int) -> str:
        """What was shown to be well, at the edge that was hardest to show."""
        row -= self.first
        if self.against_harm is None:
            claim = "no evidence of more than" if self.within is None else "not above"
            return f"{self._counts(row, 0)}; {claim} {self._bound(self.tolerance)}"
        edge = int(self.against_harm[row].argmin())
        claim = f"below {self._bound(self.negligible)}"
        return f"{self._counts(row, edge)}; {claim}; {against(self.against_harm[row, edge], self.beta)}"

    def describe_doubt(self, row: int) -> str:
        """What is still missing for a pass."""
        row -= self.first
        if self.against_harm is None:
            if not self._sums(row, 0)[1]:
                return f"{self.name}: nothing was measured"
            claim = f"above {self._bound(self.tolerance)}, but"
            return f"{self._counts(row, 0)}; {claim} {against(self.failing[row], self.alpha)}"
        harm: list[float] = self.against_harm[row].tolist()
        least, claim = min(harm), f"not yet shown to be below {self._bound(self.negligible)}"
        if reached(least, self.beta) and self.standing is not None:
            edge, claim = int(self.against_health[row].argmax()), f"it may be above {self._bound(self.tolerance)}"
            return f"{self._counts(row, edge)}; {claim}; {against(self.standing[row], self.alpha)}, but above 1"
        return f"{self._counts(row, harm.index(least))}; {claim}; {against(least, self.beta)}"

    def _bound(self, added: float) -> str:
        if self.margin is None:
            return f"{100 * added:g}%"
        times = "" if self.margin == 1 else f"{self.margin:g} × "
        return f"{times}stable" + (f" + {100 * added:g}%" if added else "")

    def _counts(self, row: int, edge: int, *, of_step: bool = False) -> str:
        k_c, n_c, k_s, n_s = self._sums(row, edge, of_step=of_step)
        said = f"{self.name} candidate {share(k_c, n_c, self.units[edge])}"
        return said if self.margin is None else f"{said} vs stable {share(k_s, n_s, '')}"

    def _ratio(self, row: int, edge: int, *, of_step: bool = False) -> float:
        k_c, n_c, k_s, n_s = self._sums(row, edge, of_step=of_step)
        return k_c * n_s / (n_c * k_s) if n_c and k_s else inf if k_c else 0.0

    def _sums(self, row: int, edge: int, *, of_step: bool = False) -> tuple[int, int, int, int]:
        k_c, n_c, k_s, n_s = self.totals[row, int(of_step), :, edge].tolist()
        return int(k_c), int(n_c), int(k_s), int(n_s)


def reaches(log_e: Array, level: float) -> NDArray[np.bool_]:
    """Whether the e-values suffice at this level."""
    return np.asarray(np.round(log_e, _DECIMALS) >= _needed(level))


def reached(log_e: float, level: float) -> bool:
    """Whether the e-value suffices at this level."""
    return bool(round(float(log_e), _DECIMALS) >= _needed(level))


@lru_cache(maxsize=64)
def _needed(level: float) -> float:
    return round(log(1 / level), _DECIMALS)


def grown(log_e: Array | float) -> NDArray[np.bool_]:
    """Whether the e-values are above 1."""
    return np.asarray(np.round(log_e, _DECIMALS) > 0)


def share(k: int, n: int, unit: str) -> str:
    """`24/600 (4.00%)`, with the unit after the counts."""
    return f"{k:,}/{n:,}{unit}" + (f" ({k / n:.2%})" if n else "")


def against(log_e: float, level: float) -> str:
    """`e = 708 ≥ 200`; what would be rounded up to the bound is `e just below 200`."""
    told, bound = _e_value(log_e), _e_value(log(1 / level))
    if reached(log_e, level):
        return f"e = {told} ≥ {bound}"
    return f"e just below {bound}" if told == bound else f"e = {told} < {bound}"


def _e_value(log_e: float) -> str:
    """exp(log_e) in two digits or so, however large: 0.4, 12, 400, 4.1e6."""
    power = log_e / log(10)
    if power < 4:
        return number(10**power)
    exponent = floor(power)
    mantissa = f"{10 ** (power - exponent):.1f}"
    return f"1.0e{exponent + 1}" if mantissa == "10.0" else f"{mantissa}e{exponent}"


def number(value: float) -> str:
    """In two digits below ten, else whole; ∞."""
    if value == inf:
        return "∞"
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"
