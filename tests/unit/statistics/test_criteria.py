"""How the evidence of a criterion is said."""

from __future__ import annotations

from math import log

import pytest

from plimsoll.core.statistics.criteria import against


@pytest.mark.parametrize(
    ("e_value", "said"),
    [
        (708, "e = 708 ≥ 200"),
        (200, "e = 200 ≥ 200"),
        (199.7, "e just below 200"),
        (12, "e = 12 < 200"),
        (0.4, "e = 0.4 < 200"),
        (4.1e6, "e = 4.1e6 ≥ 200"),
    ],
)
def test_what_is_below_the_bound_does_not_look_as_if_it_were_not(e_value: float, said: str) -> None:
    assert against(log(e_value), 1 / 200) == said
