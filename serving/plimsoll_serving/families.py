"""Families of samples, and their text as Prometheus reads it.

prometheus_client does the same, but takes 5 MB and 75 ms of the start with it: an HTTP server, URL and mail libraries.
Source: Prometheus text exposition format 0.0.4.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol


class Sample(NamedTuple):
    """One line: a series and its value."""

    name: str
    labels: dict[str, str]
    value: float


class Family:
    """Samples of one metric.

    Args:
        name: as collectors know it; `exposed` is what Prometheus sees.
        labels: names of the labels of each sample.
    """

    type = "untyped"
    ending = ""

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.documentation = documentation
        self.samples: list[Sample] = []
        self._labels = tuple(labels)

    @property
    def exposed(self) -> str:
        return self.name + self.ending

    def add(self, labels: Sequence[str], value: float) -> None:
        """Add a sample; ``labels`` are the values of the labels. Raises ValueError when their number differs."""
        self.samples.append(Sample(self.exposed, self._named(labels), value))

    def _named(self, labels: Sequence[str]) -> dict[str, str]:
        return dict(zip(self._labels, labels, strict=True))


class GaugeFamily(Family):
    """Values that go up and down."""

    type = "gauge"


class CounterFamily(Family):
    """Values that only rise."""

    type = "counter"
    ending = "_total"


class HistogramFamily(Family):
    """Counts of observations up to upper edges."""

    type = "histogram"

    def add_histogram(self, labels: Sequence[str], buckets: Sequence[tuple[str, float]], total: float) -> None:
        """Add the samples of one histogram.

        Args:
            buckets: upper edges as text, ``+Inf`` last, and the observations up to each.
            total: the sum of all observations.
        """
        named = self._named(labels)
        for edge, count in buckets:
            self.samples.append(Sample(f"{self.name}_bucket", {**named, "le": edge}, count))
        self.samples.append(Sample(f"{self.name}_count", named, buckets[-1][1]))
        self.samples.append(Sample(f"{self.name}_sum", named, total))


class Collects(Protocol):
    """Who has families to export."""

    def collect(self) -> Iterable[Family]: ...


def exposition(metrics: Collects, names: Iterable[str] = ()) -> bytes:
    """The text of all families; ``names`` (the query's ``name[]``) keeps only those families or samples."""
    wanted = frozenset(names)
    lines: list[str] = []
    for family in metrics.collect():
        samples = family.samples
        if wanted and family.name not in wanted:
            samples = [sample for sample in samples if sample.name in wanted]
        if samples or not wanted:
            lines += _lines(family, samples)
    return "".join(lines).encode()


def _lines(family: Family, samples: list[Sample]) -> Iterator[str]:
    told = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {family.exposed} {told}\n# TYPE {family.exposed} {family.type}\n"
    for name, labels, value in samples:
        pairs = ",".join([f'{label}="{_escaped(text)}"' for label, text in sorted(labels.items())])
        yield f"{name}{{{pairs}}} {_number(value)}\n" if pairs else f"{name} {_number(value)}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    number = float(value)
    if math.isfinite(number):
        return repr(number)
    return "NaN" if math.isnan(number) else f"{number:+}".replace("inf", "Inf")
