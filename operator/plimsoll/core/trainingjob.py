"""The plan of one pass over a TrainingJob: train, publish, settle; and what holds a run up."""

from __future__ import annotations

from dataclasses import replace

from plimsoll import names
from plimsoll.api.trainingjob import TrainingJobStatus
from plimsoll.core import jobs
from plimsoll.core.champion import Missing, champions
from plimsoll.core.conditions import Finding, find
from plimsoll.core.jobs import training_order
from plimsoll.core.outcome import WAITING, Report, lost_message
from plimsoll.core.publishing import settle
from plimsoll.core.result import Refusal, Result
from plimsoll.core.run import document
from plimsoll.core.superseded import deletion, outdated, stale
from plimsoll.core.trainingstatus import TERMINAL, Seen, Stored, failed, outcome
from plimsoll.facts import Action, Apply, Manifest, Notice, Plan, Settings

_ON_HOLD = "spec.suspend is true: no workload runs. Set it to false to go on."


def plan(seen: Seen, stored: Stored, settings: Settings, now: float) -> Plan:
    """What this pass does. `stored` holds what `wants_result` asked for."""
    if at_rest(seen):
        return _noticed(seen)
    decided = _decide(seen, stored, settings, now)
    cancelled = stale(seen)
    if not cancelled:
        return decided
    news = Notice(
        "Normal", "Cancelled", f"The inputs changed: what belongs to other runs than {seen.run.hash} is deleted."
    )
    return replace(decided, before=(*cancelled, *decided.before), notices=(news, *decided.notices))


def at_rest(seen: Seen) -> bool:
    """Whether the run has ended. Any edit of the spec tries a failure again, only other inputs a verdict."""
    ended = seen.status.phase in TERMINAL and seen.same_run
    return ended and (seen.status.phase != "Failed" or seen.status.observed_generation == seen.generation)


def may_adopt(seen: Seen, now: float) -> bool:
    """Whether an earlier result of the same run may be used: before anything of the run exists."""
    return not at_rest(seen) and all(seen.report(part, now).state == "Absent" for part in ("train", "publish"))


# --- deciding ---------------------------------------------------------------------------------------------------------


def _decide(seen: Seen, stored: Stored, settings: Settings, now: float) -> Plan:
    if isinstance(stored.result, Refusal):
        message = f"{stored.result.message} Change spec.rerunToken to run again."
        return failed(seen, stored.result.reason, message, now, _trained(seen))
    if isinstance(stored.result, Result):
        return settle(seen, stored, now)
    gone = outdated(seen, now)
    if gone:
        message = "The spec changed after a failure: the failed workload is deleted and made again."
        return outcome(
            seen,
            "Pending",
            (Finding("Ready", "False", "Restarting", message),),
            now,
            before=gone,
            requeue_after=1.0,
        )
    train, publish = seen.report("train", now), seen.report("publish", now)
    if publish.state != "Absent":
        return _publishing(seen, publish, now)
    if train.state == "Complete":
        return _start_publish(seen, settings, now)
    if train.state == "Absent":
        return _start_training(seen, settings, now)
    return _under_way(seen, "Training", train, now)


def _start_training(seen: Seen, settings: Settings, now: float) -> Plan:
    if seen.spec.suspend:
        return outcome(seen, "Suspended", (Finding("Ready", "False", "Suspended", _ON_HOLD),), now)
    order = training_order(seen.resource, seen.spec, seen.run, settings)
    run = document(seen.run, seen.spec, settings.training_image)
    before: tuple[Action, ...] = (
        jobs.service_account(seen.run.namespace, "train"),
        jobs.run_config_map(order, seen.run.base, "train", run),
        jobs.train_job(order, seen.spec),
    )
    return outcome(seen, "Training", _progress(seen, "Training"), now, before=before)


def _start_publish(seen: Seen, settings: Settings, now: float) -> Plan:
    if seen.spec.suspend:
        return outcome(seen, "Suspended", (Finding("Ready", "False", "Suspended", _ON_HOLD), _trained(seen)), now)
    found = champions(seen.spec.gates, seen.services, seen.versions)
    if isinstance(found, Missing):
        waiting = Finding("Ready", "False", "ChampionNotFound", found.message)
        return outcome(seen, "Publishing", (waiting, _trained(seen)), now, requeue_after=30.0)
    order = training_order(seen.resource, seen.spec, seen.run, settings)
    run = document(seen.run, seen.spec, settings.training_image, found)
    before: tuple[Action, ...] = (
        jobs.service_account(seen.run.namespace, "publish"),
        jobs.run_config_map(order, f"{seen.run.base}-publish", "publish", run),
        jobs.publish_job(order),
    )
    return outcome(seen, "Publishing", _progress(seen, "Publishing"), now, before=before)


