"""The attempts of one revision share one alpha, until what is compared has decided."""

from __future__ import annotations

from typing import Any

import pytest
from plimsoll import names
from plimsoll.api.inferenceservice import InferenceServiceSpec, InferenceServiceStatus
from plimsoll.core import ledger
from plimsoll.core.release import attempts
from plimsoll.core.release.archive import ledger_name
from plimsoll.facts import Ref

from tests.builders.release import NAMESPACE, SERVICE, Life, service, version


def serving(**release: Any) -> Life:
    """A service whose version 1 serves and is at rest."""
    life = Life(version(1), service(**release))
    life.until("Idle")
    life.run(5)
    return life


def recorded(life: Life) -> ledger.Ledger:
    """The ledger of the latest attempt."""
    name = ledger_name("digits", life.status["attempt"])
    return ledger.decode(life.cluster.objects[Ref("v1", "ConfigMap", NAMESPACE, name)]["data"][names.LEDGER_KEY])


def judged(life: Life) -> None:
    """Until a window of the latest attempt has been judged."""
    assert life.run(60, stop=lambda: bool(life.status.get("candidate") and life.status.get("verdict")))


def aborted(life: Life, command: str) -> None:
    """A person takes the candidate back once it has been judged, and another one has it tried again."""
    judged(life)
    life.command(command, "abort")
    life.until("RolledBack")
    life.command(f"{command}-again", "retry")
    life.until("Analyzing")


def test_a_first_attempt_has_nine_tenths_of_alpha_and_its_verdict_says_the_bound() -> None:
    life = serving()
    life.character(2).failing = 0.07
    life.add(version(2))
    life.until("RolledBack")
    assert (life.status["revisionAttempt"], recorded(life).policy.alpha) == (1, 0.009)
    assert " ≥ 222; window " in life.status["verdict"]["reason"]


def test_what_a_person_took_back_has_less_of_alpha_each_time_it_is_tried_again_and_the_ledger_replays_it() -> None:
    life = serving()
    life.add(version(2))
    aborted(life, "a")
    assert (life.status["attempt"], life.status["revisionAttempt"]) == (3, 2)
    aborted(life, "b")
    assert (life.status["attempt"], life.status["revisionAttempt"]) == (4, 3)
    life.character(2).failing = 0.07
    life.until("RolledBack")
    assert recorded(life).policy.alpha == 0.01 / 60
    assert " ≥ 1.2e4; window " in life.status["verdict"]["reason"]
    assert ledger.replay(recorded(life))[-1].reason == life.status["verdict"]["reason"]


def test_what_a_comparison_failed_is_tried_again_with_the_first_part_of_alpha() -> None:
    life = serving()
    life.character(2).failing = 0.07
    life.add(version(2))
    aborted(life, "a")
    life.until("RolledBack")
    assert (life.status["verdict"]["mode"], life.status["revisionAttempt"]) == ("Sequential", 2)
    life.edit(lambda body: body["spec"]["release"].update(retryToken="again"))
    life.until("Analyzing")
    assert (life.status["attempt"], life.status["revisionAttempt"]) == (4, 1)


def test_what_the_breaker_took_back_has_spent_its_part() -> None:
    life = serving()
    life.add(version(2))
    judged(life)
    life.character(2).failing = 1.0
    life.until("RolledBack")
    assert life.status["verdict"]["mode"] == "Breaker"
    life.character(2).failing = 0.0
    life.command("a", "retry")
    life.until("Analyzing")
    assert life.status["revisionAttempt"] == 2


def test_an_attempt_that_was_never_judged_has_spent_nothing() -> None:
    life = serving()
    life.add(version(2))
    life.until("Warming")
    life.command("a", "abort")
    life.until("RolledBack")
    life.command("b", "retry")
    life.until("Analyzing")
    assert (life.status["attempt"], life.status["revisionAttempt"]) == (3, 1)


def test_a_crash_before_any_share_has_spent_nothing() -> None:
    life = serving()
    life.character(2).crashes = True
    life.add(version(2))
    life.until("RolledBack")
    assert life.status["verdict"]["metric"] == "crashes"
    life.character(2).crashes = False
    life.command("a", "retry")
    life.until("Analyzing")
    assert life.status["revisionAttempt"] == 1


def test_a_promotion_ends_the_count_and_another_revision_has_its_own() -> None:
    life = serving()
    life.add(version(2))
    aborted(life, "a")
    life.add(version(3))
    life.until("Analyzing")
    assert (life.status["candidate"]["version"], life.status["revisionAttempt"]) == ("3", 1)
    life.edit(lambda body: body["spec"]["model"].update(version="2"))
    assert life.run(300, stop=lambda: life.serves(2) and life.status["phase"] == "Idle")
    assert life.status["revisionAttempt"] == 2
    assert "undecided" not in life.status["history"][0]
    life.edit(lambda body: body["spec"]["model"].update(version="1"))
    assert life.run(300, stop=lambda: life.serves(1) and life.status["phase"] == "Idle")
    life.edit(lambda body: body["spec"]["model"].update(version="2"))
    life.until("Analyzing")
    assert (life.status["candidate"]["version"], life.status["revisionAttempt"]) == ("2", 1)


def test_an_attempt_that_began_before_they_were_counted_keeps_all_of_alpha() -> None:
    life = serving()
    life.add(version(2))
    life.until("Preparing")
    life.cluster.edit(SERVICE, lambda body: body["status"].pop("revisionAttempt"), spec=False)
    life.character(2).failing = 0.07
    life.until("RolledBack")
    assert recorded(life).policy.alpha == 0.01
    assert " ≥ 200; window " in life.status["verdict"]["reason"]


@pytest.mark.parametrize(("metric", "spent"), [("refunds", 0), ("leaks", 1), ("judge/review", 1)])
def test_only_what_has_a_part_of_alpha_begins_anew_when_it_failed(metric: str, spent: int) -> None:
    analysis = {
        "judges": [{"name": "review", "webhook": {"url": "https://review.example/"}}],
        "custom": [
            {"name": "refunds", "kind": "Ratio", "query": "a", "total": "b", "margin": 1.5},
            {"name": "leaks", "kind": "Counter", "query": "c", "max": 3},
        ],
    }
    manifest = service(analysis=analysis)
    verdict = {"outcome": "Fail", "mode": "Sequential", "metric": metric, "reason": "", "at": "2026-11-22T12:00:00Z"}
    reference = {"revision": "digits-1", "version": "2", "digest": "0" * 64}
    status = InferenceServiceStatus.model_validate({"candidate": reference, "verdict": verdict})
    spec = InferenceServiceSpec.model_validate(manifest["spec"])
    assert attempts.undecided(spec, status, "RolledBack") == spent
