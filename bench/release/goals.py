"""The page's first part: each goal with its figure, and of those that are not had the reason."""

from __future__ import annotations

from collections.abc import Iterator

from bench.markdown import paragraph, table
from bench.release import report
from bench.release.cells import COLD
from bench.release.report import FRESH, NONE, OURS, Row

IN_TIME = 0.95
ARM = "noise per arm"


def section(document: Row) -> str:
    """The table, and why not."""
    rows = [_alpha(document), *(_race(document, effect) for effect in (4.0, 2.0)), _first_window(document),
            _promoted(document), _blind(document), _cost(document)]  # fmt: skip
    lines = [[goal, "yes" if met else "**no**", said] for goal, met, said in rows]
    parts = [table(["goal", "met", "found"], lines), *(f"* {paragraph(one)}" for one in _reasons(document))]
    return "\n\n".join([parts[0], "**Why not, and why the defaults are as they are:**", "\n".join(parts[1:])])


Goal = tuple[str, bool, str]


def _alpha(document: Row) -> Goal:
    rows, above = report.of(document, OURS, 1.0), report.above_alpha(document, OURS)
    worst = max((row for row in rows if row not in above), key=lambda row: row["false_rollback"])
    said = f"in {len(rows) - len(above)} of {len(rows)} cells, where the most is {worst['false_rollback']:.2%}"
    if above:
        said += f"; not in {len(above)}: " + "; ".join(map(place, above))
    return f"at most {document['alpha']:.0%} of healthy releases rolled back, in every cell", not above, said


def _race(document: Row, effect: float) -> Goal:
    races = report.races(document, effect)
    slower = sum(race["slower"] for race in races)
    goal = f"{effect:g}x the errors: at equal false rollback slower than the best peer in at most 10 % of cells"
    return goal, slower <= 0.1 * len(races), f"slower in {slower} of {len(races)} ({slower / len(races):.1%})"


def _first_window(document: Row) -> Goal:
    rows = _first_windows(document)
    said = "; ".join(f"{row['first_window']:.0%} at {row['base_rate']:.1%} errors" for row in rows)
    met = bool(rows) and all(row["first_window"] >= IN_TIME for row in rows)
    return "4x the errors at 500 requests/s taken back in the first window (10 s)", met, f"{said} (cv 0.2)"


def _first_windows(document: Row) -> list[Row]:
    return [row for row in report.of(document, OURS, 4.0)
            if row["requests_per_second"] == 500 and row["incident"] == NONE and row["noise_cv"] == 0.2]  # fmt: skip


def _promoted(document: Row) -> Goal:
    rows = [
        row for row in report.of(document, OURS, 1.0) if row["requests_per_second"] == 50 and row["incident"] == NONE
    ]
    late = [row for row in rows if report.promoted(row) < IN_TIME]
    least = min(map(report.promoted, (row for row in rows if row not in late)), default=0.0)
    said = f"in {len(rows) - len(late)} of {len(rows)} cells ({least:.1%} or more)"
    if late:
        said += "; not in " + "; ".join(f"{place(row, value=False)}: {report.promoted(row):.1%}" for row in late)
    return "a healthy release at 50 requests/s promoted within 30 minutes in at least 95 %", not late, said


def _blind(document: Row) -> Goal:
    met, rows = report.undecided_without_data(document), report.of(document, OURS, 1.0)
    runs = sum(row["runs"] for row in rows if row["incident"] == "no telemetry")
    return (
        "“no data” never decides",
        met,
        f"none of {runs:,} healthy releases without telemetry was decided, nor a bad one",
    )


def _cost(document: Row) -> Goal:
    costs, metrics = document["verdict"]["judge"], document["verdict"]["metrics"]
    said = ", ".join(f"{one['milliseconds']:.2f} ms for window {one['windows']}" for one in costs)
    return f"a verdict under 1 ms for 10 metrics ({metrics} here)", all(one["milliseconds"] < 1 for one in costs), said


def place(row: Row, *, value: bool = True) -> str:
    """Where a cell is, and its share of healthy releases rolled back."""
    said = f"{row['requests_per_second']:g}/s, {row['base_rate']:.1%} errors, cv {row['noise_cv']:g}"
    if row["incident"] != NONE:
        said = f"“{row['incident']}”"
    return f"{said}: {row['false_rollback']:.2%}" if value else said


