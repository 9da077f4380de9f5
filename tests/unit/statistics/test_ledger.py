"""The ledger: canonical, bounded, and enough to reach every verdict again."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from plimsoll.core.ledger import (
    MAX_WINDOWS,
    Ledger,
    LedgerError,
    append,
    decode,
    digest,
    encode,
    next_window_seconds,
    replay,
)
from plimsoll.core.verdict import Policy, judge
from plimsoll.facts import ArmCounts, Cohort, Differences, Labels, OutputBins, Pairs, Window

from tests.unit.statistics.builders import FAST, arm, draw, repeat, total, window


def recorded(windows: int = 12, pods: int = 2) -> Ledger:
    rng = np.random.default_rng(4)
    ledger = Ledger("digits-aaaaaaaa", "digits-bbbbbbbb", Policy(alpha=0.02))
    for index in range(windows):
        stable = tuple(draw(rng, 450, 0.004, FAST) for _ in range(pods))
        gap = "down: none of 3 pods answered" if index == 3 else None
        candidate = draw(rng, 100, 0.004 if index < 7 else 0.25, FAST)
        ledger = append(ledger, window(index, total(stable), candidate, stable_pods=stable, gap=gap, step=index // 6))
    return ledger


def test_every_verdict_is_reached_again_from_the_encoded_ledger() -> None:
    ledger = recorded()
    live = tuple(judge(ledger.windows[:end], ledger.policy) for end in range(1, len(ledger.windows) + 1))
    assert replay(decode(encode(ledger))) == live
    assert live[-1].outcome == "Fail"


def test_encoding_is_canonical() -> None:
    ledger = recorded()
    text = encode(ledger)
    assert (
        decode(text) == ledger
        and encode(decode(text)) == text
        and " " not in text.replace(" of 3 pods answered", "").replace(" none", "")
    )
    assert digest(ledger) == digest(decode(text)) != digest(replace(ledger, windows=ledger.windows[:-1]))


def test_kinds_of_failures_are_kept_and_said() -> None:
    slow = replace(arm(64), failures=3, timeouts=2, unreachable=1)
    ledger = Ledger("a", "b", Policy(), windows=(window(1, arm(500), slow),))
    assert decode(encode(ledger)) == ledger
    assert "3/64" in replay(ledger)[0].reason
    assert "; of 3 failures 2 timed out and 1 did not connect; window 1" in replay(ledger)[0].reason


def judged(index: int) -> Window:
    """A window with everything that can be told of predictions."""
    told = arm(400, 2)
    return replace(
        window(index, told, arm(100, 1)),
        turned_away=(0, 3),
        outputs=(
            OutputBins("label", ("value:a", "value:b", "other"), (300, 100, 0), (20, 80, 0)),
            OutputBins("probabilities", ("le:0.5", "le:+Inf", "nan"), (100, 300, 0), (10, 90, 0)),
        ),
        cohorts=(
            Cohort("1m", Labels(380, 20), Labels(70, 30)),
            Cohort("1h", Labels(measured=9, over=1.5, squared=3.25), Labels()),
        ),
        pairs=Pairs(90, 8, 2),
        differences=(Differences("price", 49.5, 40, 8, 0.5, 400, 12.5, 11.0), Differences("age", 0, 98)),
    )


def test_what_windows_say_of_predictions_is_kept_and_judged_alike() -> None:
    policy = Policy(shift_psi=0.25, split_tolerance=0.1, accuracy_drop=0.05, error_rise=0.1, one_sided_max=0.6)
    ledger = Ledger("a", "b", policy, windows=tuple(judged(index) for index in range(1, 20)))
    again = decode(encode(ledger))
    assert again == ledger
    assert replay(again) == tuple(judge(ledger.windows[:end], policy) for end in range(1, 20))
    assert len(encode(ledger)) / 19 < 450


def test_a_ledger_of_the_format_before_is_read_and_replayed_as_it_was_judged() -> None:
    text = (
        '{"candidate":"b","edges":[0.001,0.0025,0.005,0.01,0.025,0.05,0.1,0.25,0.5,1.0,2.5,5.0,10.0],"formatVersion":2,'
        '"mode":"Sequential","policy":{"alpha":0.01,"beta":0.05,"breaker_requests":20,"breaker_share":0.5,'
        '"breaker_windows":3,"cv_floor":0.2,"error_floor":0.001,"error_margin":1.5,"error_max":null,'
        '"latency_floor_seconds":0.01,"latency_margin":2.0,"latency_max_p99_seconds":null,"min_requests":50,'
        '"negligible":0.01,"negligible_latency":0.05,"noise_seconds":60.0},"stable":"a","windows":[[1,5.0,10.0,0,10,'
        "null,[900,0,0,900,0,0,13,720,270],[100,3,0,100,0,0,13,80,30]],[2,10.0,15.0,0,10,null,"
        "[900,0,0,900,0,0,13,720,270],[100,3,0,100,0,0,13,80,30]]]}"
    )
    read = decode(text)
    assert (read.policy.shift_psi, read.windows[0].outputs, read.windows[1].candidate.failures) == (None, (), 3)
    assert [verdict.outcome for verdict in replay(read)] == ["Inconclusive", "Fail"]
    assert decode(encode(read)) == read
    for change in ({"policy": {"gamma": 1}}, {"policy": {}}):
        with pytest.raises(LedgerError, match=r"policy: .* missing or unknown"):
            decode(json.dumps(json.loads(text) | change))


def test_a_ledger_that_knows_no_signed_differences_is_read_and_replayed_as_it_was_judged() -> None:
    windows = tuple(replace(judged(index), differences=()) for index in range(1, 4))
    written = encode(Ledger("a", "b", Policy(shift_psi=0.25), windows=windows))
    document = json.loads(written) | {"formatVersion": 3}
    del document["policy"]["one_sided_max"]
    read = decode(json.dumps(document))
    assert read.policy == Policy(shift_psi=0.25) and read.windows == windows
    assert replay(read) == replay(decode(written))


def test_a_long_release_fits() -> None:
    assert len(encode(recorded(MAX_WINDOWS, pods=3)).encode()) < 512 * 1024


def test_a_full_ledger_refuses_and_drops_nothing() -> None:
    full = Ledger("a", "b", Policy(), windows=tuple(repeat(MAX_WINDOWS, ArmCounts(), ArmCounts())))
    with pytest.raises(LedgerError, match="holds 2,000, the most it may"):
        append(full, window(MAX_WINDOWS + 1))
    fat = tuple(window(i, arm(10**6), stable_pods=(arm(10**6, slow=(1.0,) * 13),) * 40) for i in range(400))
    with pytest.raises(LedgerError, match="more than 524,288"):
        encode(Ledger("a", "b", Policy(), windows=fat))


def test_windows_are_appended_in_order() -> None:
    with pytest.raises(LedgerError, match="index 0 does not follow"):
        append(recorded(2), window(0))


def test_windows_grow_longer_so_that_two_thousand_last_a_week() -> None:
    assert [next_window_seconds(n, 10) for n in (0, 249, 250, 1999)] == [10, 10, 20, 1280]
    assert sum(next_window_seconds(n, 10) for n in range(MAX_WINDOWS)) > 7 * 86400


def test_windows_of_many_pods_grow_longer_before_the_room_is_used_up() -> None:
    assert [next_window_seconds(10, 10, size) for size in (0, 65535, 65536, 7 * 65536)] == [10, 10, 20, 1280]
    assert next_window_seconds(500, 10, 65536) == 40


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"formatVersion": 1}, "formatVersion must be 4"),
        ({"windows": [[0, 0.0, 1.0, 0, 10, None, {"o": [[7, [1], [1]]]}, [0] * 7, [0] * 7]]}, "damaged: IndexError"),
        ({"windows": [[0, 0.0, 1.0, 0, 10, None, {"p": [-1]}, [0] * 7, [0] * 7]]}, "damaged: ValueError"),
        ({"windows": [[0, 0.0, 1.0, 0, 10, None, {"d": [["x", *[1] * 8]]}, [0] * 7, [0] * 7]]}, "damaged: ValueError"),
        ({"edges": [1]}, "edges differ"),
        ({"mode": "Guess"}, "mode must be one of Sequential, Absolute"),
        ({"policy": {}}, "policy: .* missing or unknown"),
        ({"windows": [[1, 2]]}, "damaged"),
        (
            {"windows": [[0, 0.0, 1.0, 0, 10, None, None, [1, -1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]]]},
            "not the counts of an arm",
        ),
    ],
)
def test_what_is_not_a_ledger_is_refused_with_the_field(change: dict[str, object], said: str) -> None:
    document = json.loads(encode(recorded(2))) | change
    with pytest.raises(LedgerError, match=said):
        decode(json.dumps(document))
    with pytest.raises(LedgerError, match="not JSON"):
        decode("{")
