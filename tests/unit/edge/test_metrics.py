from __future__ import annotations

import pytest
from plimsoll import names
from plimsoll.edge.metrics import Missing, counters
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Pod:
    """The metrics of one pod of a revision, as prometheus_client writes them."""

    def __init__(self, revision: str) -> None:
        self.registry = CollectorRegistry()
        self.started = Gauge(names.METRIC_START_TIME, "x", registry=self.registry)
        self.started.set(1000.5)
        self.epoch = Gauge(names.METRIC_ROUTE_EPOCH, "x", ("revision",), registry=self.registry)
        self.arms = Counter(names.METRIC_ARM_REQUESTS, "x", ("model", "revision", "outcome"), registry=self.registry)
        self.seconds = Histogram(
            names.METRIC_DURATION,
            "x",
            ("model", "version", "revision"),
            buckets=names.LATENCY_EDGES,
            registry=self.registry,
        )
        self.seconds.labels("m", "1", revision)

    def text(self) -> str:
        return generate_latest(self.registry).decode()


def test_counters_of_both_arms_and_the_own_revisions_latency_are_read() -> None:
    pod = Pod("r1")
    pod.epoch.labels("r1").set(12)
    pod.arms.labels("m", "r1", "ok").inc(900)
    pod.arms.labels("m", "r2", "timeout").inc(3)
    for seconds in (0.0005, 0.02, 0.02, 60.0):
        pod.seconds.labels("m", "1", "r1").observe(seconds)
    pod.seconds.labels("m", "2", "r2").observe(0.02)

    read = counters("pod-a", "r1", pod.text())

    assert (read.pod, read.revision, read.started, read.epoch) == ("pod-a", "r1", 1000.5, 12)
    assert read.arm_requests == {("r1", "ok"): 900, ("r2", "timeout"): 3}
    assert read.latency == (1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4)


def test_what_a_pod_answered_is_read_by_outcome_for_its_own_revision() -> None:
    pod = Pod("r1")
    requests = Counter(names.METRIC_REQUESTS, "x", ("model", "version", "revision", "code"), registry=pod.registry)
    for code, count in ((200, 90), (204, 1), (400, 4), (429, 2), (500, 3), (503, 1)):
        requests.labels("m", "1", "r1", str(code)).inc(count)
    requests.labels("m", "2", "r2", "500").inc(50)

    assert counters("pod-a", "r1", pod.text()).served == {"ok": 91, "client_error": 6, "server_error": 4}


def test_a_series_that_is_zero_is_not_missing() -> None:
    pod = Pod("r1")
    pod.arms.labels("m", "r1", "ok")

    read = counters("pod-a", "r1", pod.text())

    assert read.arm_requests == {("r1", "ok"): 0}
    assert set(read.latency) == {0}
    assert read.epoch is None


def test_latency_of_another_revision_only_is_missing() -> None:
    with pytest.raises(Missing, match="plimsoll_request_duration_seconds of revision r2"):
        counters("pod-a", "r2", Pod("r1").text())


def test_buckets_with_other_edges_are_missing_rather_than_read_wrongly() -> None:
    text = Pod("r1").text().replace('le="0.25"', 'le="0.3"')

    with pytest.raises(Missing, match="agreed bucket edges"):
        counters("pod-a", "r1", text)


def test_an_answer_without_the_start_time_is_missing() -> None:
    text = Pod("r1").text().replace(names.METRIC_START_TIME, "something_else")

    with pytest.raises(Missing, match="process_start_time_seconds"):
        counters("pod-a", "r1", text)


@pytest.mark.parametrize("text", ["<html>", 'a{b="c"', "a b c d", "a{b=c} 1"])
def test_an_answer_in_another_format_is_missing(text: str) -> None:
    with pytest.raises(Missing):
        counters("pod-a", "r1", text)


