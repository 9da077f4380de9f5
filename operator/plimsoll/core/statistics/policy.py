"""What is compared, and how sure the verdict must be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from plimsoll.core.statistics.criteria import Criterion, Judge
from plimsoll.core.statistics.disagreement import disagreement
from plimsoll.core.statistics.labels import LabelRule, absolute_error, accuracy, ages_up_to, measures_numbers
from plimsoll.core.statistics.measured import Limits, Measured, slower
from plimsoll.core.statistics.measures import above
from plimsoll.core.statistics.shift import prediction_shift
from plimsoll.core.statistics.signed_difference import signed_difference
from plimsoll.core.statistics.split import SampleRatio, sample_ratio
from plimsoll.core.statistics.tables import Noise, Table, table
from plimsoll.core.statistics.wealth import average
from plimsoll.facts import ArmCounts, Demand, Window
from plimsoll.names import LABEL_AGES, LATENCY_EDGES

#: p99: the share of requests that may be slower.
_SLOWEST = 0.01


@dataclass(frozen=True, slots=True)
class Policy:
    """What is compared, and how sure the verdict must be. Raises ValueError for a field out of range.

    `alpha` bounds the chance of ever failing a healthy candidate, over all metrics (errors get half of it, client
    errors and latency a quarter each; what is switched off leaves its part to the others). `beta` bounds the chance
    of ever passing one that is worse than margin × stable + negligible on any metric.
    `error_margin`, `latency_margin`: ratio to the stable version that is accepted; None switches the comparison off.
    `error_max` (failures per request), `latency_max_p99_seconds`: bounds for the mode Absolute.
    `min_requests`: of the candidate within the current step, for Pass. Shares of requests: `negligible` (failures),
    `negligible_latency` (slow requests), `error_floor` (no less a rise of the failure rate fails).
    `latency_floor_seconds`: edges at or below it do not count; differences down there are noise of the machine.
    `cv_floor`: least coefficient of variation of an arm's rate, `noise_seconds`: how long one draw of that noise may
    last. `breaker_*`: this share of failures, in at least so many requests of the last windows, fails at once,
    unless the stable version fails like it.

    `shift_psi`: population stability index of predictions that is accepted; above it the release is held, or fails
    with `shift_fails`. `split_tolerance`: how far the split may be from the one that was asked, as a part of the
    smaller arm's share; beyond it the release is held. None switches either off. The chance of ever holding a healthy
    candidate is bounded by alpha as well, half of it for each.

    `accuracy_drop`: how much less often the candidate may be right, as labels tell; `error_rise`: by how much its mean
    absolute error may be larger, as a part of the stable one's; None for both switches labels off. Which of them
    speaks is decided by what is labelled. `min_labels`: of the candidate, for Pass; `oldest_label`: later ones do not
    count. `disagreement_max`: share of mirrored requests whose two answers may differ; `one_sided_max`: share of
    them whose numbers may be above what the user got, and share that may be below; None switches either off.

    `external`: custom metrics, of which each statistical one gets as much of alpha as all others together, and judges.
    """

    alpha: float = 0.01
    beta: float = 0.05
    error_margin: float | None = 1.5
    error_max: float | None = None
    latency_margin: float | None = 2.0
    latency_max_p99_seconds: float | None = None
    min_requests: int = 50
    negligible: float = 0.01
    negligible_latency: float = 0.05
    error_floor: float = 0.001
    latency_floor_seconds: float = 0.010
    cv_floor: float = 0.2
    noise_seconds: float = 60.0
    breaker_share: float = 0.5
    breaker_requests: int = 20
    breaker_windows: int = 3
    shift_psi: float | None = None
    shift_fails: bool = False
    split_tolerance: float | None = None
    accuracy_drop: float | None = None
    error_rise: float | None = None
    min_labels: int = 100
    oldest_label: str = "7d"
    disagreement_max: float | None = None
    one_sided_max: float | None = None
    external: tuple[Demand, ...] = ()

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "negligible", "negligible_latency", "breaker_share"):
            _need(0 < getattr(self, name) < 1, name, getattr(self, name), "between 0 and 1")
        for name in ("error_margin", "latency_margin"):
            _need(
                getattr(self, name) is None or getattr(self, name) > 1,
                name,
                getattr(self, name),
                "greater than 1, or None",
            )
        _need(self.error_max is None or 0 < self.error_max < 1, "error_max", self.error_max, "between 0 and 1, or None")
        p99 = self.latency_max_p99_seconds
        _need(
            p99 is None or 0 < p99 <= LATENCY_EDGES[-1],
            "latency_max_p99_seconds",
            p99,
            f"above 0 and at most {LATENCY_EDGES[-1]:g}",
        )
        _need(0 < self.cv_floor <= 1, "cv_floor", self.cv_floor, "above 0 and at most 1")
        _need(0 <= self.error_floor < 1, "error_floor", self.error_floor, "from 0 to below 1")
        _need(
            0 <= self.latency_floor_seconds < LATENCY_EDGES[-1],
            "latency_floor_seconds",
            self.latency_floor_seconds,
            "an edge to compare",
        )
        _need(self.shift_psi is None or self.shift_psi > 0, "shift_psi", self.shift_psi, "above 0, or None")
        split = self.split_tolerance
        for name in ("disagreement_max", "one_sided_max"):
            most = getattr(self, name)
            _need(most is None or 0 < most < 1, name, most, "between 0 and 1, or None")
        drop, rise = self.accuracy_drop, self.error_rise
        _need(drop is None or 0 < drop < 1, "accuracy_drop", drop, "between 0 and 1, or None")
        _need(rise is None or rise > 0, "error_rise", rise, "above 0, or None")
        _need((drop is None) == (rise is None), "error_rise", rise, "given together with accuracy_drop, or not at all")
        _need(self.min_labels >= 1, "min_labels", self.min_labels, "at least 1")
        _need(self.oldest_label in LABEL_AGES, "oldest_label", self.oldest_label, f"one of {', '.join(LABEL_AGES)}")
        _need(split is None or 0 < split < 1, "split_tolerance", split, "between 0 and 1, or None")
        for name in ("breaker_requests", "breaker_windows"):
            _need(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        _need(self.noise_seconds >= 0, "noise_seconds", self.noise_seconds, "at least 0")
        _need(self.min_requests >= 0, "min_requests", self.min_requests, "at least 0")

    @property
    def noise(self) -> Noise:
        """The noise that every measure allows for."""
        return Noise(self.cv_floor, self.noise_seconds)


def _need(holds: bool, name: str, value: object, remedy: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value}: it must be {remedy}")


def measured(policy: Policy) -> Measured:
    """Of no window yet: what the pods' own counters will be held against."""
    shares = _shares(policy)
    whole = sum(shares.values())
    alphas = tuple((name, policy.alpha * share / whole) for name, share in shares.items())
    return Measured(
        Limits(
            policy.error_margin, policy.latency_margin, policy.negligible, policy.negligible_latency,
            policy.error_floor, policy.latency_floor_seconds, policy.noise, policy.beta, alphas,
        )
    )  # fmt: skip


