"""What counts as evidence, what does not, and how the record of it outlives crashes and edits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from plimsoll import names
from plimsoll.core import ledger
from plimsoll.core.conditions import timestamp, unix
from plimsoll.core.release import cursor
from plimsoll.facts import Action, Apply, Create, Manifest, PodCounters, Ref, Sample
from plimsoll.failures import Refused

from tests.builders.release import NAMESPACE, SERVICE, Life, service, version


def serving(*, replicas: int = 1, **release: Any) -> Life:
    """A service whose version 1 serves and is at rest."""
    life = Life(version(1), service(replicas=replicas, **release))
    life.until("Idle")
    life.run(5)
    return life


def written(life: Life) -> str | None:
    """The ledger's text as it is in the cluster."""
    found = life.cluster.objects.get(Ref("v1", "ConfigMap", NAMESPACE, f"digits-attempt-{life.status['attempt']}"))
    return found["data"][names.LEDGER_KEY] if found else None


def assert_replayed(life: Life) -> bool:
    """The status's verdict follows from the ledger alone; returns whether there was one to compare."""
    verdict, text = life.status.get("verdict"), written(life)
    if not verdict or not text or verdict["metric"] in {"readiness", "crashes"}:
        return False
    again = ledger.replay(ledger.decode(text))[-1]
    assert (again.outcome, again.reason, again.mode) == (verdict["outcome"], verdict["reason"], verdict["mode"])
    return True


@pytest.mark.parametrize("failing", [0.0, 0.3])
@pytest.mark.parametrize("holdback", [5, 0])
def test_the_ledger_as_it_is_written_replays_the_verdict_of_the_status_at_any_time(
    failing: float, holdback: int
) -> None:
    life = serving(holdback=holdback)
    life.character(2).failing = failing
    life.add(version(2))
    compared = 0

    def ended() -> bool:
        nonlocal compared
        compared += assert_replayed(life)
        return life.status["attempt"] == 2 and life.status["phase"] in {"Idle", "RolledBack"}

    assert life.run(300, stop=ended)
    assert compared > 1
    assert life.status["history"][0]["reason"] == life.status["verdict"]["reason"]


def test_an_edit_of_the_analysis_after_a_lost_status_does_not_change_what_the_ledger_replays() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    life.run(3, stop=lambda: bool(life.status.get("windows")))
    before = written(life)

    life.lose(2)  # the status that rests on the next window
    assert life.run(10, stop=lambda: written(life) != before)
    life.edit(lambda body: body["spec"]["release"]["analysis"].update(errorRate={"margin": 3.0}))
    life.run(1)
    assert assert_replayed(life)


def test_the_ledger_in_the_store_is_the_one_that_decided() -> None:
    life = serving()
    life.character(2).failing = 0.4
    life.add(version(2))
    life.until("RolledBack")
    uid = life.cluster.read(SERVICE)["metadata"]["uid"]
    stored = life.store.objects[(NAMESPACE, f"ledger/digits/{uid}/2.json")].decode()
    assert ledger.replay(ledger.decode(stored))[-1].reason == life.status["history"][0]["reason"]


def test_a_service_that_is_made_anew_stores_ledgers_of_its_own() -> None:
    life = serving()
    for _ in range(2):
        life.character(2).failing = 0.4
        life.add(version(2))
        life.until("RolledBack")
        life.cluster.remove(SERVICE)
        life.cluster.remove(Ref(names.API_VERSION, "ModelVersion", NAMESPACE, "digits-v2"))
        life.run(5)
        life.add(service())
        life.until("Idle")
        life.run(5)
    assert sum(key.endswith("/2.json") for _, key in life.store.objects) == 2


def test_a_status_that_was_lost_never_counts_the_evidence_of_an_earlier_attempt() -> None:
    life = serving()
    life.add(version(2))
    life.until("Probation")
    assert life.run(60, stop=lambda: life.serves(2))
    life.run(5)
    life.cluster.edit(SERVICE, lambda body: body.pop("status"), spec=False)
    life.ring()
    life.run(5)
    life.rate = 0.0
    life.add(version(3))
    life.until("Analyzing")
    life.run(10)
    assert life.status["weight"] == 10
    assert all(one["candidate"] == "0/0" for one in life.status["windows"])


