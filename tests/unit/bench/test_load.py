"""What the clients print, read back."""

from __future__ import annotations

import pytest

from bench.serving import load
from bench.serving.environments import Missing
from bench.serving.measure import row_of
from bench.serving.models import ModelFile
from bench.serving.works import WORKS, Protocol, Work
from tests.unit.bench.servers import SERVER

WRK = """Running 3s test @ http://127.0.0.1:8080
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   330.12us   80.10us   4.21ms   90.00%
  146100 requests in 3.00s, 41.20MB read
Requests/sec:  48700.00
{"requests": 146100, "duration_us": 3000000, "p50_us": 320, "p99_us": 710, "status": 100, "broken": 2}
"""
H2LOAD = """starting benchmark...
Warm-up phase is over for thread #0.
finished in 2.00s, 5000.00 req/s, 1.1MB/s
requests: 10000 total, 10016 started, 10000 done, 10000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 10000 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 2.27MB (2380000) total, 390.63KB (400000) headers (space savings 85.00%), 878.91KB ({data}) data
"""


def test_the_summary_of_wrk_is_read() -> None:
    timed = load.read_wrk(WRK)
    assert (timed.requests, timed.seconds, timed.p50_ms, timed.p99_ms) == (146_102, 3.0, 0.32, 0.71)


def test_bad_statuses_and_broken_connections_are_errors_and_no_good_answers() -> None:
    timed = load.read_wrk(WRK)
    assert timed.errors == 102
    assert timed.rate == pytest.approx(146_000 / 3)


def test_wrk_without_a_summary_is_an_error() -> None:
    with pytest.raises(ValueError, match="no summary"):
        load.read_wrk("unable to connect to 127.0.0.1:1 Connection refused")


def test_the_summary_of_h2load_is_read() -> None:
    timed = load.read_h2load(H2LOAD.format(data=900_000), answer=90)
    assert (timed.requests, timed.seconds, timed.errors) == (10_000, 2.0, 0)


def test_calls_of_grpc_that_brought_no_message_are_errors() -> None:
    # A refusal has HTTP status 200: only the missing bytes tell.
    timed = load.read_h2load(H2LOAD.format(data=891_000), answer=90)
    assert timed.errors == 100


def test_a_missing_client_is_an_error_that_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Missing, match="apt-get install nghttp2-client"):
        load.require("h2load")


def test_works_are_named_by_protocol_rows_connections_and_model() -> None:
    assert Work(Protocol.BINARY, 32, 16).name == "v2-binary-32rows-c16"
    assert Work(Protocol.JSON, 1, 16, "forest").name == "v2-json-1row-c16-forest"
    assert len({work.name for work in WORKS}) == len(WORKS)


def test_a_row_has_medians_and_the_sum_of_errors() -> None:
    taken = [
        load.Timed(count, 1.0, 1.0, p99, errors) for count, p99, errors in ((10, 3.0, 0), (30, 1.0, 2), (20, 2.0, 0))
    ]
    row = row_of(WORKS[0], SERVER, taken, [5000.0, 9000.0, 7000.0], 70.04)
    assert (row["requests_per_second"], row["p99_ms"], row["cpu_us_per_request"], row["rss_mb"]) == (
        20.0,
        2.0,
        7000.0,
        70.0,
    )
    assert row["errors"] == 2
    # 50, 270 and 140 ms in a second.
    assert row["server_core_share"] == 0.14


def test_the_rows_that_are_sent_are_always_the_same(tmp_path) -> None:  # type: ignore[no-untyped-def]
    model = ModelFile("linear", 30, tmp_path)
    assert (model.rows(32) == model.rows(32)).all()
    assert model.rows(32).shape == (32, 30)
