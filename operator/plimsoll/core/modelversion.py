"""The plan of one pass over a ModelVersion: verify, wait for an approval, say who serves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plimsoll.api.modelversion import ModelVersionSpec, ModelVersionStatus
from plimsoll.core import versions
from plimsoll.core.conditions import Finding, conditions, find, timestamp
from plimsoll.core.pods import sentence
from plimsoll.core.publishing import headline
from plimsoll.core.trouble import held_up
from plimsoll.core.verification import Judgement, Seen, Vouched, judge
from plimsoll.facts import Manifest, Notice, Plan, Settings

_NORMAL = ("Verifying", "PendingApproval", "Ready")


def plan(seen: Seen, vouched: Vouched, settings: Settings, now: float) -> Plan:
    """What this pass does. A ModelVersion at rest yields an empty plan."""
    judgement = judge(seen, vouched, settings, now)
    if judgement.verified.status != "True":
        not_ready = Finding("Ready", "False", judgement.verified.reason, judgement.verified.message)
        return _written(seen, judgement, judgement.phase, (not_ready, judgement.verified), now)
    approved = _approval(seen)
    phase = {"True": "Ready", "Unknown": "PendingApproval", "False": "Rejected"}[approved.status]
    message = "The version may be served." if phase == "Ready" else approved.message
    ready = Finding("Ready", "True" if phase == "Ready" else "False", phase, message)
    findings = (ready, judgement.verified, approved)
    return _written(seen, judgement, phase, findings, now)


# --- approval ---------------------------------------------------------------------------------------------------------


def _approval(seen: Seen) -> Finding:
    """True: may be served; False: a person refused it; Unknown: a person has yet to decide."""
    approval = seen.spec.approval
    if approval is None:
        if not seen.spec.require_approval:
            return Finding("Approved", "True", "NotRequired", "No approval is required.")
        return Finding(
            "Approved", "Unknown", "PendingApproval", f"A person has to approve this version: {_command(seen)}"
        )
    why = f": {sentence(approval.reason)}" if approval.reason else "."
    if approval.decision == "Approved":
        return Finding("Approved", "True", "Approved", f"{approval.by} approved it{why}")
    return Finding("Approved", "False", "Rejected", f"{approval.by} rejected it{why}")


def _command(seen: Seen) -> str:
    patch = '{"spec":{"approval":{"decision":"Approved","by":"<your user name>","reason":"<why>"}}}'
    return f"kubectl patch modelversion {seen.name} -n {seen.run.namespace} --type merge -p '{patch}'"


# --- status -----------------------------------------------------------------------------------------------------------


def in_use_by(seen: Seen) -> tuple[str, ...]:
    """InferenceServices whose stable, candidate or last proven revision is this version, by name."""
    number = versions.number(seen.resource)
    if number is None:
        return ()
    users = (service["metadata"]["name"] for service in seen.services if _serves(service, seen.spec, str(number)))
    return tuple(sorted(users))[:64]


def _serves(service: Manifest, spec: ModelVersionSpec, number: str) -> bool:
    """A revision that tells its digest is known by it: the service may have moved on to another model since."""
    status: Mapping[str, Any] = service.get("status") or {}
    for role in ("stable", "candidate", "lastProven"):
        revision = status.get(role)
        if not revision or revision.get("version") != number:
            continue
        digest = revision.get("digest")
        if digest == spec.artifact.sha256 or (not digest and service["spec"]["model"]["name"] == spec.model):
            return True
    return False


def _written(seen: Seen, judgement: Judgement, phase: str, findings: Sequence[Finding], now: float) -> Plan:
    verified = judgement.verified.status == "True"
    generation = seen.resource["metadata"].get("generation", 1)
    status = ModelVersionStatus(
        observed_generation=generation,
        phase=phase,
        verified_digest=seen.spec.artifact.sha256 if verified else None,
        signature=judgement.signature,
        summary=_summary(seen.spec, judgement),
        in_use_by=in_use_by(seen),
        verified_at=(seen.status.verified_at if seen.verified else timestamp(now)) if verified else None,
        conditions=conditions(seen.status.conditions, findings, now=now, generation=generation),
    )
    news = _news(seen.status, status)
    if not judgement.before and not news and status == seen.status:
        return Plan(requeue_after=judgement.look_again)
    return Plan(before=judgement.before, status=status.to_manifest(), notices=news, requeue_after=judgement.look_again)


def _summary(spec: ModelVersionSpec, judgement: Judgement) -> str:
    if judgement.verified.status == "False" and judgement.phase == "Invalid":
        return judgement.verified.reason
    return headline(spec.metrics) or f"{spec.artifact.format}, {spec.artifact.size_bytes} bytes"


def _news(before: ModelVersionStatus, after: ModelVersionStatus) -> tuple[Notice, ...]:
    was, ready = find(before.conditions, "Ready"), find(after.conditions, "Ready")
    if ready is None or (before.phase, was and was.reason) == (after.phase, ready.reason):
        return ()
    return (Notice("Normal" if ready.reason in _NORMAL else "Warning", ready.reason, ready.message),)


def troubled(status: ModelVersionStatus, ready: Finding, now: float, *, phase: str | None = None) -> Plan:
    """Ready is False for a reason outside the version; everything else stays as it was."""
    found = held_up(status.conditions, ready, now=now, generation=status.observed_generation)
    after = status.model_copy(update={"phase": phase or status.phase or "Verifying", "conditions": found})
    return Plan(status=after.to_manifest(), notices=_news(status, after))
