"""A window more is judged from what is known of those before it, and as if all were judged anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plimsoll.core import verdict
from plimsoll.core.recent import Recent
from plimsoll.core.statistics.policy import Policy, measured
from plimsoll.core.verdict import ahead, judge, verdicts
from plimsoll.facts import ArmCounts, Window
from plimsoll.names import LATENCY_EDGES

POLICY = Policy()


def release(seed: int, rows: int = 30) -> list[Window]:
    """Two steps, pods that come and go, gaps, windows without one of the arms, and a candidate that may be worse."""
    rng = np.random.default_rng(seed)
    rate = float(rng.choice([0.0, 0.01, 0.05]))
    windows, at = [], 0.0
    for index in range(1, rows + 1):
        step = 1 + (index > rows // 2)
        pods = tuple(arm(rng, 60, rate) for _ in range(int(rng.integers(1, 4))))
        sums = np.sum([(one.requests, one.failures, one.client_errors) for one in pods], axis=0).tolist()
        slower = tuple(np.sum([one.slower for one in pods], axis=0).tolist())
        stable = ArmCounts(*sums, sums[0], slower)
        candidate = arm(rng, int(rng.choice([0, 20, 20, 20])), float(rng.choice([rate, 2 * rate])))
        gap = "down: no pod answered" if rng.random() < 0.1 else None
        windows.append(Window(index, at, at + 10, step, 10 * step, stable, candidate, pods, gap))
        at += 10.0 + (5.0 if rng.random() < 0.1 else 0.0)
    return windows


def arm(rng: np.random.Generator, mean: float, rate: float) -> ArmCounts:
    requests = int(rng.poisson(mean))
    slower, left = [], requests
    for _ in LATENCY_EDGES:
        left = int(rng.binomial(left, 0.7))
        slower.append(left)
    failures = int(rng.binomial(requests, rate))
    return ArmCounts(requests, failures, int(rng.binomial(requests - failures, rate)), requests, tuple(slower))


@pytest.mark.parametrize("seed", range(8))
def test_window_by_window_is_what_all_at_once_is(seed: int) -> None:
    windows = release(seed)
    assert tuple(judge(windows[:end], POLICY) for end in range(1, len(windows) + 1)) == verdicts(windows, POLICY)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("parts", [(7, 8, 20), (1, 2, 3), (15, 16)])
def test_however_the_windows_are_dealt_out_the_evidence_is_the_same(seed: int, parts: tuple[int, ...]) -> None:
    windows = [one for one in release(seed) if one.gap is None]
    whole, dealt, first = measured(POLICY).after(windows), measured(POLICY), 0
    for last in (*parts, len(windows)):
        dealt, first = dealt.after(windows[first:last]), last
        for mine, other in zip(whole.criteria(), dealt.criteria(), strict=True):
            rows = slice(other.first, other.first + len(other.failing))
            assert mine.failing[rows] == pytest.approx(other.failing, abs=1e-9)
            assert mine.against_health[rows] == pytest.approx(other.against_health, abs=1e-9)
            assert mine.totals[rows] == pytest.approx(other.totals)


def test_another_release_that_began_at_the_same_moment_is_judged_by_its_own_windows() -> None:
    mine, other = release(1), release(2)
    assert (mine[0].index, mine[0].start) == (other[0].index, other[0].start)
    judge(mine, POLICY)
    assert judge(other, POLICY) == verdicts(other, POLICY)[-1]
    corrected = [*mine[:5], replace(mine[5], candidate=ArmCounts(20, 20)), *mine[6:]]
    assert judge(corrected, POLICY) == verdicts(corrected, POLICY)[-1]


def test_fewer_windows_than_are_known_are_judged_alone() -> None:
    windows = release(3)
    judge(windows, POLICY)
    assert judge(windows[:4], POLICY) == verdicts(windows[:4], POLICY)[-1]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "_recent", Recent(3))
    for start in range(6):
        judge([replace(release(0, 1)[0], start=float(start), end=start + 10.0)], POLICY)
    assert len(verdict._recent) == 3


@pytest.mark.parametrize("first", [0, 1, 12, 29])
def test_looking_ahead_says_what_will_be_said(first: int) -> None:
    windows = release(4)
    assert ahead(windows[:first], windows[first:], POLICY) == verdicts(windows, POLICY)[first:]
    assert judge(windows, POLICY) == verdicts(windows, POLICY)[-1]


def test_looking_ahead_over_a_window_that_does_not_count_speaks_of_the_one_before_it() -> None:
    windows = [replace(one, gap=None) for one in release(4, 8)]
    windows[5] = replace(windows[5], gap="down: no pod answered")
    assert ahead(windows[:5], windows[5:], POLICY) == verdicts(windows, POLICY)[5:]


def test_what_is_known_of_a_long_release_takes_no_more_room_than_of_a_short_one() -> None:
    found = measured(POLICY)
    for one in (window for window in release(5) if window.gap is None):
        found = found.after([one])
    assert found.windows > 20
    assert found.found is not None
    assert len(found.found.totals) == 1
    assert {criterion.first for criterion in found.criteria()} == {found.windows - 1}
