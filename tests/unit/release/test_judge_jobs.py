"""Releases that a Job has to agree to: it passes, vetoes, is late, breaks, or the operator dies beside it."""

from __future__ import annotations

import json
from typing import Any

from plimsoll import names
from plimsoll.core import ledger
from plimsoll.facts import Ref, Window

from tests.builders.judges import JudgedLife
from tests.builders.release import NAMESPACE, service, version

JOB = {"image": "judge:1", "interval": "5s", "timeout": "20s", "args": ["--strict"]}
ONE_STEP = [{"weight": 50, "minDuration": "2s", "minRequests": 50}]


def releasing(job: dict[str, Any] | None = None, *, window: str = "2s", **release: Any) -> JudgedLife:
    """Version 1 serves, version 2 is on its way."""
    judges = [{"name": "fairness", "job": JOB | (job or {})}]
    release = {"steps": ONE_STEP} | release
    life = JudgedLife(version(1), service(analysis={"window": window, "judges": judges}, **release), rate=800)
    life.until("Idle")
    life.run(2)
    life.add(version(2))
    return life


def windows(life: JudgedLife) -> tuple[Window, ...]:
    return recorded(life).windows


def recorded(life: JudgedLife) -> ledger.Ledger:
    found = life.cluster.objects[Ref("v1", "ConfigMap", NAMESPACE, f"digits-attempt-{life.status['attempt']}")]
    return ledger.decode(found["data"][names.LEDGER_KEY])


def said(life: JudgedLife) -> list[str]:
    """What the judge is known to have said, window by window."""
    found = [one.external["judge/fairness"] for one in windows(life) if one.gap is None]
    return [one.gap or f"{one.answer} {one.reason}".strip() for one in found]


def progress(life: JudgedLife) -> str:
    return str(life.condition("Progressing").get("message", ""))


def test_a_release_waits_for_its_job_and_passes_with_its_words() -> None:
    life = releasing()
    life.says = lambda told: (0, "group B is served alike")
    assert life.run(200, stop=lambda: life.serves(2))
    heard = said(life)
    assert heard[0] == "Inconclusive no Job of it has judged this step yet"
    assert heard[1].startswith("Inconclusive window 1: Job digits-judge-") and heard[1].endswith("has not ended")
    assert "Pass window 1: group B is served alike" in heard


def test_no_step_is_passed_before_its_own_job_has_answered() -> None:
    life = releasing(steps=[{"weight": 10, "minDuration": "2s", "minRequests": 20}, *ONE_STEP])
    assert life.run(300, stop=lambda: life.serves(2))
    by_step: dict[int, list[Window]] = {}
    for window in windows(life):
        by_step.setdefault(window.step, []).append(window)
    assert len(by_step) == 3
    for step, own in by_step.items():
        assert own[0].external["judge/fairness"].answer == "Inconclusive"
        assert own[-1].external["judge/fairness"].answer == "Pass"
        assert {told["PLIMSOLL_STEP"] for told in life.started} >= {str(step)}


def test_the_exit_code_that_says_fail_takes_the_candidate_back_and_the_verdict_replays() -> None:
    life = releasing()
    life.says = lambda told: (10, "log\ngroup B is declined more often\n")
    life.until("RolledBack")
    reason = life.status["history"][0]["reason"]
    assert reason.startswith("Fail: judge fairness says Fail (window 1: group B is declined more often); window ")
    assert ledger.replay(recorded(life))[-1].reason == life.status["verdict"]["reason"] == reason


def test_a_job_is_told_of_the_very_arm_that_the_candidate_is_compared_with() -> None:
    judges = [{"name": "fairness", "job": JOB}]
    life = JudgedLife(version(1), service(replicas=2, analysis={"window": "2s", "baseline": "Fresh", "judges": judges}))
    life.until("Idle")
    life.run(2)
    life.add(version(2))
    assert life.run(60, stop=lambda: bool(life.started))
    told, baseline = life.started[0], life.status["baseline"]["revision"]
    assert told["PLIMSOLL_STABLE_REVISION"] == json.loads(told["PLIMSOLL_DOCUMENT"])["stable"]["revision"] == baseline
    assert told["PLIMSOLL_STABLE_URL"] == f"http://{baseline}.{NAMESPACE}.svc:8083"


def test_another_exit_code_can_be_the_one_that_says_fail() -> None:
    life = releasing({"failExitCode": 1})
    life.says = lambda told: (1, "no")
    life.until("RolledBack")
    assert "judge fairness says Fail (window 1: no)" in life.status["history"][0]["reason"]


