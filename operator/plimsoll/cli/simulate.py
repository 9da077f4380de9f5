"""`simulate`: how a service's release policy would do on a traffic, before anything is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from plimsoll.cli.options import examples, output, show
from plimsoll.cli.times import lasted, table
from plimsoll.cli.trouble import Trouble

Object = dict[str, Any]
EFFECTS = (1.0, 1.5, 2.0, 4.0)


class Share(click.ParamType[float]):
    """`0.5%` or `0.005`."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"{text!r} is not a share such as 0.5% or 0.005", param, ctx)
        if not 0 <= share < 1:
            self.fail(f"{text} must be from 0% to below 100%", param, ctx)
        return share


@click.command(
    epilog=examples("""
    kubectl plimsoll simulate -f service.yaml --requests-per-second 50 --error-rate 0.5%
    kubectl plimsoll simulate -f service.yaml --requests-per-second 5 --error-rate 0.1% --effect 1 --effect 3 -o json
    """)
)
@click.option("-f", "--filename", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="manifest of an InferenceService")  # fmt: skip
@click.option("--requests-per-second", required=True, type=click.FloatRange(0, min_open=True),
              help="what the whole service gets")  # fmt: skip
@click.option("--error-rate", required=True, type=Share(), help="the stable version's failures, such as 0.5%")
@click.option("--noise", default=0.2, show_default=True, type=click.FloatRange(0, 2),
              help="coefficient of variation of a pod's rate from minute to minute")  # fmt: skip
@click.option("--effect", "effects", multiple=True, type=click.FloatRange(0, min_open=True), default=EFFECTS,
              show_default=True, help="candidates that fail so many times as often; may be given again")  # fmt: skip
@click.option(
    "--runs", default=500, show_default=True, type=click.IntRange(1, 100_000), help="releases for each effect"
)
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, 1_000_000), help="of the randomness")
@output
def simulate(filename: Path, noise: float, effects: tuple[float, ...], form: str | None, **told: Any) -> None:
    """Simulate releases of a manifest: chance of a false rollback, of missing a regression, time to the verdict.

    Nothing is deployed and no cluster is asked. Requests are answered fast; what is compared are failures. An effect of
    1 is a candidate as good as the stable version. A service that never fails gets candidates that fail in 0.5 % of
    requests, times the effect.
    """
    from plimsoll.cli import simulated

    release = simulated.release_of(filename.read_text(), str(filename))
    document = simulated.document(
        release, noise=noise, effects=effects, traffic=(told["requests_per_second"], told["error_rate"]),
        draws=(told["runs"], told["seed"]),
    )  # fmt: skip
    show(document, form, lambda: render(document))


def render(document: Object) -> str:
    """A table, and below it what the numbers are of."""
    rows = [
        (
            f"{one['effect']:g}x", f"{one['promoted']:.1%}", f"{one['rolledBack']:.1%}", f"{one['undecided']:.1%}",
            _time(one, "p50"), _time(one, "p95"), f"{one['badRequests']:,.0f}",
        )
        for one in document["candidates"]
    ]  # fmt: skip
    head = ("FAILS", "PROMOTED", "ROLLED BACK", "UNDECIDED", "HALF WITHIN", "95% WITHIN", "BAD REQUESTS")
    steps = "/".join(str(step["weight"]) for step in document["steps"])
    said = (
        f"{document['runs']:,} releases each through {steps} % at {document['requestsPerSecond']:g} requests/s,"
        f" {document['errorRate']:.2%} errors, within {lasted(document['horizonSeconds'])}; alpha {document['alpha']:g}"
    )
    return f"{table(head, rows)}\n\n{said}"


def _time(candidate: Object, quantile: str) -> str:
    seconds = candidate["secondsToVerdict"]
    return "-" if seconds is None else lasted(seconds[quantile])


def refused(path: str, why: str) -> Trouble:
    """The manifest cannot be simulated."""
    return Trouble(f"{path}: {why}")
