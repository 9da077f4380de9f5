"""What is exported, and that nothing is missing before it happens."""

from plimsoll_serving.delegate import Outcome
from plimsoll_serving.families import exposition
from plimsoll_serving.metrics import LATENCY_EDGES, ServingMetrics
from plimsoll_serving.settings import Identity
from prometheus_client.parser import text_string_to_metric_families

IDENTITY = Identity("digits", "7", "digits-aaaa", "digits", "demo", "pod-1")
CONTRACT = {
    "plimsoll_requests_total",
    "plimsoll_request_duration_seconds_bucket",
    "plimsoll_arm_requests_total",
    "plimsoll_fallback_requests_total",
    "plimsoll_batch_size_bucket",
    "plimsoll_inflight_requests",
    "plimsoll_route_epoch",
    "process_start_time_seconds",
}


def samples(metrics: ServingMetrics, *names: str) -> dict[tuple[str, ...], float]:
    read = {}
    for family in text_string_to_metric_families(exposition(metrics, names).decode()):
        for sample in family.samples:
            read[(sample.name, *sample.labels.values())] = sample.value
    return read


def test_every_metric_of_the_contract_is_there_from_the_start() -> None:
    assert {name for name, *_ in samples(ServingMetrics(IDENTITY))} >= CONTRACT


def test_every_series_of_an_arm_starts_at_zero() -> None:
    metrics = ServingMetrics(IDENTITY)
    metrics.add_arm("digits-bbbb")
    read = samples(metrics, "plimsoll_arm_requests_total", "plimsoll_fallback_requests_total")
    assert len(read) == 2 * (len(Outcome) + 1)
    assert set(read.values()) == {0.0}


def test_an_arm_that_is_named_again_keeps_its_counts() -> None:
    metrics = ServingMetrics(IDENTITY)
    metrics.arm_answered("digits-aaaa", Outcome.OK)
    metrics.add_arm("digits-aaaa")
    assert samples(metrics)[("plimsoll_arm_requests_total", "digits", "ok", "digits-aaaa")] == 1


def test_latency_is_counted_at_the_edges_of_the_contract() -> None:
    metrics = ServingMetrics(IDENTITY)
    for seconds in (0.001, 0.0011, 99.0):
        metrics.answered(200, seconds)
        metrics.ran(3)
    read = samples(metrics, "plimsoll_request_duration_seconds_bucket")
    by_edge = {key[1]: count for key, count in read.items()}
    assert [float(edge) for edge in list(by_edge)[:-1]] == list(LATENCY_EDGES)
    assert (by_edge["0.001"], by_edge["0.0025"], by_edge["10.0"], by_edge["+Inf"]) == (1, 2, 2, 3)


def test_only_what_is_asked_for_is_read() -> None:
    metrics = ServingMetrics(IDENTITY)
    assert {name for name, *_ in samples(metrics, "plimsoll_route_epoch")} == {"plimsoll_route_epoch"}
    assert {name for name, *_ in samples(metrics, "plimsoll_batch_size_count")} == {"plimsoll_batch_size_count"}
    whole = {name for name, *_ in samples(metrics, "plimsoll_request_duration_seconds")}
    assert whole == {f"plimsoll_request_duration_seconds_{end}" for end in ("bucket", "count", "sum")}
    assert samples(metrics, "nothing_of_that_name") == {}


def test_a_request_that_never_reached_the_model_has_no_batch() -> None:
    metrics = ServingMetrics(IDENTITY)
    metrics.answered(400, 0.001)
    read = samples(metrics)
    assert read[("plimsoll_batch_size_count", "digits", "7")] == 0
    assert read[("plimsoll_requests_total", "400", "digits", "digits-aaaa", "7")] == 1
