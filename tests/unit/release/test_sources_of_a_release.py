"""Releases whose evidence is a Prometheus', custom metrics of users, or the word of further judges."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from plimsoll import names
from plimsoll.core import ledger
from plimsoll.facts import External, Ref, Window

from tests.builders.release import NAMESPACE, Life, service, version
from tests.builders.sources import PASS, FakeSources, TwoPrometheus

OUTAGE = "down: http://prometheus:9090 did not answer (refused); check that it runs"
BY_PROMETHEUS = {"source": "Prometheus", "prometheus": {"url": "http://prometheus.demo.svc:9090"}}
RATIO = {
    "name": "declined",
    "kind": "Ratio",
    "query": 'declined_total{revision="$revision"}',
    "total": 'seen_total{revision="$revision",namespace="$namespace"}',
    "margin": 1.5,
}
JUDGE = {"name": "fairness", "webhook": {"url": "http://fairness.demo.svc:8000/judge"}}


def releasing(
    analysis: dict[str, Any], *, sources: type[FakeSources] = FakeSources, replicas: int = 1, **release: Any
) -> tuple[Life, FakeSources]:
    """Version 1 serves, version 2 is on its way; the install has a Prometheus and allows custom queries."""
    life = Life(version(1), service(replicas=replicas, analysis={"window": "5s", **analysis}, **release))
    life.upgraded(prometheus_url="http://prometheus:9090", allow_custom_queries=True)
    life.sources = asked = sources(life)
    life.until("Idle")
    life.run(5)
    life.add(version(2))
    return life, asked


def kept(life: Life) -> ledger.Ledger:
    """The ledger in the cluster."""
    found = life.cluster.objects[Ref("v1", "ConfigMap", NAMESPACE, f"digits-attempt-{life.status['attempt']}")]
    return ledger.decode(found["data"][names.LEDGER_KEY])


def recorded(life: Life) -> tuple[Window, ...]:
    return kept(life).windows


def replayed(life: Life) -> list[str]:
    """The reasons after each window, from nothing but the ledger in the cluster."""
    return [one.reason for one in ledger.replay(kept(life))]


# --- Prometheus -----------------------------------------------------------------------------------------------------


def test_a_release_by_prometheus_is_promoted_like_any_other() -> None:
    life, sources = releasing(BY_PROMETHEUS)
    assert life.run(400, stop=lambda: life.serves(2))
    assert sources.endpoints[0].url == "http://prometheus.demo.svc:9090"


def test_a_regression_seen_by_prometheus_is_taken_back() -> None:
    life, _ = releasing({"source": "Prometheus"})
    life.character(2).failing = 0.3
    life.until("RolledBack")
    assert life.status["history"][0]["reason"].startswith("Fail: ")


def test_counts_of_before_the_share_was_in_force_are_no_evidence() -> None:
    """The scrape that is there when the pods begin to follow is older than that."""
    life, sources = releasing({"source": "Prometheus"})
    sources.every = 60.0
    life.until("Analyzing")
    assert life.run(300, stop=lambda: bool(life.status.get("windows")))
    first = recorded(life)[0]
    share = first.candidate.requests / (first.candidate.requests + first.stable.requests)
    assert share == pytest.approx(0.1, abs=0.005)


@pytest.mark.parametrize("replicas", [1, 3])
def test_replicas_of_a_prometheus_that_answer_in_turn_count_nothing_twice(replicas: int) -> None:
    """Each knows another moment, of each pod: an answer that is behind the last one is no clock that was set back."""
    life, _ = releasing(
        BY_PROMETHEUS | {"latency": {"enabled": False}}, sources=TwoPrometheus, replicas=replicas,
        steps=[{"weight": 30, "minDuration": "10m", "minRequests": 20}],
    )  # fmt: skip
    life.until("Analyzing")
    began = life.time
    life.run(110)
    seen = recorded(life)
    assert len(seen) >= 5 and all(one.gap is None for one in seen)
    assert all(before.end <= after.start for before, after in pairwise(seen))
    elapsed = seen[-1].end - seen[0].start
    assert 80 <= elapsed <= life.time - began
    counted = sum(one.stable.requests + one.candidate.requests for one in seen)
    assert counted == pytest.approx(life.rate * elapsed, rel=0.1)


@pytest.mark.parametrize("failing", [0.0, 0.5])
def test_an_outage_holds_and_says_since_when_and_never_decides(failing: float) -> None:
    life, sources = releasing(BY_PROMETHEUS, onInconclusive="Rollback", progressDeadline="1m")
    life.until("Analyzing")
    sources.away = OUTAGE
    life.character(2).failing = failing
    life.run(90)
    assert life.status["phase"] == "Analyzing" and life.status["step"] == "1/2"
    condition = life.condition("Progressing")
    assert condition["reason"] == "EvidenceUnavailable"
    assert condition["message"].startswith(f"{OUTAGE}; since 2026-11-22T12:")
    since = condition["message"]
    life.run(30)
    assert life.condition("Progressing")["message"] == since

    sources.away = None
    assert life.run(400, stop=lambda: life.status["phase"] in {"RolledBack", "Idle"})
    assert life.status["phase"] == ("RolledBack" if failing else "Idle")


def test_pods_that_were_there_in_an_outage_do_not_decide_alone_after_it() -> None:
    life, sources = releasing(
        BY_PROMETHEUS | {"latency": {"enabled": False}}, replicas=4,
        steps=[{"weight": 10, "minDuration": "5m", "minRequests": 20}],
    )  # fmt: skip
    assert life.run(60, stop=lambda: bool(life.status.get("windows")))
    sources.lost = 3
    assert life.run(60, stop=lambda: recorded(life)[-1].gap == "stale: too few pods")
    sources.lost = 0
    life.run(20)
    after = [one for one in recorded(life) if one.gap is None]
    assert len(after) >= 3 and recorded(life)[-1].gap is None
    assert {len(one.stable_pods) for one in after} == {4}


def test_the_stable_version_is_watched_by_prometheus_before_the_first_share_too() -> None:
    life, sources = releasing(BY_PROMETHEUS | {"prePeriod": "30s"})
    life.until("Warming")
    asked = len(sources.endpoints)
    life.run(20)
    assert len(sources.endpoints) > asked
    assert [one.weight for one in recorded(life) if one.gap is None]
    sources.away = OUTAGE
    life.until("Analyzing")
    assert recorded(life)[-1].gap == OUTAGE
    sources.away = None
    assert life.run(60, stop=lambda: recorded(life)[-1].weight > 0 and recorded(life)[-1].gap is None)


def test_a_rollback_waits_for_no_prometheus() -> None:
    life, sources = releasing(BY_PROMETHEUS)
    life.until("Analyzing")
    sources.away = OUTAGE
    life.run(20)
    life.command("now", "abort")
    assert life.run(10, stop=lambda: life.status["phase"] == "RolledBack")


def test_without_an_address_it_is_told_where_to_give_one() -> None:
    life, _ = releasing({"source": "Prometheus"})
    life.upgraded(prometheus_url="")
    life.until("Analyzing")
    life.run(20)
    assert "give spec.release.analysis.prometheus.url" in life.condition("Progressing")["message"]


# --- custom metrics -------------------------------------------------------------------------------------------------


def counters(life: Life, rates: dict[str, float]) -> Any:
    """Counters that rise with time; the revision of version 2 is the candidate's."""

    def value(query: str) -> float:
        found = life._there("Deployment")
        candidates = [one["metadata"]["name"] for one in found if one["metadata"]["labels"][names.LABEL_VERSION] == "2"]
        arm = "candidate" if any(name in query for name in candidates) else "stable"
        return float(int(rates[f"{arm}/{query.split('_')[0]}"] * (life.time - 1795348800.0)))

    return value


