"""What pods count beyond requests and latency, from samples of series to the counts of PodCounters. Reads nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from plimsoll import names

Labels = Mapping[str, str]
#: Samples by the name of the series.
Series = Mapping[str, Sequence[tuple[Labels, float]]]
Counts = dict[tuple[str, ...], float]

METRICS: Final = (
    names.METRIC_FALLBACKS,
    names.METRIC_PREDICTION_BINS,
    names.METRIC_FEEDBACK,
    names.METRIC_FEEDBACK_ERROR,
    names.METRIC_FEEDBACK_SQUARED,
    names.METRIC_SHADOW_PAIRS,
    names.METRIC_SHADOW_DIFFERENCE_ROWS,
    names.METRIC_SHADOW_DIFFERENCE_REQUESTS,
    names.METRIC_SHADOW_DIFFERENCE,
)
#: What is counted of labels; not_finite says nothing of either version.
_OUTCOMES: Final = ("correct", "incorrect", "measured")
#: How the sums of distances are called, by their direction; that of the requests is another count.
_SUMS: Final = {"above": "excess", "below": "shortfall"}


def of_version(series: Series, version: str) -> Counts:
    """Bins of the predictions of one version, zeros too, for they tell which bins there are."""
    counts: Counts = defaultdict(float)
    for labels, count in series.get(names.METRIC_PREDICTION_BINS, ()):
        if labels.get("version") == version:
            counts["bin", _of(labels, "output"), _of(labels, "bin")] += count
    return dict(counts)


def by_feature(series: Series, name: str) -> dict[tuple[str, str], float]:
    """Rows by feature and bin, of a pod that serves one version."""
    found: dict[tuple[str, str], float] = defaultdict(float)
    for labels, count in series.get(name, ()):
        found[_of(labels, "feature"), _of(labels, "bin")] += count
    return dict(found)


def of_pod(series: Series) -> Counts:
    """What a pod counts of any version: fallbacks, labels, and pairs of mirrored requests with their differences."""
    feedback, errors = series.get(names.METRIC_FEEDBACK, ()), series.get(names.METRIC_FEEDBACK_ERROR, ())
    requests = series.get(names.METRIC_SHADOW_DIFFERENCE_REQUESTS, ())
    squares, sums = series.get(names.METRIC_FEEDBACK_SQUARED, ()), series.get(names.METRIC_SHADOW_DIFFERENCE, ())
    return _summed(
        [
            *((("fallback", _of(x, "revision")), n) for x, n in series.get(names.METRIC_FALLBACKS, ())),
            *((_label(x, _of(x, "outcome")), n) for x, n in feedback if x.get("outcome") in _OUTCOMES),
            *((_label(x, _of(x, "direction")), n) for x, n in errors),
            *((_label(x, "squared"), n) for x, n in squares),
            *((_pair(x), n) for x, n in series.get(names.METRIC_SHADOW_PAIRS, ())),
            *((_difference(x, "rows"), n) for x, n in series.get(names.METRIC_SHADOW_DIFFERENCE_ROWS, ())),
            *((_difference(x, _of(x, "direction")), n) for x, n in requests),
            *((_difference(x, _SUMS.get(_of(x, "direction"), "")), n) for x, n in sums),
        ]
    )


def _label(labels: Labels, what: str) -> tuple[str, ...]:
    return "feedback", _of(labels, "version"), _of(labels, "age"), what


def _pair(labels: Labels) -> tuple[str, ...]:
    return "pair", _of(labels, "stable"), _of(labels, "candidate"), _of(labels, "outcome")


def _difference(labels: Labels, what: str) -> tuple[str, ...]:
    return "difference", _of(labels, "stable"), _of(labels, "candidate"), _of(labels, "output"), what


def _of(labels: Labels, name: str) -> str:
    return labels.get(name, "")


def _summed(found: Iterable[tuple[tuple[str, ...], float]]) -> Counts:
    """By key, without zeros: most series of labels are."""
    sums: Counts = defaultdict(float)
    for key, count in found:
        if count:
            sums[key] += count
    return dict(sums)
