"""Command line of the benchmark of release engines."""

import argparse
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from bench.arguments import positive
from bench.release import cost, page
from bench.release.cells import conditions, grid
from bench.release.engines import ENGINES
from bench.release.run import only_curves, only_ours, only_scenes, run
from bench.serving import environments

RESULTS = Path("bench/results/release.json")
PARTIAL = Path("build/bench/release.json")
PAGE = Path("docs/benchmarks-release.md")
RUNS = 10_000
QUICK_RUNS = 300
EPILOG = f"""\
A whole run writes {RESULTS} (with a plot beside it) and {PAGE}; --quick writes {PARTIAL} and touches neither.

examples:
  make bench-release
  make bench-release BENCH_ARGS="--runs 1000"
  python -m bench.release --quick
  python -m bench.release --ours        # this engine again; the peers judged the same hours, and their figures stay
  python -m bench.release --scenes --runs 200   # scores, labels and latency again, into the figures that are there
  python -m bench.release --curves --runs 1000  # the curves again
  python -m bench.release --cost        # what a verdict costs, again, on a quiet machine (seconds)
  python -m bench.release --page        # write the page again, from the figures that are there
"""


def main(arguments: list[str] | None = None) -> int:
    """Simulate, or only write the page; returns the exit code."""
    told = _parser().parse_args(arguments)
    if told.page:
        PAGE.write_text(page.page(json.loads(RESULTS.read_text())))
        return 0
    runs = QUICK_RUNS if told.quick else told.runs
    if told.ours or told.scenes or told.curves or told.cost:
        document = json.loads(RESULTS.read_text())
        written(document | _part(told, runs, document))
        return 0
    cells = [*grid((50.0, 500.0)), *conditions()] if told.quick else None
    command = "python -m bench.release" + (" --quick" if told.quick else f" --runs {runs}")
    facts = {"command": command, "date": _today(), "runs": runs}
    document = {"run": facts} | run(runs, ENGINES, cells)
    if told.quick:
        PARTIAL.parent.mkdir(parents=True, exist_ok=True)
        PARTIAL.write_text(dumped(document))
    else:
        written(document)
    print(page.page(document).split("\n## ")[1])
    return 0


def _part(told: argparse.Namespace, runs: int, document: page.Row) -> page.Row:
    """What is measured again alone, and that it was."""
    if told.cost:
        return {"verdict": cost.measured() | {"alone": _today()}}
    if told.ours:
        name, part = "cells", only_ours(runs, document["cells"])
    elif told.scenes:
        name, part = "scenes", only_scenes(runs)
    else:
        name, part = "curves", only_curves(runs)
    again = document["run"].get("again", {}) | {name: f"{_today()}, {runs:,} runs"}
    return {"run": document["run"] | {"again": again}, name: part}


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def written(document: page.Row) -> None:
    """The results, their plot and the page."""
    RESULTS.write_text(dumped(document))
    script = Path(__file__).with_name("plot.py")
    python = environments.python_of("tools", Path("build/bench"))
    subprocess.run([python, script, RESULTS, RESULTS.with_suffix(".svg")], check=True)
    PAGE.write_text(page.page(document))


def dumped(document: page.Row) -> str:
    """JSON with one cell a line."""
    parts = []
    for name, value in document.items():
        if isinstance(value, list):
            lines = ",\n".join(f"  {json.dumps(one)}" for one in value)
            parts.append(f' "{name}": [\n{lines}\n ]')
        else:
            parts.append(f' "{name}": {json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.release",
        description="Simulates releases under this engine and its peers, through the same hours of traffic.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=positive, default=RUNS, help=f"of each cell that decides a claim ({RUNS:,})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} of fewer cells")
    parser.add_argument("--ours", action="store_true", help="only what this engine makes of the cells, with --runs")
    parser.add_argument("--scenes", action="store_true", help="only what errors do not show, with --runs of each")
    parser.add_argument("--curves", action="store_true", help="only what other defaults buy, --runs of each point")
    parser.add_argument("--cost", action="store_true", help="only what a verdict costs: on a quiet machine")
    parser.add_argument("--page", action="store_true", help="simulate nothing, write the page from the results")
    return parser
