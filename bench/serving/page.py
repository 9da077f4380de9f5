"""`docs/benchmarks.md` from the JSON file. Whoever edits the page edits this module."""

from bench.markdown import paragraph, plain
from bench.serving import report
from bench.serving.models import MODELS
from bench.serving.report import SILENT, Row, table

PLOT = "../bench/results/serving.svg"
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
        "p99 in milliseconds with the connections that the work names, each sending as fast as it is answered:",
        report.column(document, "p99_ms", 2),
        "Resident memory after the work, in MB, of all processes of the server:",
        report.column(document, "rss_mb", 0),
        *_scenarios(document),
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


def _scenarios(document: Row) -> list[str]:
    return [
        *_half_load(document["half_load"]),
        *_overload(document["overload"]),
        *_delegation(document["delegation"]),
        *_swap(document["hot_swap"]),
        *_start_up(document["start_up"]),
    ]


def _half_load(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    cells = [
        [
            row["server"],
            f"{row['offered_per_second']:,.0f}",
            f"{row['sent_per_second']:,.0f}",
            f"{row['p50_ms']:.2f}",
            f"{row['p99_ms']:.2f}",
            f"{row['errors']:,}",
        ]
        for row in rows
    ]
    return [
        "## Half load",
        paragraph(
            """`v2-json-1row-c16` at half of each server's own maximum. Requests come at random (Poisson) whatever the
            server does, and latency counts from when a request was due."""
        ),
        table(["server", "offered/s", "sent/s", "p50 ms", "p99 ms", "errors"], cells),
    ]


def _overload(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    cells = [
        [
            row["server"],
            f"{row['capacity']:,.0f}",
            f"{row['sent_per_second']:,.0f}",
            f"{row['accepted_per_second']:,.0f}",
            f"{row['refused']:,}",
            f"{row['p50_ms']:,.1f}",
            f"{row['p99_ms']:,.1f}",
            f"{row['served_p99_ms']:,.1f}" if "served_p99_ms" in row else SILENT,
            f"{row['errors']:,}",
            f"{row['unsent']:,}" if "unsent" in row else SILENT,
        ]
        for row in rows
    ]
    columns = ["server", "capacity/s", "sent/s", "accepted/s", "refused"]
    return [
        "## Overload",
        paragraph(
            """`v2-json-32rows-c16-forest`, three times the capacity offered, from at most 2000 connections. *Refused*:
            429 or 503. *p99* is of the accepted ones, from when they were due; *p99 from sent* leaves out the waiting
            for one of the connections, which is the client's. *Errors*: another status, or no answer within two
            seconds of the last one sent. *Unsent*: no connection was free for it within two seconds of the end."""
        ),
        table([*columns, "p50 ms", "p99 ms", "p99 from sent", "errors", "unsent"], cells),
    ]


def _delegation(row: Row | None) -> list[str]:
    if row is None:
        return []
    cells = [
        [
            name,
            f"{row[f'{name}_requests_per_second']:,.0f}",
            f"{row[f'{name}_cpu_us_per_request']:.0f}",
            f"{row[f'{name}_p99_ms']:.2f}",
            str(row[f"{name}_errors"]),
        ]
        for name in ("direct", "delegated")
    ]
    return [
        "## Delegation",
        paragraph(
            f"""Two processes of this server on one core: the first answers all, then passes all on to the second. CPU
            is of both. A delegated request costs {row["cpu_ratio"]:.2f} times the CPU of a direct one, and
            {row["throughput_ratio"]:.2f} times as many direct ones are answered a second."""
        ),
        table(["", "requests/s", "CPU µs", "p99 ms", "errors"], cells),
    ]


def _swap(row: Row | None) -> list[str]:
    if row is None:
        return []
    return [
        "## Swap under load",
        paragraph(
            f"""{row["offered_per_second"]:,.0f} requests a second, while the route was flipped {row["flips"]} times
            between the two processes: {row["errors"]} errors, p99 {row["swapping_p99_ms"]:.2f} ms; without flips
            {row["direct_p99_ms"]:.2f} ms direct and {row["delegated_p99_ms"]:.2f} ms delegated."""
        ),
    ]


def _start_up(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    cells = [
        [row["server"], f"{row['listening_seconds']:.2f}", f"{row['ready_seconds']:.2f}", str(row["starts"])]
        for row in rows
    ]
    return [
        "## Start-up",
        paragraph(
            """Seconds from the start of the process until it answers at all, and until it says that it is ready, on
            the server's core: medians of the starts."""
        ),
        table(["server", "listening", "ready", "starts"], cells),
    ]


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
