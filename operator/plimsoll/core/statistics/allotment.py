"""How one alpha is shared out: over the metrics of an attempt and over the attempts of a revision.

Over time and over steps nothing is shared out here: an e-process may be looked at after every window, and
`wealth.restarted` splits its capital over the steps. Over metrics each gets a part of alpha (Bonferroni; the parts may
depend on each other in any way). Over attempts: whoever retries a healthy release until it passes, or a harmful one
until it slips through, looks again, so attempt k gets the part 6/(π²k²), and all attempts together never more than
alpha. A new revision begins at attempt 1.

No verdict uses it: there each attempt has all of alpha (docs/releases.md). How one would: count the attempts that this
revision (the key of the quarantine) already had, add 1, and give each criterion
`of_attempt(policy.alpha, attempt, shares)[name]` as its alpha. The first attempt gets 61 % of alpha, which costs
ln(π²/6) = 0.5 of log e-value, some 8 to 11 % of the evidence needed; the second needs 1.4 more, the third 2.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import pi


def of_attempt(alpha: float, attempt: int, shares: Mapping[str, float]) -> dict[str, float]:
    """The alpha of each metric in this attempt (from 1): alpha · 6/(π²·attempt²) · share/Σ shares.

    Over all metrics and all attempts of a revision the sum is alpha (Basel series; alpha spending as in Foster &
    Stine, "α-investing", JRSS B 2008, without earning any back). `shares` are positive weights of the metrics that are
    switched on, so that what is off leaves its part to the others; an empty mapping gives an empty one. Raises
    ValueError for an alpha outside (0, 1), an attempt below 1 or a share that is not positive.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}: it must be between 0 and 1")
    if attempt < 1:
        raise ValueError(f"attempt is {attempt}: the first one is 1")
    for name, share in shares.items():
        if not share > 0:
            raise ValueError(f"the share of {name} is {share}: it must be positive, or the metric left out")
    whole = alpha * part_of_attempt(attempt) / sum(shares.values()) if shares else 0.0
    return {name: whole * share for name, share in shares.items()}


def part_of_attempt(attempt: int) -> float:
    """6/(π²·attempt²): the parts of all attempts sum to 1 (as in Foster & Stine, JRSS B 2008)."""
    return 6 / (pi * attempt) ** 2