def compared(windows: Sequence[Window], policy: Policy, counts: Measured | None = None) -> list[Judge]:
    """Candidate against stable: errors, client errors (which can only fail), latency and predictions, as far as they
    are switched on and there is something to see. `counts` is what was measured of these windows, if it is known."""
    counts = counts or measured(policy).after(windows)
    alphas = dict(counts.limits.alphas)
    found: list[Judge] = [*counts.criteria()]
    if policy.accuracy_drop is not None:
        found += _labels(windows, policy, policy.accuracy_drop, alphas["labels"])
    if policy.disagreement_max is not None and any(window.pairs for window in windows):
        levels = alphas["shadow disagreement"], policy.beta
        found.append(disagreement(windows, policy.disagreement_max, levels, policy.noise))
    if policy.one_sided_max is not None and any(window.pairs for window in windows):
        levels = alphas["signed difference"], policy.beta
        found.append(signed_difference(windows, policy.one_sided_max, levels, policy.noise))
    if policy.shift_psi is not None and any(window.outputs for window in windows):
        alpha = alphas.get("prediction shift", policy.alpha / 2)
        found.append(prediction_shift(windows, policy.shift_psi, alpha, policy.noise, fails=policy.shift_fails))
    return found


def _shares(policy: Policy) -> dict[str, float]:
    """Parts of alpha by what can fail a candidate; what is off leaves its part to the others."""
    shares = {"error rate": 2.0, "client error rate": 1.0} if policy.error_margin is not None else {}
    if policy.latency_margin is not None:
        shares["latency"] = 1.0
    if policy.accuracy_drop is not None:
        shares["labels"] = 2.0
    if policy.disagreement_max is not None:
        shares["shadow disagreement"] = 1.0
    if policy.one_sided_max is not None:
        shares["signed difference"] = 1.0
    if policy.shift_psi is not None and policy.shift_fails:
        shares["prediction shift"] = 1.0
    return shares


