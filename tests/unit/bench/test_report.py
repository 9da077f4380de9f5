"""Tables, ratios and the page are functions of the figures."""

from __future__ import annotations

import json

import pytest

from bench.serving import page, report
from bench.serving.cli import PAGE, RESULTS
from bench.serving.report import LIMIT
from tests.unit.bench.documents import WORK, document, row, usual
from tests.unit.docs.pages import ROOT


def test_the_page_is_up_to_date_with_the_figures() -> None:
    figures = json.loads((ROOT / RESULTS).read_text())
    assert (ROOT / PAGE).read_text() == page.page(figures), "run: python -m bench.serving --page"


def test_every_row_of_the_figures_has_what_the_issue_asks_for() -> None:
    asked = {"work", "server", "version", "requests_per_second", "p99_ms", "cpu_us_per_request", "rss_mb"}
    figures = json.loads((ROOT / RESULTS).read_text())
    assert figures["rows"]
    assert [one for one in figures["rows"] if asked - set(one)] == []


def test_ours_comes_first_and_the_limit_last() -> None:
    assert report.servers_of(usual()) == ["plimsoll", "mlserver", LIMIT]


def test_the_table_of_rates_has_our_multiple_of_each_peer() -> None:
    assert report.rates(usual()).splitlines() == [
        "| work | plimsoll | mlserver | raw-onnxruntime |",
        "|---|---:|---:|---:|",
        f"| `{WORK}` | **48.7k** | 1.5k (32x) | 136k (0.36x) |",
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(48_712.0, "48.7k"), (6_920.0, "6.92k"), (187.4, "187"), (1_500.0, "1.5k"), (136_000, "136k")]
)
def test_rates_have_three_digits(value: float, text: str) -> None:
    assert report.rate_text(value) == text


@pytest.mark.parametrize(("value", "text"), [(32.47, "32x"), (7.04, "7x"), (0.358, "0.36x"), (None, "–")])
def test_ratios_have_two_digits(value: float | None, text: str) -> None:
    assert report.ratio_text(value) == text


def test_a_peer_that_answered_nothing_has_no_ratio() -> None:
    assert report.ratio(row("plimsoll", 10), row("mlserver", 0)) is None


def test_a_work_that_a_server_does_not_speak_is_a_dash_and_a_sentence() -> None:
    silent = {"work": "v2-grpc-1row-c16", "server": "fastapi", "reason": "does not speak it"}
    one = document(row("plimsoll", 10), row("fastapi", 5), left_out=[silent])
    assert "| `v2-grpc-1row-c16` | – | – |" in report.rates(one)
    assert "* fastapi: does not speak it: `v2-grpc-1row-c16`" in page.page(one)


def test_errors_in_a_timed_run_are_said() -> None:
    one = document(row("plimsoll", 10), row("mlserver", 5, errors=17))
    assert report.failures(one) == [f"mlserver, `{WORK}`: 17 answers were errors"]


def test_the_page_leaves_out_sections_without_figures() -> None:
    text = page.page(usual())
    assert "## Overload" not in text
    assert "## Delegation" not in text


def test_figures_of_a_busy_machine_say_so() -> None:
    quiet, busy = usual(), usual()
    busy["run"]["busy_share"] = 0.6
    assert "worth little" not in page.page(quiet)
    assert "other work used 60% of both cores" in page.page(busy)
