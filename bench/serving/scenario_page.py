"""The sections of `docs/benchmarks.md` about what throughput does not tell."""

from bench.markdown import paragraph
from bench.serving.report import SILENT, Row, table
from bench.serving.routing import DELEGATED, DIRECT
from bench.serving.scenarios import HALF

PRIORITY = """ Server and client have a real-time priority (SCHED_FIFO) meanwhile, for 0.8 s at a time: what else wakes
    up on their cores waits, and is not measured with them."""


def sections(document: Row) -> list[str]:
    """One for each scenario that was run."""
    return [
        *_half_load(document["half_load"]),
        *_overload(document["overload"]),
        *_routing(document["routing"]),
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
            + (PRIORITY if all(row.get("real_time") for row in rows) else "")
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
            f"{row['sent_per_second'] / row['capacity']:.1f}",
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
    columns = ["server", "capacity/s", "sent/s", "times capacity", "accepted/s", "refused"]
    return [
        "## Overload",
        paragraph(
            """`v2-json-64rows-c16-forest`, three times the capacity offered, from at most 2000 connections. *Sent* is
            less where all were waiting for answers, or the client had no time. *Refused*: 429 or 503. *p99* is of the
            accepted ones, from when they were due; *p99 from sent* leaves out the waiting for one of the connections,
            which is the client's. *Errors*: another status, or no answer within two seconds of the last one sent.
            *Unsent*: no connection was free for it within two seconds of the end."""
        ),
        table([*columns, "p50 ms", "p99 ms", "p99 from sent", "errors", "unsent"], cells),
    ]


def _routing(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    ways = {row["way"]: row for row in rows}
    direct, delegated = ways[DIRECT], ways[DELEGATED]
    cells = [
        [
            name,
            f"{row['requests_per_second']:,.0f}",
            f"{row['asked_cpu_us_per_request']:.0f}",
            f"{row['cpu_us_per_request']:.0f}",
            f"{row['cpu_us_per_request'] / direct['cpu_us_per_request']:.2f}",
            f"{row['p99_ms']:.2f}",
            str(row["errors"]),
        ]
        for name, row in ways.items()
    ]
    return [
        "## Routing",
        paragraph(
            f"""Two processes of this server on one core; the first is asked (`{HALF.name}`). A delegated request costs
            {delegated["cpu_us_per_request"] / direct["cpu_us_per_request"]:.2f} times the CPU of a direct one, of both
            processes together, and {direct["requests_per_second"] / delegated["requests_per_second"]:.2f} times as many
            direct ones are answered a second. CPU is in microseconds a request: of the process that is asked, of both,
            and that as a multiple of a direct request."""
        ),
        table(["", "requests/s", "CPU asked", "CPU both", "times direct", "p99 ms", "errors"], cells),
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