def _labels(windows: Sequence[Window], policy: Policy, drop: float, alpha: float) -> list[Judge]:
    """By what is labelled: classes, numbers, or nothing yet."""
    rule, ages = LabelRule(alpha, policy.beta, policy.min_labels), ages_up_to(policy.oldest_label, LABEL_AGES)
    if measures_numbers(windows) and policy.error_rise is not None:
        return [absolute_error(windows, policy.error_rise, ages, rule)]
    return [accuracy(windows, drop, ages, rule)]


def split(windows: Sequence[Window], policy: Policy) -> SampleRatio | None:
    """Whether the arms got what was asked; None where it is switched off."""
    if policy.split_tolerance is None:
        return None
    return sample_ratio(windows, policy.split_tolerance, policy.alpha / 2)


def bounded(windows: Sequence[Window], policy: Policy) -> list[Judge]:
    """Candidate against the user's own bounds, as far as there are any."""
    found: list[Judge] = []
    bounds = (policy.error_max, policy.latency_max_p99_seconds)
    alpha = policy.alpha / max(1, sum(bound is not None for bound in bounds))
    if policy.error_max is not None:
        data = table(windows, _failures, 1, policy.noise)
        found.append(_absolute("error rate", data, "", policy.error_max, alpha))
    if policy.latency_max_p99_seconds is not None:
        edge = next(i for i, edge in enumerate(LATENCY_EDGES) if edge >= (policy.latency_max_p99_seconds or 0))

        def slow(arm: ArmCounts) -> tuple[Sequence[float], Sequence[float]]:
            return (arm.slower[edge] if arm.timed else 0,), (arm.timed,)

        data = table(windows, slow, 1, policy.noise)
        found.append(_absolute("latency", data, slower(LATENCY_EDGES[edge]), _SLOWEST, alpha))
    return found


def _absolute(name: str, data: Table, unit: str, limit: float, alpha: float) -> Criterion:
    k, n = (np.cumsum(counts[:, 0]) for counts in (data.arms.k_candidate, data.arms.n_candidate))
    against_health = above(data, limit)
    return Criterion(
        name=name,
        totals=data.totals,
        units=(unit,),
        margin=None,
        tolerance=limit,
        negligible=limit,
        alpha=alpha,
        beta=alpha,
        against_health=against_health,
        failing=average(against_health),
        within=(n > 0) & (k <= limit * n),
    )


def _failures(arm: ArmCounts) -> tuple[Sequence[float], Sequence[float]]:
    return (arm.failures,), (arm.requests,)