def _publishing(seen: Seen, publish: Report, now: float) -> Plan:
    """The publish Job exists and its result has not been read."""
    job = seen.job("publish")
    if publish.state != "Complete" or job is None:
        return _under_way(seen, "Publishing", publish, now)
    if not lost_message(job, now):
        return outcome(seen, "Publishing", _progress(seen, "Publishing"), now, requeue_after=2.0)
    message = f"Job {seen.run.base}-publish is complete, but its pod and with it the verdict is gone: it is repeated."
    finding = Finding("Ready", "False", "Restarting", message)
    return outcome(seen, "Publishing", (finding, _trained(seen)), now, before=deletion(seen, job), requeue_after=1.0)


def _under_way(seen: Seen, phase: str, current: Report, now: float) -> Plan:
    """A Job that has not ended, or has failed."""
    component = {"Training": "train", "Publishing": "publish"}[phase]
    job = seen.job(component)
    assert job is not None
    if current.state == "Ending":
        # Its pods go before it says that it failed: what the status says of them must outlast them.
        return Plan()
    if current.state == "Failed":
        return _ended_badly(seen, phase, current, now)
    before: tuple[Action, ...] = ()
    if bool(job["spec"].get("suspend")) != seen.spec.suspend:
        before = (_suspension(job, seen.spec.suspend),)
    if seen.spec.suspend:
        more = (_trained(seen),) if phase == "Publishing" else ()
        return outcome(seen, "Suspended", (Finding("Ready", "False", "Suspended", _ON_HOLD), *more), now, before=before)
    findings = _progress(seen, phase, current)
    return outcome(seen, phase, findings, now, before=before, requeue_after=current.look_again)


def _ended_badly(seen: Seen, phase: str, current: Report, now: float) -> Plan:
    reason, message = current.reason, current.message
    was = find(seen.status.conditions, "Ready")
    if reason == "DeadlineExceeded" and was is not None and was.reason in WAITING:
        # The pods of a Job that ran out of time are gone: what they waited for is remembered by the status.
        reason, message = was.reason, f"{message} Before that: {was.message}"
    if phase == "Training":
        return failed(seen, reason, message, now, Finding("Trained", "False", reason, message))
    return failed(seen, reason, message, now, _trained(seen), Finding("Published", "False", reason, message))


def _progress(seen: Seen, phase: str, current: Report | None = None) -> tuple[Finding, ...]:
    texts = {
        "Training": f"Job {seen.run.base}-train trains the model.",
        "Publishing": f"Job {seen.run.base}-publish evaluates the model and publishes it when every gate passes.",
    }
    reason = (current and current.reason) or phase
    message = (current and current.message) or texts[phase]
    ready = Finding("Ready", "False", reason, message)
    if phase == "Training":
        return (ready, Finding("Trained", "False", reason, message))
    return (ready, _trained(seen), Finding("Published", "False", reason, message))


def _trained(seen: Seen) -> Finding:
    return Finding("Trained", "True", "Trained", f"Job {seen.run.base}-train trained the model.")


def _suspension(job: Manifest, suspend: bool) -> Apply:
    meta = {"name": job["metadata"]["name"], "namespace": job["metadata"]["namespace"]}
    manifest = {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"suspend": suspend}}
    return Apply(manifest, uid=job["metadata"]["uid"])


def _noticed(seen: Seen) -> Plan:
    """An edit that changes nothing about an ended run is only observed."""
    if seen.status.observed_generation == seen.generation:
        return Plan()
    conditions = tuple(
        one.model_copy(update={"observed_generation": seen.generation}) for one in seen.status.conditions
    )
    update = {"observed_generation": seen.generation, "conditions": conditions}
    status: TrainingJobStatus = seen.status.model_copy(update=update)
    return Plan(status=status.to_manifest())


def children_selector(name: str) -> dict[str, str]:
    """Labels of everything that a TrainingJob's runs made."""
    return {names.LABEL_TRAINING_JOB: name, names.LABEL_MANAGED_BY: names.FIELD_MANAGER}
