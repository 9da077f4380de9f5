"""`docs/benchmarks.md` from the JSON file. Whoever edits the page edits this module."""

from bench.markdown import paragraph, plain
from bench.serving import report, scenario_page
from bench.serving.models import MODELS
from bench.serving.report import SILENT, Row

PLOT = "../bench/results/serving.svg"
PROFILE = "../bench/results/profile.svg"
QUIET = 0.1


def page(document: Row) -> str:
    """The whole page."""
    parts = [
        "# Benchmarks",
        _opening(document),
        _warning(document),
        "## Throughput",
        "Requests a second, and in parentheses how many times as many this server answers.",
        report.rates(document),
        f"![Requests a second by work and server]({PLOT})",
        _left_out(document),
        "## What a request costs",
        "CPU of the server's processes for each request, in microseconds:",
        report.column(document, "cpu_us_per_request", 0),
        f"Where it goes in this server: a [flame graph]({PROFILE}) of `v2-json-1row-c16`, written by `make profile`.",
        "p99 in milliseconds with the connections that the work names, each sending as fast as it is answered:",
        report.column(document, "p99_ms", 2),
        "Resident memory after the work, in MB, of all processes of the server:",
        report.column(document, "rss_mb", 0),
        *scenario_page.sections(document),
        "## How it was measured",
        _method(document),
        "### Settings",
        _settings(document),
        "### Machine",
        _machine(document),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(document: Row) -> str:
    return paragraph(
        """Written by `make bench-serving` from `bench/results/serving.json`: one run on one machine, every server on
        the same core, the client on another, the same model files, the same bytes. Compare figures within a run, never
        between machines: that is what the ratios are for."""
    )


def _warning(document: Row) -> str:
    """Figures of a busy machine are not passed off as good ones."""
    busy = document["run"]["busy_share"]
    if busy <= QUIET:
        return ""
    return paragraph(
        f"""**These figures are worth little**: other work used {busy:.0%} of both cores when the run began. Run
        `make bench-serving` again on a quiet machine."""
    )


def _left_out(document: Row) -> str:
    said = report.failures(document)
    return f"`{SILENT}`: not measured.\n\n" + "\n".join(f"* {sentence}" for sentence in said) if said else ""


def _method(document: Row) -> str:
    run = document["run"]
    models = "\n".join(f"* `{name}`: {text}" for name, (text, _, _) in MODELS.items())
    said = paragraph(
        f"""Each figure is the median of {run["repeats"]} runs of {run["seconds"]} s after a warm-up. Before the timing
        each server's answer is compared with onnxruntime's own (1e-6). REST is sent by wrk, gRPC by h2load (nghttp2),
        both in C and with requests encoded beforehand; the JSON file has the share of its core that the client used
        (`client_core_share`, at most {_busiest(document)}): below 1, it was not the limit. `{report.LIMIT}` is the
        library called in process on the same rows: what no server can beat without batching. Works without a model in
        their name use `linear`:"""
    )
    return f"{said}\n\n{models}"


def _busiest(document: Row) -> str:
    shares = [row["client_core_share"] for row in document["rows"] if "client_core_share" in row]
    return f"{max(shares):.2f}" if shares else SILENT


def _settings(document: Row) -> str:
    cells = [[row["server"], row["version"], row["settings"]] for row in document["servers"]]
    head = "| server | version | settings |\n|---|---|---|\n"
    return head + "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _machine(document: Row) -> str:
    facts = "\n".join(f"* {name}: {plain(value)}" for name, value in document["machine"].items())
    return f"{facts}\n* command: `{document['run']['command']}`\n* date: {document['run']['date']}"