def test_an_outage_in_the_middle_of_a_step_holds_whatever_was_seen_before() -> None:
    steps = [{"weight": 10, "minDuration": "30s", "minRequests": 20}, {"weight": 50, "minDuration": "2s"}]
    life = serving(steps=steps, onInconclusive="Rollback")
    life.add(version(2))
    life.until("Analyzing")
    assert life.run(25, stop=lambda: (life.status.get("verdict") or {}).get("outcome") == "Pass")
    life.blind = True
    life.run(200)
    assert (life.status["step"], life.weights) == ("1/2", {"1": 90, "2": 10})
    assert life.condition("Progressing")["reason"] == "EvidenceUnavailable"
    life.blind = False
    life.until("Idle")
    assert life.serves(2)


def test_an_outage_from_before_the_first_share_is_never_a_failure() -> None:
    life = serving(onInconclusive="Rollback", progressDeadline="60s")
    life.add(version(2))
    life.until("Warming")
    life.blind = True
    life.run(300)
    assert life.status.get("quarantine", []) == []
    assert life.condition("Progressing")["reason"] == "EvidenceUnavailable"
    life.blind = False
    life.until("Idle")
    assert life.serves(2)


def test_a_probation_without_requests_does_not_end_by_itself() -> None:
    life = serving()
    life.add(version(2))
    life.until("Probation")
    life.rate = 0.0
    life.run(0.5)
    windows = life.status["windows"][-1]["index"]
    life.run(60)
    assert life.status["windows"][-1]["index"] > windows
    assert life.status["phase"] == "Probation"
    life.rate = 200.0
    life.until("Idle")
    assert life.status["history"][0]["reason"].startswith("Pass")


def test_a_probation_that_stays_in_doubt_holds_at_the_deadline_and_says_why() -> None:
    life = serving(progressDeadline="20s")
    life.add(version(2))
    life.until("Probation")
    life.rate = 0.0
    life.until("Held")
    assert (life.status["heldReason"], life.status["heldPhase"]) == ("ProgressDeadline", "Probation")
    life.rate = 200.0
    life.until("Idle")
    assert life.serves(2)


def test_promoting_by_command_waives_the_evidence_of_the_probation_too() -> None:
    life = serving()
    life.rate = 0.0
    life.add(version(2))
    life.until("Analyzing")
    life.command("a", "promote")
    life.until("Idle")
    assert life.serves(2)
    assert "promoted by ann" in life.status["history"][0]["reason"]


def test_what_a_person_promoted_is_promoted_after_a_pause_too() -> None:
    life = serving(progressDeadline="20s")
    life.rate = 0.0
    life.add(version(2))
    life.until("Analyzing")
    life.command("a", "promote")
    life.until("Probation")
    life.command("b", "pause")
    life.run(30)
    life.command("c", "resume")
    assert life.run(30, stop=lambda: life.serves(2))
    assert (life.status["history"][0]["reason"], life.status["history"][0]["by"]) == ("promoted by ann", "ann")
    assert "waiver" not in life.status, "it is of one release"


def test_a_clock_that_was_set_back_begins_the_next_window_anew() -> None:
    life = serving()
    life.add(version(2))
    life.until("Analyzing")
    assert life.run(10, stop=lambda: bool(life.status.get("windows")))
    seen = life.status["windows"][-1]["index"]
    life.time -= 3600
    life.ring()
    assert life.run(30, stop=lambda: life.status["windows"][-1]["index"] > seen)


@pytest.mark.parametrize("jump", [600, 86_400])
def test_a_clock_that_jumps_ahead_decides_nothing(jump: int) -> None:
    life = serving(onInconclusive="Rollback")
    life.add(version(2))
    life.until("Analyzing")
    assert life.run(10, stop=lambda: bool(life.status.get("windows")))
    life.time += jump
    life.ring()
    life.run(1)
    assert life.status["phase"] == "Analyzing", "time alone neither advances a release nor takes it back"
    life.until("Idle")
    assert [one["outcome"] for one in life.status["history"][:1]] == ["Promoted"]


def test_what_began_by_a_clock_that_was_ahead_lasts_no_longer_once_it_is_set_right() -> None:
    life = serving(probation="60s")
    life.add(version(2))
    for phase in ("Analyzing", "Probation"):
        life.until(phase)
        assert life.run(10, stop=lambda: "stepSince" in life.status)
        tomorrow = timestamp(life.time + 86_400)
        life.cluster.edit(SERVICE, lambda body, at=tomorrow: body["status"].update(stepSince=at), spec=False)  # type: ignore[misc]
    life.until("Idle")
    assert [one["outcome"] for one in life.status["history"][:1]] == ["Promoted"]
    late = [one | {"since": timestamp(life.time + 86_400)} for one in life.status["retiring"]]
    assert late
    life.cluster.edit(SERVICE, lambda body: body["status"].update(retiring=late), spec=False)
    assert life.run(120, stop=lambda: not life.status.get("retiring")), "the old pods go when they would have gone"


