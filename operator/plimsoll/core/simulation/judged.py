"""The next window of many releases judged at once, by the functions that judge real ones.

What is said of each run is what `plimsoll.core.verdict` says of its windows; a test replays releases to compare.

Latency and client errors are those of a model that answers within `Policy.latency_floor_seconds`: they never fail, and
pass long before the errors do; what they take of alpha is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.breaker import tripped
from plimsoll.core.simulation.standing import Standing, put, taken
from plimsoll.core.simulation.world import Counts
from plimsoll.core.statistics.criteria import Criterion, grown, reaches
from plimsoll.core.statistics.measures import Bounds
from plimsoll.core.statistics.policy import Policy, compared
from plimsoll.core.statistics.tables import Rows
from plimsoll.core.statistics.wealth import Array
from plimsoll.facts import ArmCounts, Window
from plimsoll.names import LATENCY_EDGES

_ERRORS = "error rate"
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rules:
    """A policy, the length of a window in seconds, and what the errors get of alpha and beta."""

    policy: Policy
    seconds: float
    alpha: float
    beta: float

    @classmethod
    def of(cls, policy: Policy, seconds: float) -> Rules:
        """From the policy's own criteria."""
        arm = ArmCounts(requests=1, timed=1, slower=(0,) * len(LATENCY_EDGES))
        judges = compared([Window(1, 0.0, seconds, 1, 10, arm, arm, (arm,))], policy)
        found = [one for one in judges if isinstance(one, Criterion) and one.name == _ERRORS]
        alpha, beta = (found[0].alpha, found[0].beta) if found else (policy.alpha, policy.beta)
        return cls(policy, seconds, alpha, beta)

    def bounds(self, runs: int) -> Bounds:
        """What is accepted of the errors of each run."""
        margin, negligible = self.policy.error_margin, self.policy.negligible
        return Bounds(np.full(runs, margin or 0.0), np.zeros(runs), np.full(runs, negligible))


@dataclass(frozen=True, slots=True)
class Judged:
    """Of each run: whether this window fails it, whether its evidence passes in this window, and the log e-values of
    its errors against health and against harm, (2, runs), NaN where nothing was compared."""

    failed: Mask
    passes: Mask
    log_e: Array


def judged(
    before: Standing, window: Counts, begins: Array, step: int, rules: Rules, *, share: float
) -> tuple[Standing, Judged]:
    """Where all runs stand after `window`, one row of counts that begins at `begins` (runs,), and what is said of it.

    `share` is the candidate's in this step. A window without telemetry is left out: nothing is said of it, and it
    changes nothing.
    """
    seen, anew = window.seen[0], before.step != step
    spells = anew | (begins + rules.seconds - before.spell > rules.policy.noise_seconds)
    arms = np.stack([window.n_candidate[0], window.k_candidate[0], window.n_stable[0], window.k_stable[0]])
    told = np.concatenate([arms, np.full_like(arms[:1], share)])
    later = Standing(
        comparison=before.comparison,
        recent=np.concatenate([before.recent, told[None]])[1:],
        spell=np.where(spells, begins, before.spell),
        step=np.full_like(before.step, step),
        in_step=np.where(anew, 0.0, before.in_step) + arms[0],
        stable=before.stable + arms[2],
    )
    after = later if seen.all() else put(before, seen, taken(later, seen))
    enough = (after.in_step >= max(1, rules.policy.min_requests)) & (after.stable > 0)
    fails, passes, log_e = tripped(after.recent, rules.policy).any(axis=0), enough, np.full((2, len(seen)), np.nan)
    if rules.policy.error_margin is not None:
        after, log_e, (rises, both) = _compared(after, window, (anew, spells), rules)
        fails = fails | (reaches(log_e[0], rules.alpha) & rises & both)
        passes = passes & reaches(log_e[1], rules.beta) & ~(grown(log_e[0]) & rises)
    return after, Judged(fails & seen, passes & seen, log_e)


def _compared(
    standing: Standing, window: Counts, marks: tuple[Mask, Mask], rules: Rules
) -> tuple[Standing, Array, tuple[Mask, Mask]]:
    """The comparison of errors, its log e-values, where the rise is one that can fail, and where both arms had
    requests. The runs that begin a step, a spell or neither in this window are taken together."""
    seen, (anew, spells) = window.seen[0], marks
    kinds = np.where(seen, anew.astype(np.int64) + spells, -1)
    log_e, rises, both = np.full((2, len(seen)), np.nan), np.zeros_like(seen), np.zeros_like(seen)
    known = standing.comparison
    for kind in np.unique(kinds[seen]):
        mine = kinds == kind
        whole = bool(mine.all())
        part = replace(known if whole else taken(known, mine), step=int(kind != 2))
        rows = _rows(window if whole else window.of(mine), begins=kind > 0)
        part, found = part.after(rows, rules.bounds(rows.counts.shape[-1]), rules.policy.cv_floor)
        known = part if whole else put(known, mine, part)
        log_e[:, mine] = found.against_health[0], found.against_harm[0]
        both[mine] = (rows.counts[0, 1] > 0) & (rows.counts[0, 3] > 0)
        rises[mine] = found.rise[0] >= rules.policy.error_floor
    return replace(standing, comparison=known), log_e, (rises, both)


def _rows(window: Counts, *, begins: bool) -> Rows:
    """The counts as the statistics take them, each run an edge; the step is 1."""
    pods = np.stack([window.k_pods, window.n_pods], axis=1)
    arms = np.stack([window.k_candidate, window.n_candidate, window.k_stable, window.n_stable], axis=1)
    return Rows(arms, pods, np.array([1]), np.array([begins]))