def test_bins_labels_fallbacks_and_pairs_are_read_of_the_own_version_and_without_empty_series() -> None:
    pod = Pod("r1")
    makes = [
        (names.METRIC_PREDICTION_BINS, ("version", "output", "bin")),
        (names.METRIC_FEEDBACK, ("version", "age", "outcome")),
        (names.METRIC_FEEDBACK_ERROR, ("version", "age", "direction")),
        (names.METRIC_FEEDBACK_SQUARED, ("version", "age")),
        (names.METRIC_FALLBACKS, ("revision",)),
        (names.METRIC_SHADOW_PAIRS, ("stable", "candidate", "outcome")),
        (names.METRIC_SHADOW_DIFFERENCE_ROWS, ("stable", "candidate", "output", "direction")),
        (names.METRIC_SHADOW_DIFFERENCE_REQUESTS, ("stable", "candidate", "output", "direction")),
        (names.METRIC_SHADOW_DIFFERENCE, ("stable", "candidate", "output", "direction")),
    ]
    bins, feedback, errors, squares, fallbacks, pairs, rows, requests, distances = (
        Counter(name, "x", ("model", *labels), registry=pod.registry) for name, labels in makes
    )
    bins.labels("m", "1", "label", "value:a").inc(4)
    bins.labels("m", "1", "label", "other").inc(0)
    bins.labels("m", "2", "label", "value:a").inc(9)
    feedback.labels("m", "2", "1h", "correct").inc(3)
    feedback.labels("m", "2", "1h", "incorrect").inc(0)
    feedback.labels("m", "2", "1h", "not_finite").inc(5)
    errors.labels("m", "1", "1m", "over").inc(1.5)
    squares.labels("m", "1", "1m").inc(2.25)
    fallbacks.labels("m", "r2").inc(7)
    pairs.labels("m", "r1", "r2", "mismatch").inc(2)
    for metric, above, below in ((rows, 30, 1), (requests, 2.5, 1), (distances, 7.5, 0.25)):
        metric.labels("m", "r1", "r2", "price", "above").inc(above)
        metric.labels("m", "r1", "r2", "price", "below").inc(below)

    read = counters("pod-a", "r1", pod.text())

    assert read.version == "1"
    assert read.counts == {
        ("bin", "label", "value:a"): 4,
        ("bin", "label", "other"): 0,
        ("feedback", "2", "1h", "correct"): 3,
        ("feedback", "1", "1m", "over"): 1.5,
        ("feedback", "1", "1m", "squared"): 2.25,
        ("fallback", "r2"): 7,
        ("pair", "r1", "r2", "mismatch"): 2,
        ("difference", "r1", "r2", "price", "above"): 2.5,
        ("difference", "r1", "r2", "price", "below"): 1,
        ("difference", "r1", "r2", "price", "rows"): 31,
        ("difference", "r1", "r2", "price", "excess"): 7.5,
        ("difference", "r1", "r2", "price", "shortfall"): 0.25,
    }


def test_the_times_of_copies_are_times_of_the_revision_that_answered_them() -> None:
    pod = Pod("r2")
    labels = ("model", "version", "revision")
    copies = Histogram(
        names.METRIC_MIRRORED_DURATION, "x", labels, buckets=names.LATENCY_EDGES, registry=pod.registry
    )  # fmt: skip
    copies.labels("m", "2", "r2").observe(0.02)
    pod.seconds.labels("m", "2", "r2").observe(0.02)
    assert counters("pod-b", "r2", pod.text()).latency[-1] == 2


def test_pairs_of_copies_are_read_with_both_revisions() -> None:
    pod = Pod("r1")
    who = ("model", "stable", "candidate", "outcome")
    pairs = Counter(names.METRIC_SHADOW_PAIRS, "x", who, registry=pod.registry)
    pairs.labels("m", "r1", "r2", "match").inc(5)
    found = counters("pod-a", "r1", pod.text()).counts
    assert found is not None and found["pair", "r1", "r2", "match"] == 5