def test_a_custom_ratio_takes_a_candidate_back_and_the_verdict_replays() -> None:
    life, sources = releasing({"custom": [RATIO]})
    rates = {"stable/seen": 100.0, "stable/declined": 2.0, "candidate/seen": 40.0, "candidate/declined": 6.0}
    sources.metric = counters(life, rates)
    life.until("RolledBack")
    reason = life.status["history"][0]["reason"]
    assert reason.startswith("Fail: declined candidate ") and " vs stable " in reason
    assert replayed(life)[-1] == life.status["verdict"]["reason"] == reason
    assert all("$" not in query for query in sources.queries)
    assert any('namespace="demo"' in query for query in sources.queries)


def test_a_healthy_custom_ratio_lets_it_pass() -> None:
    life, sources = releasing({"custom": [RATIO]})
    rates = {"stable/seen": 100.0, "stable/declined": 2.0, "candidate/seen": 40.0, "candidate/declined": 0.8}
    sources.metric = counters(life, rates)
    assert life.run(900, stop=lambda: life.serves(2))


def test_a_custom_ratio_with_a_bound_of_its_own_passes_where_only_the_new_version_has_the_metric() -> None:
    bounded = RATIO | {"max": 0.1}
    del bounded["margin"]
    life, sources = releasing({"custom": [bounded], "latency": {"enabled": False}})
    rates = {"candidate/seen": 40.0, "candidate/declined": 0.8}
    sources.metric = counters(life, rates)  # asked for a stable one, it has none
    assert life.run(400, stop=lambda: life.serves(2))