def test_a_job_that_breaks_is_no_answer_and_the_next_one_is_asked() -> None:
    life = releasing(window="3s", onInconclusive="Rollback", progressDeadline="12s")
    life.says = lambda told: (1, "Traceback")
    life.until("Analyzing")
    life.run(24)
    assert (life.status["phase"], life.status["step"]) == ("Analyzing", "1/1")
    assert life.condition("Progressing")["reason"] == "EvidenceUnavailable"
    assert "ended with exit code 1, where 0 passes and 10 fails: Traceback; since " in progress(life)
    assert len(life.started) > 2
    life.says = lambda told: (0, "")
    assert life.run(60, stop=lambda: life.serves(2))


def test_a_job_that_needs_more_memory_is_no_answer_and_says_what_to_raise() -> None:
    life = releasing()
    life.says = lambda told: (137, "")
    life.until("Analyzing")
    assert life.run(20, stop=lambda: "needed more than its 256Mi of memory: raise the judge's job." in progress(life))


def test_a_job_past_its_deadline_is_no_answer_and_says_what_to_raise() -> None:
    life = releasing({"timeout": "5s"})
    life.says = lambda told: None
    life.takes = 60.0
    life.until("Analyzing")
    assert life.run(40, stop=lambda: "slow: Job digits-judge-" in progress(life))
    assert "did not end within 5 s: raise the judge's job.timeout" in progress(life)


def test_a_job_that_fails_and_leaves_no_pod_is_no_answer() -> None:
    life = releasing()
    life.says, life.lost = lambda told: (3, ""), True
    life.until("Analyzing")
    assert life.run(40, stop=lambda: "left no pod that says why" in progress(life))


def test_what_a_job_said_is_known_from_its_conditions_when_its_pod_is_gone() -> None:
    life = releasing()
    life.says, life.lost = lambda told: (10, "group B"), True
    life.until("RolledBack")
    assert "judge fairness says Fail (window 1); window " in life.status["history"][0]["reason"]


def test_words_that_come_late_are_waited_for() -> None:
    life = releasing()
    life.says, life.lag = lambda told: (10, "group B"), 3.0
    life.until("RolledBack")
    assert "(window 1: group B)" in life.status["history"][0]["reason"]


def test_a_job_that_cannot_start_says_why_it_has_not_answered() -> None:
    life = releasing(window="5s")
    life.pending = "ErrImagePull"
    life.until("Analyzing")
    assert life.run(30, stop=lambda: "image judge:1 of container judge cannot be pulled" in json.dumps(life.status))


def test_one_job_at_a_time_none_sooner_than_the_interval_and_the_last_answer_stands_meanwhile() -> None:
    life = releasing({"interval": "12s"}, window="3s", steps=[ONE_STEP[0] | {"minDuration": "30s"}])
    life.until("Analyzing")
    most = 0
    for _ in range(70):
        life.run(0.5)
        if life.status["phase"] == "Analyzing":
            running = [job for job in life.jobs() if "status" not in job]
            most = max(most, len(running))
            assert len(life.jobs()) <= 2
    assert most == 1
    first = [told for told in life.started if told["PLIMSOLL_STEP"] == "1"]
    ends = [told["PLIMSOLL_WINDOW_END"] for told in first]
    assert len(ends) == len(set(ends)) and 2 <= len(ends) <= 3
    assert said(life).count("Pass window 1") > 2


def test_a_window_that_does_not_count_is_not_judged() -> None:
    life = releasing()
    life.until("Analyzing")
    life.blind = True
    life.run(20)
    assert life.started == []


def test_the_job_is_told_what_a_webhook_is_sent_and_where_both_versions_answer() -> None:
    life = releasing()
    life.until("Analyzing")
    assert life.run(20, stop=lambda: bool(life.started))
    told, status = life.started[0], life.status
    assert told["PLIMSOLL_SERVICE"] == "digits" and told["PLIMSOLL_NAMESPACE"] == "demo"
    assert (told["PLIMSOLL_ATTEMPT"], told["PLIMSOLL_STEP"], told["PLIMSOLL_WEIGHT"]) == ("2", "1", "50")
    assert (told["PLIMSOLL_STABLE_VERSION"], told["PLIMSOLL_CANDIDATE_VERSION"]) == ("1", "2")
    revision = status["candidate"]["revision"]
    assert told["PLIMSOLL_CANDIDATE_URL"] == f"http://{revision}.demo.svc:8083"
    assert told["PLIMSOLL_STEP_START"] <= told["PLIMSOLL_WINDOW_START"] < told["PLIMSOLL_WINDOW_END"]
    sent = json.loads(told["PLIMSOLL_DOCUMENT"])
    assert sent["judge"] == "fairness" and sent["window"]["index"] == int(told["PLIMSOLL_WINDOW"])
    assert sent["candidate"]["requests"] > 0


