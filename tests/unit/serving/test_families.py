"""The text of metrics, read and written by the client library that the server does without."""

import gc
import math
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plimsoll_serving.families import CounterFamily, Family, GaugeFamily, HistogramFamily, exposition
from plimsoll_serving.process import ProcessMetrics
from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.parser import text_string_to_metric_families

HELP = 'Told in "words", with a \\ and\na second line.'
BUCKETS = [("0.5", 1.0), ("+Inf", 3.0)]


class Some:
    def __init__(self, *families: Any) -> None:
        self._families = families

    def collect(self) -> Iterable[Any]:
        return self._families


def test_the_text_is_the_one_that_the_client_library_writes() -> None:
    counter, gauge = CounterFamily("things", HELP, ("kind", "age")), GaugeFamily("level", HELP)
    theirs, level = CounterMetricFamily("things", HELP, labels=("kind", "age")), GaugeMetricFamily("level", HELP)
    histogram = HistogramFamily("seconds", HELP, ("kind",))
    seconds = HistogramMetricFamily("seconds", HELP, labels=("kind",))
    for value in (0, 3, 0.25, math.inf, -math.inf, math.nan):
        counter.add(("a", str(value)), value)
        theirs.add_metric(("a", str(value)), value)
    gauge.add((), -2)
    level.add_metric((), -2)
    histogram.add_histogram(("a",), BUCKETS, 4.5)
    seconds.add_metric(("a",), BUCKETS, 4.5)
    assert exposition(Some(counter, gauge, histogram)) == generate_latest(Some(theirs, level, seconds))  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\r")), st.floats())))
def test_every_label_and_number_is_read_as_it_was(samples: Sequence[tuple[str, float]]) -> None:
    family = GaugeFamily("level", HELP, ("kind",))
    for kind, value in samples:
        family.add((kind,), value)
    (read,) = text_string_to_metric_families(exposition(Some(family)).decode())
    assert repr([(one.labels["kind"], one.value) for one in read.samples]) == repr(list(samples))


def test_a_sample_without_all_of_its_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        GaugeFamily("level", HELP, ("kind", "age")).add(("a",), 1)


def test_the_process_is_told_by_the_names_and_to_the_values_that_the_client_library_tells() -> None:
    gc.collect()  # of the files that other tests left open, which would otherwise be closed between the two
    ours, theirs = _values(ProcessMetrics().collect()), _values(ProcessCollector(registry=None).collect())
    assert ours.keys() == theirs.keys()
    assert ours["process_max_fds"] == theirs["process_max_fds"]
    assert ours["process_open_fds"] == pytest.approx(theirs["process_open_fds"], abs=20)
    # /proc/stat tells in whole seconds when the machine was started.
    assert ours["process_start_time_seconds"] == pytest.approx(theirs["process_start_time_seconds"], abs=2)
    assert ours["process_resident_memory_bytes"] == pytest.approx(theirs["process_resident_memory_bytes"], rel=0.1)
    # Asked later, and added up in another order: a clock tick is 0.01 s.
    assert ours["process_cpu_seconds_total"] < theirs["process_cpu_seconds_total"] + 0.001


def test_the_start_of_the_process_is_the_same_in_every_scrape() -> None:
    told = [_values(ProcessMetrics().collect())["process_start_time_seconds"] for _ in range(3)]
    assert len(set(told)) == 1


def _values(families: Iterable[Family | Any]) -> dict[str, float]:
    return {sample.name: sample.value for family in families for sample in family.samples}
