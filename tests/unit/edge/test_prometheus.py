"""What is made of Prometheus' answers that no honest one gives in a test's time."""

from __future__ import annotations

import json
import re
from typing import Any

from plimsoll import names
from plimsoll.edge.outward import Message, Unanswered
from plimsoll.edge.prometheus import Prometheus
from plimsoll.edge.sources import MAX_SERIES, Sources
from plimsoll.facts import Endpoint, PrometheusSource, Settings

SOURCE = PrometheusSource(Endpoint("http://p", "demo", 5.0, install=True), 60.0, matchers={"cluster": 'a"b'})
POD = {"metadata": {"name": "a.b", "labels": {names.LABEL_REVISION: "r1"}}}


class Said:
    """An Outward that answers the next of these rows."""

    def __init__(self, *rows: list[dict[str, Any]]) -> None:
        self.rows, self.sent = list(rows), list[Message]()

    async def send(self, endpoint: Endpoint, message: Message) -> tuple[int, bytes]:
        self.sent.append(message)
        rows = self.rows.pop(0)
        shape = "vector" if rows and "value" in rows[0] else "vector" if len(self.sent) > 1 else "matrix"
        return 200, json.dumps({"status": "success", "data": {"resultType": shape, "result": rows}}).encode()


def series(name: str, *points: tuple[float, float], **labels: str) -> dict[str, Any]:
    own = {"__name__": name, "namespace": "demo", "pod": "a.b", "job": "x", **labels}
    return {"metric": own, "values": [[at, str(value)] for at, value in points]}


def scrape(at: float, *, started: float = 1.0, requests: float = 5, job: str = "x") -> list[dict[str, Any]]:
    """All that a pod gives at one moment."""
    edges = [*(f"{edge:g}" for edge in names.LATENCY_EDGES), "+Inf"]
    return [
        series(names.METRIC_START_TIME, (at, started), job=job),
        series(names.METRIC_ROUTE_EPOCH, (at, 3), revision="r1", job=job),
        series(names.METRIC_ARM_REQUESTS, (at, requests), revision="r1", outcome="ok", job=job),
        *(series(f"{names.METRIC_DURATION}_bucket", (at, requests), revision="r1", le=edge, job=job) for edge in edges),
    ]


async def sampled(*rows: list[dict[str, Any]]) -> Any:
    return await Prometheus(Said(*rows), lambda: 100.0).sample(SOURCE, "demo", [POD])  # type: ignore[arg-type]


async def test_the_newest_scrape_is_taken_whole_and_not_a_mixture() -> None:
    rows = scrape(90.0)
    rows[2]["values"].append([95.0, "9"])  # late data: the rest of this scrape has not come yet
    sample = await sampled(rows)
    assert sample.at == 90.0
    assert sample.pods[0].arm_requests == {("r1", "ok"): 5}


async def test_a_sample_is_between_the_oldest_and_the_newest_of_its_scrapes() -> None:
    other = {"metadata": {"name": "c", "labels": {names.LABEL_REVISION: "r1"}}}
    rows = [*scrape(90.0), *({**row, "metric": row["metric"] | {"pod": "c"}} for row in scrape(97.0))]
    sample = await Prometheus(Said(rows), lambda: 100.0).sample(SOURCE, "demo", [POD, other])  # type: ignore[arg-type]
    assert (sample.at, sample.until) == (90.0, 97.0)


async def test_bins_labels_and_pairs_are_of_the_same_target_as_everything_else() -> None:
    """Their labels say nothing of which target was scraped."""
    rows = [
        *scrape(90.0),
        series(names.METRIC_PREDICTION_BINS, (90.0, 2), model="m", version="", output="label", bin="a"),
        series(names.METRIC_PREDICTION_BINS, (90.0, 3), model="m", version="", output="label", bin="b"),
        series(names.METRIC_FEEDBACK, (90.0, 4), model="m", version="1", outcome="correct", age="1h"),
        series(names.METRIC_FEEDBACK_ERROR, (90.0, 0.5), model="m", version="1", direction="over", age="1h"),
        series(names.METRIC_SHADOW_PAIRS, (90.0, 6), model="m", stable="r0", candidate="r1", outcome="match"),
        series(names.METRIC_FALLBACKS, (90.0, 7), revision="r1", reason="timeout"),
        series(names.METRIC_REQUESTS, (90.0, 8), revision="r1", code="200"),
    ]
    (pod,) = (await sampled(rows)).pods
    assert pod.served == {"ok": 8}
    assert pod.counts == {
        ("bin", "label", "a"): 2, ("bin", "label", "b"): 3, ("feedback", "1", "1h", "correct"): 4,
        ("feedback", "1", "1h", "over"): 0.5, ("pair", "r0", "r1", "match"): 6, ("fallback", "r1"): 7,
    }  # fmt: skip


