"""The plot: `python plot.py RESULTS.json OUT.svg`. Run in the environment `tools`; needs nothing of this package."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

COLOURS = {
    "plimsoll": "#c8102e",
    "fastapi": "#009688",
    "mlserver": "#5b5ea6",
    "kserve": "#326ce5",
    "bentoml": "#e0a100",
    "litserve": "#792ee5",
    "raw-onnxruntime": "#9e9e9e",
}


def main(results: str, out: str) -> None:
    rows = json.loads(Path(results).read_text())["rows"]
    works = list(dict.fromkeys(row["work"] for row in rows))
    servers = [name for name in COLOURS if any(row["server"] == name for row in rows)]
    matplotlib.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9})
    figure, axes = plt.subplots(figsize=(10, 0.9 * len(works) + 1.2), layout="constrained")
    height = 0.8 / len(servers)
    for index, server in enumerate(servers):
        found = {row["work"]: row["requests_per_second"] for row in rows if row["server"] == server}
        places = [place + index * height for place, work in enumerate(works) if work in found]
        values = [found[work] for work in works if work in found]
        bars = axes.barh(places, values, height * 0.9, color=COLOURS[server], label=server)
        axes.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3, fontsize=7)
    axes.set_yticks([place + 0.4 - height / 2 for place in range(len(works))], works)
    axes.invert_yaxis()
    axes.set_xscale("log")
    # Bars of a logarithmic axis have no natural start: the shortest still is to be seen.
    axes.set_xlim(left=min(row["requests_per_second"] for row in rows if row["requests_per_second"]) / 2)
    axes.margins(y=0.01)
    axes.set_xlabel("requests a second on one core (logarithmic)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.06), ncols=len(servers), frameon=False)
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