def test_the_pod_is_restricted_and_no_server_of_the_service() -> None:
    life = releasing()
    life.until("Analyzing")
    assert life.run(20, stop=lambda: bool(life.jobs()))
    (job,) = life.jobs()
    template = job["spec"]["template"]
    assert job["spec"]["backoffLimit"] == 0 and job["spec"]["activeDeadlineSeconds"] == 20
    assert job["spec"]["ttlSecondsAfterFinished"] == 3605
    assert job["metadata"]["ownerReferences"][0]["name"] == "digits"
    assert names.LABEL_INFERENCE_SERVICE not in template["metadata"]["labels"]
    pod, (container,) = template["spec"], template["spec"]["containers"]
    assert pod["automountServiceAccountToken"] is False and pod["serviceAccountName"] == "plimsoll-judge"
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["args"] == ["--strict"] and "envFrom" not in container
    assert container["resources"]["limits"] == {"cpu": "200m", "memory": "256Mi"}


def test_an_operator_that_dies_beside_a_job_goes_on_with_it() -> None:
    """Before the Job was made, after it was, and after it ended: each window is judged by at most one Job."""
    life = releasing()
    life.until("Analyzing")
    life.lose(3)
    assert life.run(40, stop=lambda: bool(life.started))
    life.asleep = True
    life.run(10)
    life.asleep = False
    life.crash_after(1)
    assert life.run(200, stop=lambda: life.serves(2))
    judged = [(told["PLIMSOLL_STEP"], told["PLIMSOLL_WINDOW"]) for told in life.started]
    assert len(judged) == len(set(judged))
    assert "Pass window 1" in said(life)


def test_a_job_that_somebody_deleted_is_made_anew() -> None:
    life = releasing()
    life.takes = 10.0
    life.until("Analyzing")
    assert life.run(20, stop=lambda: bool(life.jobs()))
    life.cluster.remove(Ref.of(life.jobs()[0]))
    assert life.run(200, stop=lambda: life.serves(2))


def test_a_job_that_is_always_taken_away_holds_as_an_outage() -> None:
    life = releasing(window="3s", onInconclusive="Rollback", progressDeadline="12s")
    life.until("Analyzing")
    for _ in range(12):
        life.run(2)
        for job in list(life.jobs()):
            life.cluster.remove(Ref.of(job))
    assert life.status["phase"] == "Analyzing"
    assert "missing: its Job is gone, or could not be made" in progress(life)


def test_an_aborted_release_ends_the_job_that_runs_and_leaves_the_finished_one_to_be_read() -> None:
    life = releasing()
    life.takes = 1000.0
    life.until("Analyzing")
    assert life.run(20, stop=lambda: bool(life.jobs()))
    life.command("now", "abort")
    life.until("RolledBack")
    life.run(2)
    assert life.jobs() == []

    vetoed = releasing()
    vetoed.says = lambda told: (10, "no")
    vetoed.until("RolledBack")
    vetoed.run(5)
    assert len(vetoed.jobs()) == 1
    effects = len(vetoed.effects)
    vetoed.run(60)
    assert len(vetoed.effects) == effects


def test_a_judge_that_is_changed_meanwhile_is_asked_anew() -> None:
    life = releasing()
    life.says = lambda told: (10, "no") if told.get("STRICT") else (0, "yes")
    life.takes = 8.0
    life.until("Analyzing")
    assert life.run(20, stop=lambda: bool(life.started))

    def stricter(body: dict[str, Any]) -> None:
        (judge,) = body["spec"]["release"]["analysis"]["judges"]
        judge["job"]["env"] = [{"name": "STRICT", "value": "yes"}]

    life.edit(stricter)
    life.until("RolledBack")
    assert "judge fairness says Fail (window 1: no); window " in life.status["history"][0]["reason"]
    assert [told.get("STRICT") for told in life.started] == [None, "yes"]
