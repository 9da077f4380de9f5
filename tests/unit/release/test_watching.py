"""After a release: what serves is watched without a write, told when it gets worse, taken back where that is asked."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from plimsoll.core.statistics import mixture
from plimsoll.core.statistics.bounded_mean import BET_WEIGHTS, BETS, MOST, log_mean_above, log_mean_below
from plimsoll.core.statistics.bounded_rate import ABOVE_WEIGHTS, log_rate_above
from plimsoll.core.statistics.change import RUN_LENGTH, grown

from tests.builders.release import SERVICE, Character, Life, service, version

BOUND = 0.05


def watched(*, replicas: int = 1, rate: float = 20.0, **monitoring: Any) -> Life:
    """Version 1 at rest, watched every 10 s against a bound of 5 % failures."""
    manifest = service(replicas=replicas, strategy="Recreate")
    manifest["spec"]["monitoring"] = {"errorRate": {"max": BOUND}, "interval": "10s"} | monitoring
    life = Life(version(1), manifest, rate=rate)
    life.until("Idle")
    life.run(25)
    return life


def second(**monitoring: Any) -> Life:
    """Version 2 serves, and version 1 is kept warm."""
    life = watched(rate=200.0, **{"onDegraded": "Rollback", "keepWarm": "1h"} | monitoring)
    life.add(version(2))
    life.until("Probation")
    life.until("Idle")
    life.run(25)
    assert life.serves(2)
    return life


def told(life: Life) -> list[str]:
    return [notice.reason for _, notice in life.cluster.notices]


def health(life: Life) -> tuple[str, str]:
    found = life.condition("Healthy")
    return found["status"], found["reason"]


# --- while all is well ------------------------------------------------------------------------------------------------


def test_a_healthy_service_is_asked_as_often_as_the_spec_says_and_nothing_is_written() -> None:
    life = watched()
    assert health(life) == ("True", "WithinBounds")
    life.character(1).failing = BOUND / 2
    before, asked = len(life.effects), life.metrics.asked
    assert not life.run(300)
    assert life.effects[before:] == []
    assert 27 <= life.metrics.asked - asked <= 31


def test_a_service_at_its_bound_is_not_called_worse() -> None:
    life = watched(rate=200.0)
    life.character(1).failing = BOUND
    life.run(300)
    assert health(life) == ("True", "WithinBounds")


def test_without_monitoring_nobody_asks_and_nothing_is_said() -> None:
    life = watched()
    life.edit(lambda body: body["spec"].pop("monitoring"))
    life.run(5)
    asked = life.metrics.asked
    life.character(1).failing = 1.0
    life.run(60)
    assert life.condition("Healthy") == {}
    assert life.metrics.asked == asked


def test_a_new_operator_writes_nothing_either() -> None:
    life = watched()
    before = len(life.effects)
    life.watched.clear()
    life.ring()
    life.run(60)
    assert life.effects[before:] == []
    assert health(life) == ("True", "WithinBounds")


def test_pods_that_cannot_be_read_are_told_once_and_are_no_failure() -> None:
    life = watched()
    life.blind = True
    life.run(45)
    assert health(life) == ("Unknown", "EvidenceUnavailable")
    before = len(life.effects)
    life.run(60)
    assert life.effects[before:] == []
    life.blind = False
    life.run(30)
    assert health(life) == ("True", "WithinBounds")


def test_a_clock_that_was_set_back_stops_no_watch() -> None:
    life = watched()
    life.time -= 3600
    for server in life.servers.values():
        server.born -= 3600  # the age of a pod is of the same clock
    life.ring()
    asked = life.metrics.asked
    life.character(1).failing = 4 * BOUND
    life.run(80)
    assert life.metrics.asked - asked >= 7
    assert health(life) == ("False", "Degraded")


# --- when it gets worse -----------------------------------------------------------------------------------------------


def test_failures_above_the_bound_are_told_with_their_numbers() -> None:
    life = watched()
    life.character(1).failing = 4 * BOUND
    life.run(60)
    assert health(life) == ("False", "Degraded")
    message = life.condition("Healthy")["message"]
    assert "is above 5%; e = " in message
    assert "not taken back: onDegraded is Alert" in message
    assert message.startswith(life.status["degraded"]["reason"])
    assert life.status["message"].startswith("v1 serves, degraded: error rate ")
    assert told(life).count("Degraded") == 1
    assert life.condition("Ready")["status"] == "True", "it serves all the same"
    before = len(life.effects)
    life.run(100)
    assert life.effects[before:] == [], "what stays worse is written once"


def test_labels_that_disagree_too_often_are_told_and_so_is_the_end_of_it() -> None:
    life = watched(accuracy={"min": 0.9})
    life.characters["1"] = Character(wrong=0.05)
    life.run(600)
    assert health(life) == ("True", "WithinBounds")
    assert life.condition("Healthy")["message"].endswith("nor of less than 90% right labels")
    life.characters["1"].wrong = 0.3
    assert life.run(900, stop=lambda: "degraded" in life.status)
    assert life.status["degraded"]["metric"] == "accuracy"
    reason = life.status["degraded"]["reason"]
    assert reason.startswith("accuracy ") and "% of the labels) is below 90%; e = " in reason
    life.characters["1"].wrong = 0.01
    assert life.run(3600, stop=lambda: "degraded" not in life.status)


def test_without_labels_nothing_is_said_of_the_accuracy_and_nothing_is_written() -> None:
    life = watched(accuracy={"min": 0.9})
    life.run(60)
    before = len(life.effects)
    life.run(600)
    assert life.effects[before:] == [] and health(life) == ("True", "WithinBounds")


def test_a_version_whose_labels_disagree_is_taken_back_to_the_one_that_is_warm() -> None:
    life = second(accuracy={"min": 0.9}, onDegraded="Rollback", keepWarm="1h")
    life.characters["2"] = Character(wrong=0.4)
    assert life.run(900, stop=lambda: life.status["phase"] == "RolledBack")
    assert life.status["stable"]["version"] == "1"
    assert life.status["history"][0]["reason"].startswith("accuracy ")


def test_suspicion_by_labels_outlives_the_operator_beside_none_of_failures() -> None:
    life = watched(accuracy={"min": 0.9})
    life.characters["1"] = Character(wrong=0.2)
    assert life.run(900, stop=lambda: bool(life.status.get("suspicion")))
    known = life.status["suspicion"]
    assert known[:4] == [0.0] * 4 and max(known[4:]) > 0
    life.watched.clear()
    life.run(15)
    assert life.status["suspicion"][:4] == [0.0] * 4
    assert life.run(900, stop=lambda: "degraded" in life.status)


def test_a_service_that_is_well_again_is_told_too() -> None:
    life = watched()
    life.character(1).failing = 4 * BOUND
    life.run(60)
    life.character(1).failing = 0.0
    life.run(90)
    assert health(life) == ("True", "WithinBounds")
    assert told(life)[-1] == "Recovered"
    assert "degraded" not in life.status


@pytest.mark.parametrize(("lost", "late"), [(False, (-5, 15)), (True, (25, 300))], ids=["kept", "were it lost"])
def test_suspicion_outlives_the_operator(lost: bool, late: tuple[int, int]) -> None:
    """A new operator needs one more look; without what was written it would have to begin anew."""

    def seconds(*, restarts: bool) -> int:
        life = watched(rate=5.0)
        life.character(1).failing = 2.2 * BOUND
        for second in range(1, 600):
            life.run(1)
            if life.status.get("suspicion") and restarts:
                life.watched.clear()
                restarts = False
                if lost:
                    life.cluster.edit(SERVICE, lambda body: body["status"].update(suspicion=[]), spec=False)
            if health(life)[0] == "False":
                return second
        raise AssertionError("never told")

    least, most = late
    assert least <= seconds(restarts=True) - seconds(restarts=False) <= most


# --- going back -------------------------------------------------------------------------------------------------------


def test_the_version_before_keeps_its_pods_for_the_time_that_is_stated() -> None:
    life = second(keepWarm="3m")
    life.run(100)
    assert life.replicas() == {"1": 1, "2": 1}, "longer than the last connections"
    assert life.status["warm"]["version"] == "1"
    life.run(90)
    assert life.replicas() == {"1": 0, "2": 1}
    assert "warm" not in life.status


def test_a_service_that_gets_worse_goes_back_to_the_version_that_is_kept_warm() -> None:
    life = second()
    epoch = life.status["epoch"]
    life.character(2).failing = 4 * BOUND
    life.until("RolledBack", 120)
    assert life.weights == {"1": 100}
    assert life.status["stable"]["version"] == life.status["lastProven"]["version"] == "1"
    assert life.status["epoch"] == epoch + 1
    assert life.status["rollbackSeconds"] < 5
    assert [(one["version"], one["outcome"]) for one in life.status["history"][:2]] == [
        ("2", "RolledBack"),
        ("2", "Promoted"),
    ]
    assert "is above 5%" in life.status["history"][0]["reason"]
    assert [one["version"] for one in life.status["quarantine"]] == ["2"]
    assert told(life)[-3:] == ["Degraded", "RollingBack", "RolledBack"]
    life.run(100)
    assert life.status["phase"] == "RolledBack", "what was taken back is not tried again"
    assert health(life) == ("True", "WithinBounds"), "the version before is watched from now on"
    assert life.replicas() == {"1": 1, "2": 0}


def test_the_old_route_is_in_force_before_the_worse_version_loses_a_pod() -> None:
    life = second()
    life.character(2).failing = 4 * BOUND
    life.until("RollingBack", 120)
    assert life.replicas() == {"1": 1, "2": 1}
    life.until("RolledBack")
    assert life.replicas() == {"1": 1, "2": 1}, "until the last connections to it have ended"


@pytest.mark.parametrize("k", [1, 2, 4, 6])
def test_an_operator_that_dies_at_any_effect_of_going_back_goes_back_once(k: int) -> None:
    life = second()
    life.character(2).failing = 4 * BOUND
    life.crash_after(k)
    assert life.run(60, stop=lambda: life.faults._error is None)
    life.watched.clear()
    life.run(60, stop=lambda: life.status["phase"] == "RolledBack")
    assert life.status["phase"] == "RolledBack"
    assert [one["outcome"] for one in life.status["history"]] == ["RolledBack", "Promoted", "Promoted"]
    assert life.weights == {"1": 100}


def test_without_a_warm_version_nothing_is_taken_back_and_the_sentence_says_why() -> None:
    life = second(keepWarm="1m")
    life.run(40)
    life.character(2).failing = 4 * BOUND
    life.run(40)
    assert life.serves(2)
    assert life.condition("Healthy")["message"].endswith("not taken back: no version is kept warm to go back to")


def test_a_warm_version_without_ready_pods_waits_for_them() -> None:
    life = second()
    life.character(1).fetch_fails = True
    life.character(2).failing = 4 * BOUND
    life.run(40)
    assert life.serves(2)
    assert "0 of 1 pods of v1 are ready" in life.condition("Healthy")["message"]
    life.character(1).fetch_fails = False
    life.until("RolledBack", 60)
    assert life.weights == {"1": 100}


def test_a_new_release_from_a_degraded_version_begins_as_ever_and_does_not_keep_that_one_warm() -> None:
    life = second(onDegraded="Alert")
    life.character(2).failing = 4 * BOUND
    life.run(40)
    assert health(life)[0] == "False"
    life.add(version(3))
    life.until("Probation")
    life.until("Idle")
    assert life.serves(3)
    assert life.status["warm"]["version"] == "1"
    assert "degraded" not in life.status


def test_a_new_version_does_not_inherit_the_suspicion_of_the_one_before() -> None:
    life = watched(rate=5.0)
    life.character(1).failing = 2.2 * BOUND
    assert life.run(300, stop=lambda: bool(life.status.get("suspicion")))
    life.add(version(2))
    life.until("Probation")
    life.until("Idle")
    assert not life.status.get("suspicion")


def test_a_release_of_the_warm_version_takes_its_pods_as_they_are() -> None:
    life = second()
    life.edit(lambda body: body["spec"]["model"].update(version="1"))
    life.until("Probation")
    assert life.status["candidate"]["version"] == "1"
    assert "warm" not in life.status
    life.until("Idle")
    assert life.status["warm"]["version"] == "2"


# --- the detector -----------------------------------------------------------------------------------------------------


def test_at_the_bound_a_false_alarm_takes_as_many_windows_on_average_as_promised() -> None:
    """The average run length to an e-value of A is at least A (Shin, Ramdas & Rinaldo), here for A = 50."""
    random, runs, cv = np.random.default_rng(7), 400, np.full(400, 0.2)
    wealth, length = np.zeros((runs, len(ABOVE_WEIGHTS))), np.full(runs, 600.0)
    alarmed = np.zeros(runs, dtype=bool)
    for window in range(1, 600):
        n = np.full(runs, 200.0)
        shape = 1 / 0.2**2
        rate = np.minimum(random.gamma(shape, BOUND / shape, runs), 1.0)
        k = random.binomial(200, rate).astype(float)
        wealth = grown(wealth, log_rate_above(k, n, BOUND, cv))
        now = (mixture(wealth, ABOVE_WEIGHTS) >= np.log(50)) & ~alarmed
        length[now], alarmed = float(window), alarmed | now
    assert length.mean() >= 50


def test_a_past_of_any_length_does_not_delay_the_alarm() -> None:
    def delay(healthy: int) -> int:
        wealth, cv = np.zeros(len(ABOVE_WEIGHTS)), np.array([0.2])
        for _ in range(healthy):
            wealth = grown(wealth, log_rate_above(np.array([1.0]), np.array([200.0]), BOUND, cv)[0])
        for window in range(1, 1000):
            wealth = grown(wealth, log_rate_above(np.array([40.0]), np.array([200.0]), BOUND, cv)[0])
            if mixture(wealth, ABOVE_WEIGHTS) >= np.log(1e6):
                return window
        raise AssertionError("no alarm")

    assert delay(500) <= delay(0) + 1


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_errors_of_numbers_above_the_bound_are_told_and_so_is_the_end_of_it() -> None:
    life = watched(absoluteError={"max": 12.5})
    life.characters["1"] = Character(off=10.0)
    life.run(600)
    assert health(life) == ("True", "WithinBounds")
    assert life.condition("Healthy")["message"].endswith("nor of a mean absolute error above 12.5")
    life.characters["1"].off = 40.0
    assert life.run(900, stop=lambda: "degraded" in life.status)
    assert life.status["degraded"]["metric"] == "mean absolute error"
    assert re.match(
        r"mean absolute error (3\d\.\d+|40) of [\d,]+ labels is above 12\.5; e = \d\.\de\+\d+ ≥ 1e\+06$",
        life.status["degraded"]["reason"],
    )
    life.characters["1"].off = 5.0
    assert life.run(3600, stop=lambda: "degraded" not in life.status)


def test_a_version_whose_errors_grow_is_taken_back_to_the_one_that_is_warm() -> None:
    life = second(absoluteError={"max": 12.5})
    life.characters["1"], life.characters["2"] = Character(off=10.0), Character(off=50.0)
    assert life.run(900, stop=lambda: life.status["phase"] == "RolledBack")
    assert life.status["stable"]["version"] == "1"
    assert life.status["history"][0]["reason"].startswith("mean absolute error ")
    life.run(300)
    assert health(life) == ("True", "WithinBounds"), "what was warm is within the bound"


def test_one_absurd_label_takes_nothing_back() -> None:
    life = second(absoluteError={"max": 12.5})
    life.characters["1"] = life.characters["2"] = Character(off=10.0)
    life.run(60)
    server = next(one for one in life.servers.values() if one.version == "2")
    key = next(key for key in server.seen if key[0] == "feedback" and key[3] == "over")
    server.seen[key] += 10**12
    life.run(120)
    assert (life.status["phase"], life.status["stable"]["version"]) == ("Idle", "2")
    assert health(life) == ("True", "WithinBounds")


def test_suspicion_by_errors_of_numbers_outlives_the_operator_behind_none_of_the_others() -> None:
    life = watched(absoluteError={"max": 12.5})
    life.characters["1"] = Character(off=25.0)
    assert life.run(900, stop=lambda: bool(life.status.get("suspicion")))
    assert life.status["suspicion"][:8] == [0.0] * 8 and max(life.status["suspicion"][8:]) > 0
    life.watched.clear()
    life.run(15)
    assert max(life.status["suspicion"][8:]) > 0
    assert life.run(900, stop=lambda: "degraded" in life.status)


def heavy(random: np.random.Generator, mean: float, count: int, noise: float) -> float:
    """The mean of errors with hardly a variance (Pareto, tail index 2.1), of which whole hours vary by `noise`."""
    hour = mean * (random.gamma(1 / noise**2, noise**2) if noise else 1.0)
    return float(1.1 * hour * random.pareto(2.1, count).mean())


@pytest.mark.parametrize("count", [1, 100])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_numbers_at_the_bound_are_called_worse_as_seldom_as_promised_whatever_their_tails(
    count: int, noise: float
) -> None:
    """The average run length to an e-value of A is at least A (Shin, Ramdas & Rinaldo), here for A = 50."""
    random, lengths = np.random.default_rng(11), []
    for _ in range(100):
        wealth, look = np.zeros(len(BET_WEIGHTS)), 0
        while look < 400 and mixture(wealth, BET_WEIGHTS) < np.log(50):
            wealth = grown(wealth, log_mean_above(np.array([heavy(random, 1.0, count, noise)]), 1.0)[0])
            look += 1
        lengths.append(look)
    assert np.mean(lengths) >= 50


@pytest.mark.parametrize(("factor", "most"), [(1.5, 60), (2.0, 32), (4.0, 15)])
def test_numbers_beyond_the_bound_are_called_worse_within_so_many_looks(factor: float, most: int) -> None:
    random, looks = np.random.default_rng(12), []
    for _ in range(40):
        wealth, look = np.zeros(len(BET_WEIGHTS)), 0
        while mixture(wealth, BET_WEIGHTS) < np.log(RUN_LENGTH):
            size = np.abs(random.normal(0.0, factor * np.sqrt(np.pi / 2), 100)).mean()
            wealth = grown(wealth, log_mean_above(np.array([size]), 1.0)[0])
            look += 1
        looks.append(look)
    assert np.quantile(looks, 0.95) <= most


@pytest.mark.parametrize("mean", [0.0, 0.5, 1.7, 4.0])
def test_a_bet_that_a_mean_is_above_a_limit_is_fair_at_the_limit_and_loses_below(mean: float) -> None:
    """Of values that are 0 but for a quarter, which is exact."""
    e = np.exp(log_mean_above(np.array([0.0, 4 * mean]), 1.7)).T @ [0.75, 0.25]
    assert e == pytest.approx(1 + BETS * (mean / 1.7 - 1))


@pytest.mark.parametrize("large", [2.0, 3.0, 1000.0])
def test_a_bet_that_a_mean_is_below_a_limit_is_fair_however_large_some_values_are(large: float) -> None:
    """What is above MOST × the limit counts as that much: half of 0 and half of MOST are the limit."""
    values = np.array([0.0, large * MOST / 2 * 1.7])
    at_limit, beyond = (np.exp(log_mean_below(values + more, 1.7)).T @ [0.5, 0.5] for more in (0.0, 0.1))
    assert at_limit == pytest.approx(1.0)
    assert (beyond < 1).all()
