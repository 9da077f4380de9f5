"""Command line of the benchmark of servers."""

import argparse
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.arguments import positive
from bench.serving import environments, load, machine, page, report
from bench.serving.measure import Plan
from bench.serving.run import Selection, run
from bench.serving.servers import LIMIT, servers
from bench.serving.works import WORKS

RESULTS = Path("bench/results/serving.json")
PARTIAL = Path("build/bench/serving.json")
PAGE = Path("docs/benchmarks.md")
IDLE_SECONDS = 3.0
SCENARIOS = ("half-load", "overload", "routing", "hot-swap")
EPILOG = f"""\
works:     {", ".join(work.name for work in WORKS)}
scenarios: {", ".join(SCENARIOS)}

A whole run writes {RESULTS} (with a plot beside it) and {PAGE};
one with --only or --servers writes {PARTIAL} and touches neither.

examples:
  make bench-serving
  python -m bench.serving --only v2-json-1row-c16,half-load --servers plimsoll,fastapi --seconds 1 --repeats 1
  python -m bench.serving --page        # write the page again, from the figures that are there
"""


def main(arguments: list[str] | None = None) -> int:
    """Run, or only write the page; returns the exit code."""
    told = _parser().parse_args(arguments)
    if told.page:
        write_page()
        return 0
    try:
        selection = _selection(told)
        plan = _plan(told)
    except environments.Missing as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    document = _document(told, plan, selection)
    whole = not (told.only or told.servers)
    _write(document, RESULTS if whole else PARTIAL, plan)
    if whole:
        write_page()
    print(f"\n{report.terminal(document)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.serving",
        description="Measures this server and its peers in one run on one machine: one core for the server, one for "
        "the client.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", metavar="NAMES", default="", help="works and scenarios, separated by commas")
    parser.add_argument("--servers", metavar="NAMES", default="", help=f"servers, separated by commas, also {LIMIT}")
    parser.add_argument("--seconds", type=positive, default=2, help="of each timed run, a whole number (2)")
    parser.add_argument("--repeats", type=positive, default=3, help="of each timed run; medians are reported (3)")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page from the results")
    return parser


def _selection(told: argparse.Namespace) -> Selection:
    names = _names(told.only, "--only", [*(work.name for work in WORKS), *SCENARIOS])
    chosen = _names(told.servers, "--servers", [*(server.name for server in servers()), LIMIT])
    works = [work for work in WORKS if work.name in names]
    scenarios = frozenset(names) & frozenset(SCENARIOS)
    return Selection(works, scenarios, [server for server in servers() if server.name in chosen], LIMIT in chosen)


def _names(text: str, flag: str, known: list[str]) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in known]:
        raise environments.Missing(f"{flag}: {unknown[0]} is none of {', '.join(known)}")
    return names or known


def _plan(told: argparse.Namespace) -> Plan:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise environments.Missing("two cores are needed, one for the server and one for the client; there is one")
    for program in load.PACKAGES:
        load.require(program)
    # This process is the client of some scenarios: it must never run on the server's core.
    os.sched_setaffinity(0, {cores[1]})
    return Plan(Path("build/bench"), told.seconds, told.repeats, cores[0], cores[1])


def _document(told: argparse.Namespace, plan: Plan, selection: Selection) -> report.Row:
    count = os.cpu_count() or 0
    facts = machine.facts(plan.server_core, plan.client_core, count)
    busy = machine.busy_share((plan.server_core, plan.client_core), IDLE_SECONDS)
    if busy > page.QUIET:
        print(f"bench: the machine is busy ({busy:.0%} of both cores): the figures will be worth little", flush=True)
    flags = [f"--seconds {plan.seconds}", f"--repeats {plan.repeats}"]
    flags += [f"--{name} {value}" for name, value in (("only", told.only), ("servers", told.servers)) if value]
    return {
        "run": {
            "command": " ".join(["python -m bench.serving", *flags]),
            "date": datetime.now(UTC).date().isoformat(),
            "seconds": plan.seconds,
            "repeats": plan.repeats,
            "busy_share": busy,
        },
        "machine": facts,
        **run(plan, selection),
    }


def _write(document: report.Row, path: Path, plan: Plan) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
    if not document["rows"]:
        return  # a run of scenarios only: there is nothing to draw
    python = environments.python_of("tools", plan.build)
    script = Path(__file__).with_name("plot.py")
    subprocess.run([python, script, path, path.with_suffix(".svg")], check=True)


def write_page() -> None:
    """The page from the committed figures."""
    PAGE.write_text(page.page(msgspec.json.decode(RESULTS.read_bytes())))
