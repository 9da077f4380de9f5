"""How one alpha is shared out over the attempts of a revision.

Over time and over steps nothing is shared out here: an e-process may be looked at after every window, and
`wealth.restarted` splits its capital over the steps. Over metrics each gets a part (Bonferroni, `policy`; the parts may
depend on each other in any way). Over attempts: who begins a release of a healthy version again and again looks again,
so that each attempt gets a part, and all of them together never more than alpha.
"""

from __future__ import annotations


def of_attempt(alpha: float, attempt: int) -> float:
    """The alpha of this attempt, from 1: nine tenths of it for the first, a tenth for all others, 1/(j(j + 1)) of that
    for the j-th of them; 0.9, 0.05, 0.0167, 0.0083, …, whose sum is 1.

    Alpha spending (Lan & DeMets, Biometrika 1983; Foster & Stine, "α-investing", JRSS B 2008, without earning any back)
    by a series that telescopes: after k attempts 1 - 0.1/k is spent. Decision 0017 has what others cost. Raises
    ValueError for an alpha outside (0, 1) or an attempt below 1.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}: it must be between 0 and 1")
    if attempt < 1:
        raise ValueError(f"attempt is {attempt}: the first one is 1")
    # Nearly every revision has one attempt, which pays next to nothing for those that may follow.
    return alpha * 9 / 10 if attempt == 1 else alpha / (10 * attempt * (attempt - 1))