async def test_targets_that_are_different_processes_say_nothing() -> None:
    sample = await sampled([*scrape(90.0), *scrape(91.0, started=2.0, job="y")])
    assert sample.pods == ()
    assert sample.absent == {"a.b": "duplicates: 2 targets of this name that are different processes"}
    assert sample.outage.startswith("duplicates: http://p has no fresh counters of 1 of 1 pods")


async def test_of_two_targets_of_one_process_always_the_same_is_taken() -> None:
    ahead = [*scrape(95.0, requests=7, job="y"), *scrape(90.0, requests=5, job="x")]
    assert (await sampled(ahead)).pods[0].arm_requests == {("r1", "ok"): 5}


async def test_what_is_not_finite_is_no_sample() -> None:
    rows = scrape(90.0)
    rows[0]["values"].append([95.0, "NaN"])
    assert (await sampled(rows)).at == 90.0


async def test_names_are_quoted_and_the_namespace_is_told_to_the_proxy_of_the_install() -> None:
    said = Said(scrape(90.0))
    await Prometheus(said, lambda: 100.0, "ns").sample(SOURCE, "demo", [POD])  # type: ignore[arg-type]
    query = dict(said.sent[0].form)["query"]
    assert r'pod=~"a\\.b"' in query and r'cluster="a\"b"' in query and query.endswith("}[60s]")
    assert said.sent[0].query == (("ns", "demo"),)


async def test_a_query_of_too_many_series_is_refused() -> None:
    rows = [{"metric": {"i": str(i)}, "value": [1, "1"]} for i in range(MAX_SERIES + 1)]
    sources = Sources(Said(rows), Settings(), lambda: 100.0)  # type: ignore[arg-type]
    (reading,) = (await sources.custom(SOURCE, {"m": {"candidate/events": "x"}})).values()
    assert (
        reading.gap == f"invalid: candidate/events gives {MAX_SERIES + 1} series, more than {MAX_SERIES}; sum them up"
    )


class Fleet:
    """An Outward before a Prometheus that scraped these pods; one with `silent` in its query is not answered."""

    def __init__(self, silent: str = "nobody") -> None:
        self.silent, self.asked = silent, list[int]()

    async def send(self, endpoint: Endpoint, message: Message) -> tuple[int, bytes]:
        query = dict(message.form)["query"]
        pods = re.findall(r"pod[0-9]+", query)
        self.asked.append(len(pods))
        if self.silent in pods:
            raise Unanswered("refused", f"too long: {message.bound.longest} bytes; {message.bound.remedy}")
        rows = [row | {"metric": row["metric"] | {"pod": pod}} for pod in pods for row in scrape(90.0)]
        return 200, json.dumps({"status": "success", "data": {"resultType": "matrix", "result": rows}}).encode()


def fleet(size: int) -> list[dict[str, Any]]:
    return [{"metadata": {"name": f"pod{n}", "labels": {names.LABEL_REVISION: "r1"}}} for n in range(size)]


async def test_many_pods_are_asked_of_in_several_queries_and_none_is_lost() -> None:
    server = Fleet()
    sample = await Prometheus(server, lambda: 100.0).sample(SOURCE, "demo", fleet(21))  # type: ignore[arg-type]
    assert sorted(server.asked) == [5, 8, 8]
    assert {pod.pod for pod in sample.pods} == {f"pod{n}" for n in range(21)}
    assert sample.absent == {} and sample.outage is None


async def test_an_answer_that_is_too_long_is_an_outage_of_all_and_says_what_makes_it_shorter() -> None:
    server = Fleet(silent="pod3")
    sample = await Prometheus(server, lambda: 100.0).sample(SOURCE, "demo", fleet(21))  # type: ignore[arg-type]
    assert sample.pods == () and len(sample.absent) == 21
    assert sample.outage.startswith("refused: too long: 8388608 bytes; it holds the raw samples of 8 pods: shorten ")
    assert "maxAge" in sample.outage
