"""`profile.json`: what features and predictions looked like when the model was judged.

Everything is of the evaluation rows: the model has not seen them, so its answers on them are what to expect in
production; on training rows it would look surer than it is.

A numeric entry has `edges` (increasing, at most 9): bin 0 holds x ≤ edges[0], bin i holds edges[i-1] < x ≤ edges[i],
the last one x > edges[-1]; `range` is the smallest and the largest finite x, left out when there is none. An entry of
text or classes has `values` (at most 10, the most frequent): bin i holds values[i], the last one everything else.
`counts` is thus one longer than `edges` or `values`.

Edges of features are quantiles: what is compared is one version with its own past. Those of outputs lie on a grid that
every version shares, for two versions are compared by the edges that both have.
"""

from math import ceil, floor, frexp
from typing import Any

import numpy as np
import numpy.typing as npt

from plimsoll_training.evaluation import Answers, EvaluationData
from plimsoll_training.inference import Feeds

BINS = 10
SAMPLE_ROWS = 8
Values = npt.NDArray[Any]


def profile_of(data: EvaluationData, answers: Answers) -> dict[str, Any]:
    """The document. `probabilities` is binned by the highest probability of each row."""
    features = [
        {"name": name, "index": index, **bins_of(values)}
        for index, (name, values) in enumerate(_feature_columns(answers.feeds, data.names))
    ]
    if data.classes is None:
        outputs = [{"name": "prediction", **grid_bins(answers.predictions.values)}]
    else:
        assert answers.predictions.probabilities is not None
        outputs = [
            {"name": "label", **value_counts(answers.predictions.values)},
            {"name": "probabilities", **grid_bins(answers.predictions.probabilities.max(axis=1))},
        ]
    return {"formatVersion": 1, "features": features, "outputs": outputs, "sample": sample_of(answers.feeds)}


def bins_of(values: Values) -> dict[str, Any]:
    """Quantile bins of numbers (missing ones left out), or counts of text."""
    if values.dtype.kind in "OU":
        return value_counts(values)
    present = values[np.isfinite(values)].astype(np.float64)
    if not len(present):
        return {"edges": [], "counts": [0]}
    return _counted(present, np.unique(np.quantile(present, np.arange(1, BINS) / BINS, method="inverted_cdf")))


def grid_bins(values: Values) -> dict[str, Any]:
    """Bins of numbers whose edges are multiples of a power of two, as fine as nine edges allow for the middle 98 %.

    Of two such grids the coarser one's edges are edges of the finer one, as far as that reaches.
    """
    present = values[np.isfinite(values)].astype(np.float64)
    if not len(present):
        return {"edges": [], "counts": [0]}
    low, high = (float(x) for x in np.quantile(present, [0.01, 0.99], method="inverted_cdf"))
    return _counted(present, _grid(low, high) if low < high else np.array([low]))


def _grid(low: float, high: float) -> Values:
    step = 2.0 ** (frexp((high - low) / BINS)[1] - 1)
    while floor(high / step) - ceil(low / step) + 1 >= BINS:
        step *= 2
    edges: Values = step * np.arange(ceil(low / step), floor(high / step) + 1)
    return edges if len(edges) else np.array([low])


def _counted(present: Values, edges: Values) -> dict[str, Any]:
    counts = np.bincount(np.searchsorted(edges, present, side="left"), minlength=len(edges) + 1)
    return {
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "range": [float(present.min()), float(present.max())],
    }


def value_counts(values: Values) -> dict[str, Any]:
    """The most frequent values, ties by value, and how often each and all others occur."""
    found, counts = np.unique(values, return_counts=True)
    order = sorted(range(len(found)), key=lambda i: (-counts[i], i))[:BINS]
    kept = [int(counts[i]) for i in order]
    return {
        "values": [found[i].item() if hasattr(found[i], "item") else found[i] for i in order],
        "counts": [*kept, int(len(values) - sum(kept))],
    }


def sample_of(feeds: Feeds) -> list[dict[str, Any]]:
    """The first rows without missing numbers, each `{input name: values of that row}`."""
    rows = len(next(iter(feeds.values())))
    sample: list[dict[str, Any]] = []
    for row in range(rows):
        if len(sample) == SAMPLE_ROWS:
            break
        cells = {name: np.atleast_1d(values[row]) for name, values in feeds.items()}
        if all(one.dtype.kind == "O" or np.isfinite(one).all() for one in cells.values()):
            sample.append({name: one.tolist() for name, one in cells.items()})
    return sample


def _feature_columns(feeds: Feeds, names: tuple[str, ...]) -> list[tuple[str, Values]]:
    if list(feeds) == ["input"] and feeds["input"].dtype.kind == "f":
        return [(name, feeds["input"][:, index]) for index, name in enumerate(names)]
    return [(name, feeds[name].reshape(-1)) for name in names if name in feeds]
