"""The verdict on a candidate: sequential, valid under continuous monitoring, and three-valued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, pairwise
from operator import add
from typing import Literal

import numpy as np

from plimsoll.core import breaker
from plimsoll.core.recent import Recent
from plimsoll.core.statistics.criteria import Judge
from plimsoll.core.statistics.external import Levels, statistical
from plimsoll.core.statistics.external import criteria as external
from plimsoll.core.statistics.measured import Measured
from plimsoll.core.statistics.policy import Policy, bounded, compared, measured, split
from plimsoll.core.statistics.shift import PredictionShift
from plimsoll.core.statistics.split import SampleRatio
from plimsoll.facts import Verdict, Window

__all__ = ["Mode", "Policy", "ahead", "judge", "verdicts"]

Mode = Literal["Sequential", "Absolute"]


def judge(windows: Sequence[Window], policy: Policy, *, mode: Mode = "Sequential") -> Verdict:
    """The verdict after all windows of an attempt, in order of time.

    Fail is for good: the first window that decided is named, however it went on. Pass speaks of all windows so far,
    with `min_requests` in the step of the last window. No data is neither: windows with a gap are left out, and what is
    missing is named. Windows without one of the arms carry no comparison, but count for the breaker.
    `hold` of an Inconclusive verdict says that what was seen is for a person to decide: PredictionShift, or
    SampleRatioMismatch, which says that the comparison itself is not to be trusted.
    In the mode Absolute only the breaker and the user's own bounds speak, and Pass says so.
    """
    return _known(windows, policy, mode).at(len(windows), policy.min_requests)


def verdicts(windows: Sequence[Window], policy: Policy, *, mode: Mode = "Sequential") -> tuple[Verdict, ...]:
    """`judge` after each window, in one go."""
    trial = _Trial(policy, mode).after(windows)
    return tuple(trial.at(end, policy.min_requests) for end in range(1, len(windows) + 1))


def ahead(windows: Sequence[Window], more: Sequence[Window], policy: Policy) -> tuple[Verdict, ...]:
    """`judge` after each of the windows `more`, which would follow `windows`; only those cost anything, if `windows`
    were judged before."""
    trial = _known(windows, policy, "Sequential").after(more)
    ends = range(len(windows) + 1, len(windows) + len(more) + 1)
    return tuple(trial.at(end, policy.min_requests) for end in ends)


#: What was judged last, so that the next window of a release costs one window and not all of them again.
_recent: Recent[tuple[object, ...], _Trial] = Recent(256)


def _known(windows: Sequence[Window], policy: Policy, mode: Mode) -> _Trial:
    """The trial of these windows: the one that is known of the first of them, and the rest."""
    policy = _whatever_the_step(policy)
    key = (mode, windows[0].index, windows[0].start) if windows else (mode,)
    trial = _recent.get(key)
    if trial is None or trial.policy != policy or trial.windows != tuple(windows[: len(trial.windows)]):
        trial = _Trial(policy, mode)
    return _recent.keep(key, trial.after(windows[len(trial.windows) :]))


@lru_cache(maxsize=64)
def _whatever_the_step(policy: Policy) -> Policy:
    """`min_requests` changes from step to step, and no evidence depends on it."""
    return replace(policy, min_requests=0)


@lru_cache(maxsize=64)
def _shared(policy: Policy, *, compares: bool) -> tuple[Policy, Levels]:
    """With as much of alpha as is left for all that is not custom, and what each custom metric gets."""
    alpha = policy.alpha / (1 + statistical(policy.external, compares=compares))
    levels = Levels(alpha, policy.beta, policy.negligible, policy.error_floor, policy.noise)
    return replace(policy, alpha=alpha), levels


@dataclass(frozen=True, slots=True)
class _Trial:
    """The evidence of all windows; row t is the t-th window that counts, its step began with row `begun[t]`.

    `counts` are sums before each row, and after the last: requests and failures of the candidate and of the stable arm,
    and the candidate's timeouts and unreachable ones. `criteria` speak of the rows from `since` on, which came last;
    `earlier` are those of the rows before.
    """

    policy: Policy
    mode: Mode
    windows: tuple[Window, ...] = ()
    counted: tuple[Window, ...] = ()
    rows: tuple[int, ...] = (0,)
    begun: tuple[int, ...] = ()
    counts: tuple[tuple[int, ...], ...] = ((0,) * 6,)
    measured: Measured | None = None
    criteria: tuple[Judge, ...] = ()
    since: int = 0
    earlier: tuple[Judge, ...] = ()
    ratio: SampleRatio | None = None
    failure: tuple[int, Verdict] | None = None

    def after(self, windows: Sequence[Window]) -> _Trial:
        """With these windows as well."""
        if not windows:
            return self
        if any(after.index <= before.index for before, after in pairwise((*self.windows[-1:], *windows))):
            raise ValueError("windows must rise in index: pass those of one attempt, in order of time")
        fresh = [window for window in windows if window.gap is None]
        rows = accumulate((window.gap is None for window in windows), initial=self.rows[-1])
        known = (*self.windows, *windows), (*self.counted, *fresh), (*self.rows[:-1], *rows)
        if not fresh:
            return replace(self, windows=known[0], rows=known[2])
        policy, compares = self.policy, self.mode == "Sequential"
        own, levels = _shared(policy, compares=compares)
        measures = (self.measured or measured(own)).after(fresh) if compares else None
        criteria = compared(known[1], own, measures) if compares else bounded(known[1], own)
        criteria += external(known[1], policy.external, levels, compares=compares)
        ratio = split(known[1], policy) if compares else None
        sums = accumulate(
            map(_counts, fresh), lambda before, more: tuple(map(add, before, more)), initial=self.counts[-1]
        )
        counts = (*self.counts[:-1], *sums)
        since = len(self.counted)
        trial = _Trial(
            policy,
            self.mode,
            *known,
            self._begun(fresh),
            counts,
            measures,
            tuple(criteria),
            since,
            self.criteria,
            ratio,
        )
        failure = self.failure or trial._first_failure(since)
        return replace(trial, failure=failure) if failure else trial

    def _begun(self, fresh: Sequence[Window]) -> tuple[int, ...]:
        """With the rows of these windows."""
        begun, step = list(self.begun), self.counted[-1].step if self.counted else None
        for window in fresh:
            begun.append(begun[-1] if window.step == step else len(begun))
            step = window.step
        return tuple(begun)

    def at(self, end: int, min_requests: int) -> Verdict:
        """The verdict after the first `end` windows."""
        row = self.rows[end] - 1
        if self.failure is not None and self.failure[0] <= row:
            return self.failure[1]
        blind = self._blind(end, row)
        if blind:
            return self._say("Inconclusive", blind, end)
        criteria = self.criteria if row >= self.since else self.earlier
        held = self._held(criteria, row, end)
        if held is not None:
            return held
        lacking = [criterion for criterion in criteria if not criterion.passes(row)]
        wait = self._wait(row, min_requests)
        if lacking or wait:
            said = [criterion.describe_doubt(row) for criterion in lacking] + ([wait] if wait else [])
            return self._say("Inconclusive", "; ".join(said), end, lacking[0].name if lacking else "")
        said = [criterion.describe_pass(row) for criterion in criteria] or ["no comparison and no bound is switched on"]
        if self.mode == "Absolute":
            said.append(f"{self.counts[row + 1][0]:,} requests, absolute bounds only: nothing was compared")
        return self._say("Pass", "; ".join(said), end, criteria[0].name if len(criteria) == 1 else "")

    def _held(self, criteria: Sequence[Judge], row: int, end: int) -> Verdict | None:
        """What a person has to look at, or None. A wrong split comes first: it may be why the arms differ."""
        if self.ratio is not None and self.ratio.found(row):
            said = f"{self.ratio.describe(row)}; the arms did not get the same requests, so that nothing is concluded"
            return replace(self._say("Inconclusive", said, end, self.ratio.name), hold="SampleRatioMismatch")
        for criterion in criteria:
            if isinstance(criterion, PredictionShift) and criterion.found(row):
                said = f"{criterion.describe_failure(row)}; promote the version if it is meant to, or abort it"
                return replace(self._say("Inconclusive", said, end, criterion.name), hold="PredictionShift")
        return None

    def _say(self, outcome: str, said: str, end: int, metric: str = "") -> Verdict:
        window = self.windows[end - 1].index if end else 0
        said += self._kinds(self.rows[end])
        return Verdict(outcome, f"{outcome}: {said}" + (f"; window {window}" if end else ""), metric, self.mode, window)

    def _kinds(self, rows: int) -> str:
        """What the candidate's failures were, where some of them were not its own answers."""
        _, failures, _, _, timeouts, unreachable = self.counts[rows]
        if not timeouts and not unreachable:
            return ""
        return f"; of {failures:,} failures {timeouts:,} timed out and {unreachable:,} did not connect"

    def _blind(self, end: int, row: int) -> str | None:
        """Why nothing can be said at all, or None."""
        if end == 0:
            return "there is no window yet"
        if row < 0:
            return f"none of {end} windows counts ({self.windows[end - 1].gap})"
        windows = f"{row + 1} window" + ("s" if row else "")
        if self.counts[row + 1][0] == 0:
            return f"no requests reached the candidate in {windows}"
        if self.mode == "Sequential" and self.counts[row + 1][2] == 0:
            return f"no requests reached the stable version in {windows}: there is nothing to compare with"
        return None

    def _wait(self, row: int, min_requests: int) -> str | None:
        """What the minimum of the current step lacks, or None. An Absolute pass needs a request at the very least."""
        seen, needed = self.counts[row + 1][0] - self.counts[self.begun[row]][0], max(1, min_requests)
        return None if seen >= needed else f"{seen:,} of {needed:,} requests in step {self.counted[row].step}"

    def _first_failure(self, since: int) -> tuple[int, Verdict] | None:
        """The first row that failed, which is `since` or later, with its verdict; the breaker speaks before the
        statistics."""
        found = self._breaker(since)
        for criterion in self.criteria:
            row = criterion.failed_at()
            if row is not None and (found is None or row < found[0]):
                window = self.counted[row].index
                reason = f"Fail: {criterion.describe_failure(row)}{self._kinds(row + 1)}; window {window}"
                found = row, Verdict("Fail", reason, criterion.name, self.mode, window)
        return found

    def _breaker(self, since: int) -> tuple[int, Verdict] | None:
        """The first row from `since` on whose last windows take the candidate back."""
        policy = self.policy
        for row in range(since, len(self.counted)):
            first = max(0, row + 1 - policy.breaker_windows)
            if self.counts[row + 1][1] - self.counts[first][1] < policy.breaker_share * policy.breaker_requests:
                continue  # whatever the stable version did
            last = self.counted[max(0, row + 1 - breaker.looks_back(policy)) : row + 1]
            tripped = breaker.tripped(np.array(list(map(breaker.counts, last))), policy)
            if tripped.any():
                return row, self._tripped(row, int(tripped.argmax()) + 1)
        return None

    def _tripped(self, row: int, length: int) -> Verdict:
        policy, window = self.policy, self.counted[row].index
        n, k = (self.counts[row + 1][arm] - self.counts[row + 1 - length][arm] for arm in (0, 1))
        failed = f"{k:,}/{n:,} requests ({k / n:.0%})"
        share = f"{failed} within {length} window{'s' * (length > 1)}"
        bound = f"limit {policy.breaker_share:.0%} of at least {policy.breaker_requests}"
        reason = f"Fail: breaker: candidate failed {share}; {bound}{self._kinds(row + 1)}; window {window}"
        return Verdict("Fail", reason, "error rate", "Breaker", window)


def _counts(window: Window) -> tuple[int, ...]:
    arm, stable = window.candidate, window.stable
    return arm.requests, arm.failures, stable.requests, stable.failures, arm.timeouts, arm.unreachable
