"""The plot: `python plot.py RESULTS.json OUT.svg`. Run in the environment `tools`; needs nothing of this package."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

COLOURS = {
    "plimsoll": "#c8102e",
    "argo-rollouts": "#ef7b4d",
    "argo-rollouts-tuned": "#f5b79d",
    "flagger": "#326ce5",
    "flagger-tuned": "#9db9f2",
    "kayenta": "#139bb4",
    "kayenta-tuned": "#8fd0dc",
}


def main(results: str, out: str) -> None:
    document = json.loads(Path(results).read_text())
    matplotlib.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9})
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    times(axes[0], document)
    rollbacks(axes[1], document)
    trade(axes[2], document)
    figure.savefig(out, metadata={"Date": None})


def times(axis: plt.Axes, document: dict) -> None:
    for engine, colour in COLOURS.items():
        rows = sorted(
            (row["requests_per_second"], row["median_seconds"])
            for row in document["cells"]
            if row["engine"] == engine and row["effect"] == 4 and row["incident"] == "none"
            and row["noise_cv"] == 0.2 and row["base_rate"] == 0.005 and row["median_seconds"] is not None
        )  # fmt: skip
        if rows:
            axis.plot(*zip(*rows, strict=True), "o-", color=colour, label=engine)
    axis.set(xscale="log", yscale="log", xlabel="requests a second", ylabel="seconds, median")
    axis.set_title("Taking back 0.5 % → 2 % errors")
    axis.legend(fontsize=7)


def rollbacks(axis: plt.Axes, document: dict) -> None:
    for engine, colour in COLOURS.items():
        shares = sorted(
            row["false_rollback"] for row in document["cells"] if row["engine"] == engine and row["effect"] == 1
        )
        if shares:
            axis.plot([index / len(shares) for index in range(len(shares))], shares, color=colour, label=engine)
    axis.axhline(document["alpha"], color="black", linewidth=0.8, linestyle="dotted")
    axis.set(yscale="symlog", xlabel="share of cells", ylabel="healthy releases rolled back")
    axis.set_yscale("symlog", linthresh=0.01)
    axis.set_ylim(bottom=0)
    axis.set_title("False rollbacks, cells in order")


def trade(axis: plt.Axes, document: dict) -> None:
    rows = [one for one in document["curves"] if one["setting"] == "alpha"]
    shown = {"twofold_seconds_500": "2x, 500/s", "median_seconds_500": "4x, 500/s", "median_seconds_50": "4x, 50/s"}
    for figure, label in shown.items():
        points = [(one["value"], one[figure]) for one in rows if one.get(figure) is not None]
        if points:
            axis.plot(*zip(*points, strict=True), "o-", label=label)
    for one in rows:
        worst = max(one["false_rollback"].values())
        if one["median_seconds_500"] is not None:
            axis.annotate(f"{worst:.1%}", (one["value"], one["median_seconds_500"]), fontsize=7, va="top")
    axis.set(xscale="log", yscale="log", xlabel="alpha", ylabel="seconds to take back, median")
    axis.set_title("What alpha buys (false rollbacks noted)")
    axis.legend(fontsize=7)


if __name__ == "__main__":
    main(*sys.argv[1:])
