"""The verdict on a candidate: sequential, valid under continuous monitoring, and three-valued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

import numpy as np

from plimsoll.core.statistics.criteria import Judge
from plimsoll.core.statistics.external import Levels, statistical
from plimsoll.core.statistics.external import criteria as external
from plimsoll.core.statistics.policy import Policy, bounded, compared, split
from plimsoll.core.statistics.shift import PredictionShift
from plimsoll.facts import Verdict, Window

__all__ = ["Mode", "Policy", "judge", "verdicts"]

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
    return _Trial(windows, policy, mode).at(len(windows))


def verdicts(windows: Sequence[Window], policy: Policy, *, mode: Mode = "Sequential") -> tuple[Verdict, ...]:
    """`judge` after each window, in one go."""
    trial = _Trial(windows, policy, mode)
    return tuple(trial.at(end) for end in range(1, len(windows) + 1))


class _Trial:
    """The evidence of all windows; row t of an array is the t-th window that counts."""

    def __init__(self, windows: Sequence[Window], policy: Policy, mode: Mode) -> None:
        if any(after.index <= before.index for before, after in pairwise(windows)):
            raise ValueError("windows must rise in index: pass those of one attempt, in order of time")
        self.windows, self.policy, self.mode = windows, policy, mode
        self.counted = [window for window in windows if window.gap is None]
        self.criteria = self._criteria() if self.counted else []
        self.row_after = np.cumsum([0] + [window.gap is None for window in windows])
        self.requests = np.cumsum([0] + [window.candidate.requests for window in self.counted])
        self.ratio = split(self.counted, policy) if mode == "Sequential" and self.counted else None
        self.failure = self._first_failure()

    def _criteria(self) -> list[Judge]:
        """Of the pods' own counters and of what is outside; alpha is shared between them."""
        policy, compares = self.policy, self.mode == "Sequential"
        alpha = policy.alpha / (1 + statistical(policy.external, compares=compares))
        own = (compared if compares else bounded)(self.counted, replace(policy, alpha=alpha))
        levels = Levels(alpha, policy.beta, policy.negligible, policy.error_floor, policy.noise)
        return [*own, *external(self.counted, policy.external, levels, compares=compares)]

    def at(self, end: int) -> Verdict:
        """The verdict after the first `end` windows."""
        row = int(self.row_after[end]) - 1
        if self.failure is not None and self.failure[0] <= row:
            return self.failure[1]
        blind = self._blind(end, row)
        if blind:
            return self._say("Inconclusive", blind, end)
        held = self._held(row, end)
        if held is not None:
            return held
        lacking = [criterion for criterion in self.criteria if not criterion.passes(row)]
        wait = self._wait(row)
        if lacking or wait:
            said = [criterion.describe_doubt(row) for criterion in lacking] + ([wait] if wait else [])
            return self._say("Inconclusive", "; ".join(said), end, lacking[0].name if lacking else "")
        said = [criterion.describe_pass(row) for criterion in self.criteria] or [
            "no comparison and no bound is switched on"
        ]
        if self.mode == "Absolute":
            said.append(f"{self.requests[row + 1]:,} requests, absolute bounds only: nothing was compared")
        return self._say("Pass", "; ".join(said), end, self.criteria[0].name if len(self.criteria) == 1 else "")

    def _held(self, row: int, end: int) -> Verdict | None:
        """What a person has to look at, or None. A wrong split comes first: it may be why the arms differ."""
        if self.ratio is not None and self.ratio.found(row):
            said = f"{self.ratio.describe(row)}; the arms did not get the same requests, so that nothing is concluded"
            return replace(self._say("Inconclusive", said, end, self.ratio.name), hold="SampleRatioMismatch")
        for criterion in self.criteria:
            if isinstance(criterion, PredictionShift) and criterion.found(row):
                said = f"{criterion.describe_failure(row)}; promote the version if it is meant to, or abort it"
                return replace(self._say("Inconclusive", said, end, criterion.name), hold="PredictionShift")
        return None

    def _say(self, outcome: str, said: str, end: int, metric: str = "") -> Verdict:
        window = self.windows[end - 1].index if end else 0
        said += self._kinds(int(self.row_after[end]))
        return Verdict(outcome, f"{outcome}: {said}" + (f"; window {window}" if end else ""), metric, self.mode, window)

    def _kinds(self, rows: int) -> str:
        """What the candidate's failures were, where some of them were not its own answers."""
        arms = [window.candidate for window in self.counted[:rows]]
        timeouts, unreachable = (sum(getattr(arm, kind) for arm in arms) for kind in ("timeouts", "unreachable"))
        failures = sum(arm.failures for arm in arms)
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
        if self.requests[row + 1] == 0:
            return f"no requests reached the candidate in {windows}"
        if self.mode == "Sequential" and not any(window.stable.requests for window in self.counted[: row + 1]):
            return f"no requests reached the stable version in {windows}: there is nothing to compare with"
        return None

    def _wait(self, row: int) -> str | None:
        """What the minimum of the current step lacks, or None. An Absolute pass needs a request at the very least."""
        step = self.counted[row].step
        first = row
        while first and self.counted[first - 1].step == step:
            first -= 1
        seen, needed = int(self.requests[row + 1] - self.requests[first]), max(1, self.policy.min_requests)
        return None if seen >= needed else f"{seen:,} of {needed:,} requests in step {step}"

    def _first_failure(self) -> tuple[int, Verdict] | None:
        """The first row that failed, with its verdict; the breaker speaks before the statistics."""
        found = self._breaker()
        for criterion in self.criteria:
            row = criterion.failed_at()
            if row is not None and (found is None or row < found[0]):
                window = self.counted[row].index
                reason = f"Fail: {criterion.describe_failure(row)}{self._kinds(row + 1)}; window {window}"
                found = row, Verdict("Fail", reason, criterion.name, self.mode, window)
        return found

    def _breaker(self) -> tuple[int, Verdict] | None:
        """The first row whose last windows hold too large a share of failures.

        Where the stable arm has at least half of that share it is an incident of both: the comparison decides.
        """
        policy = self.policy
        arms = [(w.candidate, w.stable) for w in self.counted]
        counts = [(c.requests, c.failures, s.requests, s.failures) for c, s in arms]
        total = np.cumsum([(0, 0, 0, 0), *counts], axis=0)
        found = []
        for length in range(1, min(policy.breaker_windows, len(counts)) + 1):
            n, k, n_stable, k_stable = (total[length:] - total[:-length]).T
            tripped = (n >= policy.breaker_requests) & (k >= policy.breaker_share * n)
            shared = (n_stable >= policy.breaker_requests) & (2 * k_stable * n >= k * n_stable)
            rows = np.flatnonzero(tripped & ~shared)[:1]
            found += [(int(at) + length - 1, length, int(k[at]), int(n[at])) for at in rows]
        if not found:
            return None
        row, length, failed, requests = min(found)
        window = self.counted[row].index
        share = f"{failed:,}/{requests:,} requests ({failed / requests:.0%}) within {length} window{'s' * (length > 1)}"
        bound = f"limit {policy.breaker_share:.0%} of at least {policy.breaker_requests}"
        reason = f"Fail: breaker: candidate failed {share}; {bound}{self._kinds(row + 1)}; window {window}"
        return row, Verdict("Fail", reason, "error rate", "Breaker", window)