def test_a_release_whose_windows_have_become_long_still_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_LENGTHEN_AFTER", 2)
    endless = [{"weight": 10, "minDuration": "2s", "minRequests": 1_000_000_000}]
    life = serving(steps=endless, progressDeadline="500s", analysis={"window": "20s"})
    life.add(version(2))
    life.until("Analyzing")
    assert life.run(700, stop=lambda: life.status["phase"] == "Held")
    assert life.status["heldReason"] == "ProgressDeadline"
    last, before = (unix(one["end"]) for one in life.status["windows"][:-3:-1])
    assert last - before > 3 * 20 + 60, "by the spec alone nobody would have watched"


def test_a_clock_that_was_ahead_keeps_no_candidate_waiting_for_its_pre_period() -> None:
    life = serving(analysis={"window": "2s", "prePeriod": "10s"}, probation="20s")
    life.time += 86_400
    life.ring()
    life.run(3)
    life.add(version(2))
    life.until("Warming")
    life.run(5)
    life.time -= 86_400
    for server in life.servers.values():
        server.born = min(server.born, life.time)
    life.ring()
    assert life.run(120, stop=lambda: life.status["phase"] == "Analyzing")


def test_a_full_ledger_is_no_outage_and_the_deadline_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_WINDOWS", 3)
    life = serving(progressDeadline="20s")
    life.rate = 1.0
    life.add(version(2))
    life.until("Held")
    assert life.status["heldReason"] == "ProgressDeadline"
    assert "the most it may" in life.status["reason"]
    assert json.dumps(life.status).count("EvidenceUnavailable") == 0


def without_room(life: Life) -> Callable[[], None]:
    """A quota of the namespace that leaves no room for the records of releases; returns what lifts it."""
    act, why = life.cluster.act, "exceeded quota: objects"

    async def refusing(owner: Manifest, action: Action) -> None:
        manifest = action.manifest if isinstance(action, Create | Apply) else {}
        if manifest.get("kind") == "ConfigMap" and "-attempt-" in manifest["metadata"]["name"]:
            raise Refused(Ref.of(manifest), why)
        await act(owner, action)

    life.cluster.act = refusing  # type: ignore[method-assign]
    return lambda: setattr(life.cluster, "act", act)


def test_a_ledger_that_cannot_be_written_holds_with_the_remedy_and_goes_on_once_it_can() -> None:
    life = serving()
    lift = without_room(life)
    life.add(version(2))
    life.until("Analyzing")
    life.run(100)
    progressing, before = life.condition("Progressing"), life.cluster.read(SERVICE)
    assert (life.weights, progressing["reason"]) == ({"1": 90, "2": 10}, "EvidenceUnavailable")
    assert "needs room for a ConfigMap" in progressing["message"] and "exceeded quota" in progressing["message"]
    life.run(200)
    assert life.cluster.read(SERVICE) == before
    lift()
    life.until("Idle")
    assert life.serves(2)


def test_a_person_is_obeyed_while_the_ledger_cannot_be_written() -> None:
    life = serving()
    without_room(life)
    life.add(version(2))
    life.until("Analyzing")
    life.run(10)
    life.command("one", "abort")
    life.until("RolledBack")
    assert life.weights == {"1": 100}


@pytest.mark.parametrize("strategy", ["Canary", "BlueGreen"])
def test_a_candidate_that_fails_is_taken_back_also_when_its_ledger_cannot_be_written_any_more(strategy: str) -> None:
    life = serving(strategy=strategy, probation="60s")
    life.add(version(2))
    life.until("Analyzing" if strategy == "Canary" else "Probation")
    assert life.run(30, stop=lambda: written(life) is not None)
    without_room(life)
    life.character(2).failing = 1.0
    life.until("RolledBack")
    reason = life.status["history"][0]["reason"]
    assert reason.startswith("Fail: ") and "its last window is not in the ledger" in reason


def test_a_cursor_of_hundreds_of_pods_fits_beside_the_ledger_and_is_read_again() -> None:
    counts = {
        ("bin", f"output-{n}", f"le_{edge}"): float(7919 * n * edge % 99991) for n in range(16) for edge in range(12)
    }
    latency = tuple(range(len(names.LATENCY_EDGES) + 1))
    pods = tuple(PodCounters(f"digits-{n}", "digits-a", n + 0.5, 3, {}, latency, counts=counts) for n in range(300))
    text = cursor.encode(Sample(1.0, pods, {}))
    assert len(text) < 512 * 1024
    found = cursor.decode(text)
    assert found is not None and found.pods == pods
    assert cursor.decode(text[:-9]) is None
