"""What the figures say of the claims. Functions of the results document alone."""

from __future__ import annotations

from typing import Any

from scipy.special import betaincinv

Row = dict[str, Any]
OURS, FRESH = "plimsoll", "plimsoll-fresh"
NONE = "none"
WORLD = ("requests_per_second", "base_rate", "noise_cv", "noise", "incident")


def world(row: Row) -> tuple[Any, ...]:
    """What two rows must share to be of the same hours."""
    return tuple(row[name] for name in WORLD)


def of(document: Row, engine: str, effect: float) -> list[Row]:
    """The cells of an engine."""
    return [row for row in document["cells"] if row["engine"] == engine and row["effect"] == effect]


def engines(document: Row) -> list[str]:
    """Those that judge every cell, in the order of the file."""
    return [name for name in dict.fromkeys(row["engine"] for row in document["cells"]) if name != FRESH]


def above_alpha(document: Row, engine: str) -> list[Row]:
    """Cells in which more healthy releases than alpha were rolled back."""
    return [row for row in of(document, engine, 1.0) if row["false_rollback"] > document["alpha"]]


def worst(document: Row, engine: str) -> float:
    """The largest share of healthy releases rolled back in a cell."""
    return max((row["false_rollback"] for row in of(document, engine, 1.0)), default=0.0)


def interval(times: int, runs: int) -> tuple[float, float]:
    """The exact 95 % interval of a share, `times` of `runs` (Clopper & Pearson, Biometrika 1934)."""
    low = float(betaincinv(times, runs - times + 1, 0.025)) if times else 0.0
    return low, float(betaincinv(times + 1, runs - times, 0.975)) if times < runs else 1.0


def rolled_back(row: Row) -> tuple[float, float]:
    """The interval of the share of healthy releases that are rolled back."""
    return interval(round(row["false_rollback"] * row["runs"]), row["runs"])


def equal(mine: Row, peer: Row) -> bool:
    """Whether a peer rolls back no more healthy releases than we do, as far as the runs tell: the intervals of the two
    shares meet, or its own is below ours."""
    return rolled_back(peer)[0] <= rolled_back(mine)[1]


def races(document: Row, effect: float, *, within_alpha: bool = False) -> list[Row]:
    """For each world the median of ours and of the quickest peer, documented or tuned, at equal false rollback there.

    With `within_alpha` the peers are those that roll back at most alpha, or no more than we do, though it may be more
    often than we do. None is never; `slower` where that peer was quicker.
    """
    healthy = {(row["engine"], world(row)): row for row in document["cells"] if row["effect"] == 1}

    def rival(row: Row) -> bool:
        mine, peer = healthy[OURS, world(row)], healthy[row["engine"], world(row)]
        if within_alpha:
            return bool(peer["false_rollback"] <= max(document["alpha"], mine["false_rollback"]))
        return equal(mine, peer)

    found = []
    for mine in of(document, OURS, effect):
        peers = [
            row
            for row in document["cells"]
            if row["engine"] not in {OURS, FRESH} and row["effect"] == effect and world(row) == world(mine)
            and row["median_seconds"] is not None and rival(row)
        ]  # fmt: skip
        best = min(peers, key=lambda row: row["median_seconds"], default=None)
        ours = mine["median_seconds"]
        slower = best is not None and (ours is None or best["median_seconds"] < ours)
        found.append({"row": mine, "best": best, "slower": slower})
    return found


def instead(changed: str, usual: str) -> str:
    """Two figures compared in words."""
    return f"{changed} either way" if changed == usual else f"{changed} instead of {usual}"


def undecided_without_data(document: Row) -> bool:
    """Whether ours never decided in the cells without telemetry."""
    rows = [row for row in document["cells"] if row["engine"] == OURS and row["incident"] == "no telemetry"]
    return bool(rows) and all(row["inconclusive"] == 1 for row in rows)


def promoted(row: Row) -> float:
    """Share of healthy releases that were promoted."""
    return 1.0 - float(row["false_rollback"]) - float(row["inconclusive"])