def test_a_custom_metric_that_is_away_holds_until_it_is_back() -> None:
    life, sources = releasing({"custom": [RATIO]}, onInconclusive="Rollback", progressDeadline="30s")
    sources.metric = lambda query: OUTAGE
    life.until("Analyzing")
    life.run(50)
    assert (life.status["phase"], life.status["step"]) == ("Analyzing", "1/2")
    assert life.status["verdict"]["outcome"] == "Inconclusive"
    assert f"declined: no answer ({OUTAGE})" in life.status["verdict"]["reason"]
    assert life.condition("Progressing")["message"].startswith(f"declined: {OUTAGE}; since ")


def test_a_series_that_misses_scrapes_is_no_new_evidence() -> None:
    counter = {"name": "panics", "kind": "Counter", "query": 'panics_total{revision="$revision"}', "max": 5}
    life, sources = releasing({"custom": [counter]}, steps=[{"weight": 10, "minDuration": "5m", "minRequests": 20}])
    sources.series = {"pod-a": 4.0, "pod-b": 2.0}
    assert life.run(60, stop=lambda: bool(life.status.get("windows")))
    for there in ({"pod-b": 2.0}, sources.series) * 2:
        sources.series = there
        life.run(6)
    assert len(recorded(life)) >= 5
    assert {one.external["panics"] for one in recorded(life)} == {External((0,))}


def test_an_install_that_does_not_allow_it_runs_no_query_of_users() -> None:
    life, sources = releasing({"custom": [RATIO]})
    life.upgraded(allow_custom_queries=False)
    life.until("Analyzing")
    life.run(20)
    assert sources.queries == []
    assert "allowCustomQueries" in life.status["verdict"]["reason"]


# --- judges ---------------------------------------------------------------------------------------------------------


def test_a_judge_that_says_fail_takes_the_candidate_back_with_its_sentence() -> None:
    life, sources = releasing({"judges": [JUDGE]})
    sources.verdict = lambda document: (
        External(answer="Fail", reason="group B is declined more often") if document["window"]["index"] > 1 else PASS
    )
    life.until("RolledBack")
    reason = "Fail: judge fairness says Fail (group B is declined more often); window 2"
    assert life.status["history"][0]["reason"] == life.status["verdict"]["reason"] == reason
    assert replayed(life)[-1] == reason


def test_a_judge_that_agrees_lets_it_pass_and_is_asked_once_of_each_window() -> None:
    life, sources = releasing({"judges": [JUDGE]})
    assert life.run(400, stop=lambda: life.serves(2))
    indexes = [document["window"]["index"] for document in sources.asked]
    assert indexes == sorted(set(indexes)) and len(indexes) > 2
    asked = sources.asked[0]
    assert asked["service"] == {"namespace": "demo", "name": "digits", "model": "digits"}
    assert asked["release"] == {"attempt": 2, "step": 1, "weight": 10}
    assert (asked["stable"]["version"], asked["candidate"]["version"]) == ("1", "2")
    assert asked["candidate"]["requests"] > 0 and asked["id"].endswith("/2/1/fairness")


def test_a_judge_that_does_not_answer_is_doubt_and_never_decides() -> None:
    life, sources = releasing({"judges": [JUDGE]}, onInconclusive="Rollback", progressDeadline="30s")
    sources.verdict = lambda document: External(gap="slow: no answer within 5 s")
    life.until("Analyzing")
    life.run(50)
    assert (life.status["phase"], life.status["step"]) == ("Analyzing", "1/2")
    assert "judge fairness: no answer (slow: no answer within 5 s)" in life.status["verdict"]["reason"]


def test_a_judge_that_cannot_decide_in_time_is_doubt_like_any_other() -> None:
    life, sources = releasing({"judges": [JUDGE]}, onInconclusive="Rollback", progressDeadline="30s")
    sources.verdict = lambda document: External(answer="Inconclusive", reason="too few of group B")
    assert life.run(120, stop=lambda: life.status["phase"] == "RolledBack")
    assert "judge fairness says Inconclusive (too few of group B)" in life.status["history"][0]["reason"]


def test_a_judge_is_not_asked_of_windows_that_do_not_count() -> None:
    life, sources = releasing({"judges": [JUDGE]})
    life.until("Analyzing")
    life.run(20)
    asked = len(sources.asked)
    life.blind = True
    life.run(20)
    assert len(sources.asked) <= asked + 1
