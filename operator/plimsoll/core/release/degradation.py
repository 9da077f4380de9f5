"""What of a service at rest is held against the spec's bounds, and how sure it is that a bound is not kept."""

from __future__ import annotations

import numpy as np

from plimsoll.api.monitoring import Monitoring
from plimsoll.core.predictions import labelled
from plimsoll.core.release.observed import Weighed
from plimsoll.core.statistics import Array, mixture
from plimsoll.core.statistics.bounded_mean import BET_WEIGHTS, log_mean_above, log_mean_below
from plimsoll.core.statistics.bounded_rate import ABOVE_WEIGHTS, BELOW_WEIGHTS, log_rate_above, log_rate_below
from plimsoll.core.statistics.change import RUN_LENGTH, grown
from plimsoll.facts import Sample, Window

ERRORS, LABELS, NUMBERS = "error rate", "accuracy", "mean absolute error"
#: What is watched, in the order in which it is written down, with what is bet on harm and on health.
WEIGHTS = {
    ERRORS: (ABOVE_WEIGHTS, BELOW_WEIGHTS),
    LABELS: (ABOVE_WEIGHTS, BELOW_WEIGHTS),
    NUMBERS: (BET_WEIGHTS, BET_WEIGHTS),
}
#: Bets on harm, of each metric as many.
BETS = len(ABOVE_WEIGHTS)
#: How much the rate of a healthy service varies from look to look, at least.
_CV = np.array([0.2])

#: Events and trials by metric; of numbers the sum of the sizes of the errors, and labels.
Counts = dict[str, tuple[float, int]]


def limits(monitoring: Monitoring) -> dict[str, float]:
    """What is accepted by metric: the share of failures, of labels that disagree, and the mean absolute error."""
    found = {ERRORS: monitoring.error_rate.max}
    if monitoring.accuracy is not None:
        found[LABELS] = 1 - monitoring.accuracy.min
    if monitoring.absolute_error is not None:
        found[NUMBERS] = monitoring.absolute_error.max
    return found


def counts(window: Window, samples: tuple[Sample, Sample], version: str) -> Counts:
    """What the arm of this version and its labels came to between two samples."""
    labels = labelled(*samples, version)
    return {
        ERRORS: (window.stable.failures, window.stable.requests),
        LABELS: (labels.incorrect, labels.correct + labels.incorrect),
        NUMBERS: (labels.over + labels.under, labels.measured),
    }


def unweighed(metric: str, harm: tuple[float, ...] = ()) -> Weighed:
    """What is known of a metric, of which no more than this was written down."""
    none = tuple((0.0,) * len(weights) for weights in WEIGHTS[metric])
    return Weighed(harm if len(harm) == BETS else none[0], none[1])


def weighed(metric: str, known: Weighed, counted: tuple[float, int], limit: float, *, worse: bool) -> Weighed:
    """Evidence of harm while all is well, evidence of health while it is not."""
    harm, health = (np.zeros(len(weights)) for weights in WEIGHTS[metric])
    above, below = _factors(metric, counted, limit)
    if worse:
        health = grown(np.array(known.health), below)
    else:
        harm = grown(np.array(known.harm), above)
    goes_on = bool(np.max(harm) > 0)
    events, trials = counted
    return Weighed(
        harm=tuple(float(one) for one in harm),
        health=tuple(float(one) for one in health),
        trials=known.trials + trials if goes_on else 0,
        events=known.events + events if goes_on else 0,
    )


def _factors(metric: str, counted: tuple[float, int], limit: float) -> tuple[Array, Array]:
    """Log e-values of one look, against "within the limit" and against "beyond it"; 0 where nothing was counted."""
    events, trials = counted
    if metric == NUMBERS:
        means = np.array([events / trials if trials else limit])
        return log_mean_above(means, limit)[0], log_mean_below(means, limit)[0]
    k, n = np.array([float(events)]), np.array([float(trials)])
    return log_rate_above(k, n, limit, _CV)[0], log_rate_below(k, n, limit, _CV)[0]


def harm_of(metric: str, rate: Weighed) -> float:
    """The log e-value of harm."""
    return float(mixture(np.array(rate.harm), WEIGHTS[metric][0]))


def health_of(metric: str, rate: Weighed) -> float:
    """The log e-value of health."""
    return float(mixture(np.array(rate.health), WEIGHTS[metric][1]))


def sentence(metric: str, limit: float, rate: Weighed) -> str:
    """What is worse than the limit, with the numbers."""
    k, n = rate.events, rate.trials
    evidence = f"e = {np.exp(harm_of(metric, rate)):.1e} ≥ {RUN_LENGTH:.0e}"
    if metric == NUMBERS:
        seen = f"{metric} {k / n:.4g} of {n:,} labels" if n else metric
        return f"{seen} is above {limit:g}; {evidence}"
    if metric == ERRORS:
        seen = f"{metric} {k:,.0f}/{n:,} ({k / n:.2%})" if n else metric
        return f"{seen} is above {100 * limit:g}%; {evidence}"
    seen = f"{metric} {n - k:,.0f}/{n:,} ({1 - k / n:.2%} of the labels)" if n else metric
    return f"{seen} is below {100 * (1 - limit):g}%; {evidence}"


def within(monitoring: Monitoring) -> str:
    """What is said while there is no evidence of harm, without a number that changes from look to look."""
    said = f"no evidence of more than {100 * monitoring.error_rate.max:g}% failures"
    if monitoring.accuracy is not None:
        said += f", nor of less than {100 * monitoring.accuracy.min:g}% right labels"
    if monitoring.absolute_error is not None:
        said += f", nor of a mean absolute error above {monitoring.absolute_error.max:g}"
    return said
