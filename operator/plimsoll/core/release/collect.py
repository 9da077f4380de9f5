"""Evidence of a running release: a sample becomes a window, the windows a verdict, and all of it the ledger."""

from __future__ import annotations

from dataclasses import dataclass

from plimsoll import names
from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import WindowStatus
from plimsoll.core import route
from plimsoll.core.conditions import shortened, timestamp
from plimsoll.core.evidence import window_between
from plimsoll.core.ledger import Ledger, digest, dumps, loads
from plimsoll.core.release import turn as moves
from plimsoll.core.release.children import ledger_name
from plimsoll.core.release.observed import Observed
from plimsoll.core.release.turn import Evidence, Status
from plimsoll.core.verdict import Policy, judge
from plimsoll.facts import Sample, Verdict, Window

#: Scrapes are not punctual: a window may be this much shorter than the spec says.
_EARLY_SECONDS = 0.05
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Collected:
    """The evidence, and the ledger's new text when it has to be written before the status that rests on it."""

    evidence: Evidence
    text: str | None = None
    next_at: float | None = None


def collect(observed: Observed) -> Collected:
    """What the sample of this pass adds. Without a candidate that has a share there is nothing but epochs to see."""
    status, sample = observed.status, observed.sample
    followed = sample is not None and route.followed(observed, status)
    ledger = ledger_of(observed)
    if status.candidate is None or status.stable is None or not status.weight:
        return Collected(Evidence(ledger.windows, followed=followed))
    grown = _grown(observed, ledger, sample, followed) if sample is not None else ledger
    text = dumps(grown) if grown is not ledger else None
    fresh = len(grown.windows) > len(ledger.windows) or _unjudged(observed, ledger)
    verdict = judged(observed, grown.windows) if fresh and grown.windows else None
    evidence = Evidence(
        windows=grown.windows, verdict=verdict, fresh=fresh and verdict is not None, followed=followed,
        outage=grown.windows[-1].gap if grown.windows else None, seen_at=sample.at if sample else None,
    )  # fmt: skip
    window = seconds(observed.spec.release.analysis.window)
    return Collected(evidence, text, grown.cursor.at + window if grown.cursor else None)


def ledger_of(observed: Observed) -> Ledger:
    """The ledger of the attempt; an empty one when it has none yet, or lost it."""
    text = ledger_text(observed)
    return loads(text) if text else Ledger()


def ledger_text(observed: Observed) -> str | None:
    """The ledger's text as the cluster has it."""
    manifest = observed.config_maps.get(ledger_name(observed.name, observed.status.attempt)) or {}
    text = (manifest.get("data") or {}).get(names.LEDGER_KEY)
    return str(text) if text else None


def _unjudged(observed: Observed, ledger: Ledger) -> bool:
    """The ledger is ahead of the status: the write of the status that rests on it was lost."""
    text = ledger_text(observed)
    return bool(ledger.windows) and text is not None and observed.status.ledger != digest(text)


def _grown(observed: Observed, ledger: Ledger, sample: Sample, followed: bool) -> Ledger:
    """The ledger with this sample: the base of the first window of a share, or the end of a window that is due."""
    status = observed.status
    if status.step_since is None:
        # Until every pod reports the share, nobody knows which one the counts are of.
        return ledger.at(sample) if followed else ledger
    if ledger.cursor is None:
        return ledger.at(sample)
    due = ledger.cursor.at + seconds(observed.spec.release.analysis.window) - _EARLY_SECONDS
    return ledger.with_window(_window(observed, ledger, sample), sample) if sample.at >= due else ledger


def _window(observed: Observed, ledger: Ledger, sample: Sample) -> Window:
    status = observed.status
    assert status.stable is not None and status.candidate is not None and ledger.cursor is not None
    return window_between(
        ledger.cursor, sample, index=1 + (ledger.windows[-1].index if ledger.windows else 0), step=step_label(observed, status),
        weight=status.weight or 0, stable=status.stable.revision, candidate=status.candidate.revision,
    )  # fmt: skip


def step_label(observed: Observed, status: Status) -> int:
    """The step that a window belongs to: one after the last for what comes after the steps."""
    return moves.step_number(observed, status) or len(moves.steps(observed)) + 1


def judged(observed: Observed, windows: tuple[Window, ...]) -> Verdict:
    """The verdict on all windows. Without two arms that take requests there is nothing to compare."""
    alone = not 0 < (observed.status.weight or 0) < 100
    return judge(windows, policy(observed), mode="Absolute" if alone else "Sequential")


def policy(observed: Observed) -> Policy:
    """The spec's analysis in the verdict's terms."""
    analysis, number = observed.spec.release.analysis, moves.step_number(observed, observed.status)
    errors, latency = analysis.error_rate, analysis.latency
    return Policy(
        alpha=analysis.alpha,
        error_margin=errors.margin if errors.enabled else None,
        error_max=errors.max if errors.max is not None and errors.max < 1 else None,
        latency_margin=latency.margin if latency.enabled else None,
        latency_max_p99_seconds=seconds(latency.max_p99) if latency.max_p99 else None,
        min_requests=moves.steps(observed)[number - 1].min_requests if number else 0,
    )


def shown(windows: tuple[Window, ...]) -> tuple[WindowStatus, ...]:
    """The last windows as the status has them."""
    return tuple(
        WindowStatus(
            index=one.index, end=timestamp(one.end), weight=one.weight,
            stable=f"{one.stable.failures}/{one.stable.requests}",
            candidate=f"{one.candidate.failures}/{one.candidate.requests}",
            gap=shortened(one.gap, 256) if one.gap else None,
        )
        for one in windows[-_SHOWN:]
    )  # fmt: skip