# --- why not ----------------------------------------------------------------------------------------------------------


def _reasons(document: Row) -> Iterator[str]:
    above = report.above_alpha(document, OURS)
    if any(row["incident"] == COLD for row in above):
        yield _cold(document)
    if any(row["incident"].startswith(ARM) for row in above):
        yield """**Noise of a whole arm.** The test learns noise from how like pods differ. Where all pods of one
            version go up and down together and those of the other do not, the pods say that there is none. Where that
            noise is of cv 0.5 and chance is too little to hide it, alpha is not held (decision 0014). The rows “noise
            per arm” under “Conditions” have the rest."""
    if not all(_race(document, effect)[1] for effect in (2.0, 4.0)):
        yield """**Slower than a peer.** The peers that are quicker are told the service's rate of errors and hold the
            candidate to a fixed limit; this engine is told nothing and must tell a rise from chance and from the noise
            of pods, up to cv 0.5, at a stated error rate. “Where a peer is quicker” has the cells. What a larger
            `alpha` would buy, seconds, and a smaller `error_margin`, minutes at twice the errors, is under “What the
            defaults buy”, and how many more healthy releases would be rolled back for it."""
    if not _first_window(document)[1]:
        yield _window(document)
    if not _promoted(document)[1]:
        yield """**Later than 30 minutes.** A pass must show that the candidate is at most 1.5 times as bad, among pods
            that were seen to differ by as much: at cv 0.5 this may take more minutes than these. Nothing is decided
            wrongly; the release goes on, until `progressDeadline`. A larger `error_margin` passes sooner, and misses
            more."""
    if not _cost(document)[1]:
        most = max(one["milliseconds"] for one in document["verdict"]["judge"])
        yield f"""**What a verdict costs** is processor time, as the machine was then. A release gets one each 10 s, so
            that {10_000 / most:,.0f} releases would keep a core busy."""


def _cold(document: Row) -> str:
    healthy, bad = (next((row for row in report.of(document, FRESH, effect)), None) for effect in (1.0, 4.0))
    usual, warm = (
        next(row for row in report.of(document, OURS, effect) if row["incident"] == COLD) for effect in (1.0, 4.0)
    )
    said = f"""**Cold start.** There the candidate really fails three times as often, for its first two minutes, and the
        pods it is compared with have been warm for weeks: by default {usual["false_rollback"]:.2%} are rolled back
        ({_interval(usual)})."""
    if healthy is None or bad is None:
        return said
    return f"""{said} `analysis.baseline: Fresh` is made for it: pods of the stable version that start with the
        candidate's and are as cold. With it {healthy["false_rollback"]:.2%} are ({_interval(healthy)}), in the row
        “cold start, baseline: Fresh” under “Conditions”. It is not the default, for it costs pods, and time: the
        baseline answers as little as the candidate, so that four times the errors are taken back there after
        {bad["median_seconds"]:,.0f} s in the median, instead of {warm["median_seconds"]:,.0f} s with the cold start
        counted against the candidate."""


def _interval(row: Row) -> str:
    low, high = report.rolled_back(row)
    return f"95 % interval {low:.2%} to {high:.2%} of {row['runs']:,}"


def _window(document: Row) -> str:
    usual, watched = (
        next((one for one in document["curves"] if (one["setting"], one["value"]) == ("prePeriod", seconds)), None)
        for seconds in (0.0, 120.0)
    )
    said = """**The first window.** In noise of cv 0.5 a healthy pod shows four times the rate of three others in 0.4 %
        of all minutes, of one other in 3 %, and a release has many minutes: who fails whatever does so in ten seconds
        cannot hold alpha (decisions 0006 and 0014). Of a service that never fails it is found at once."""
    if usual is None or watched is None:
        return said
    share = report.instead(f"{watched['first_window_500']:.0%}", f"{usual['first_window_500']:.0%}")
    return f"""{said} `prePeriod: 2m` lets the pods show before that they are quiet, and helps where they are: where
        they differ by chance only (2 % errors), 60 % are found then (decision 0014). At cv 0.2 they are not, and it is
        {share} (0.5 % errors)."""
