"""`simulate`: how a service's release policy would do on a traffic, before anything is deployed."""

from __future__ import annotations

import sys
from typing import IO, Any

import click

from plimsoll.cli.libraries import loaded
from plimsoll.cli.options import examples, output, show
from plimsoll.cli.times import lasted, table
from plimsoll.cli.trouble import Trouble

Object = dict[str, Any]
EFFECTS = (1.0, 1.5, 2.0, 4.0)
LIBRARIES = ("numpy", "scipy", "pydantic")


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
    kubectl get inf churn -o yaml | kubectl plimsoll simulate -f - --requests-per-second 50 --error-rate 0.5%
    """)
)
@click.option("-f", "--filename", "file", required=True, type=click.File(encoding="utf-8"),
              help="manifest of an InferenceService; - reads standard input")  # fmt: skip
@click.option("--name", help="which InferenceService, where the manifest has several")
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
def simulate(file: IO[str], name: str | None, effects: tuple[float, ...], form: str | None, **told: Any) -> None:
    """Simulate releases of a manifest: chance of a false rollback, of missing a regression, time to the verdict.

    Nothing is deployed and no cluster is asked. The manifest is read as kubectl apply would have it read, and refused
    with the same sentences. What is compared are failures; the line "not simulated" says what else the manifest asks
    for. An effect of 1 is a candidate as good as the stable version. A service that never fails gets candidates that
    fail in 0.5 % of requests, times the effect.
    """
    manifest, simulated = (
        loaded(f"plimsoll.cli.{module}", "simulate", LIBRARIES) for module in ("manifest", "simulated")
    )
    plan = simulated.planned(manifest.service(_text(file), file.name, name).spec)
    with click.progressbar(effects, label="simulating", file=sys.stderr, hidden=not sys.stderr.isatty()) as each:
        document = simulated.document(
            plan, noise=told["noise"], effects=each, traffic=(told["requests_per_second"], told["error_rate"]),
            draws=(told["runs"], told["seed"]),
        )  # fmt: skip
    show(document, form, lambda: render(document))


def _text(file: IO[str]) -> str:
    try:
        return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Trouble(f"{file.name} cannot be read: {error}") from error


# --- as text --------------------------------------------------------------------------------------------------------


def render(document: Object) -> str:
    """A table, and below it what the numbers are of, and what they are not of."""
    rows = [
        (
            f"{one['effect']:g}x", f"{one['promoted']:.1%}", f"{one['rolledBack']:.1%}", f"{one['undecided']:.1%}",
            _time(one, "p50"), _time(one, "p95"), f"{one['badRequests']:,.0f}",
        )
        for one in document["candidates"]
    ]  # fmt: skip
    passed = "PASSED" if document["onPass"] == "Keep" else "PROMOTED"
    late = "HELD" if document["onInconclusive"] == "Hold" else "TIMED OUT"
    head = ("FAILS", passed, "ROLLED BACK", late, "HALF WITHIN", "95% WITHIN", "BAD REQUESTS")
    return "\n".join([table(head, rows), "", *_told(document, late)])


def _told(document: Object, late: str) -> list[str]:
    pods = document["replicas"]
    lines = [
        f"{document['runs']:,} releases each, strategy {document['strategy']}: "
        + ", then ".join(_stage(step) for step in document["steps"]),
        f"{document['requestsPerSecond']:g} requests/s, {document['errorRate']:.2%} errors,"
        f" {pods} replica{'s' * (pods > 1)}; alpha {document['alpha']:g}",
        f"{late.lower()}: no progress for progressDeadline {lasted(document['progressDeadlineSeconds'])},"
        f" onInconclusive: {document['onInconclusive']}; bad requests: the candidate's failures until then",
    ]
    if document["notSimulated"]:
        lines.append(f"not simulated: {', '.join(document['notSimulated'])}")
    return lines + [f"warning: {one}" for one in document["warnings"]]


def _stage(step: Object) -> str:
    kinds = {"Copies": "copies of {} %", "Step": "{} %", "Pause": "a pause at {} %", "Probation": "probation at {} %"}
    stay = f" for {lasted(step['minSeconds'])}" if step["minSeconds"] else ""
    return kinds[step["kind"]].format(step["weight"]) + stay


def _time(candidate: Object, quantile: str) -> str:
    seconds = candidate["secondsToVerdict"]
    return "-" if seconds is None else lasted(seconds[quantile])
