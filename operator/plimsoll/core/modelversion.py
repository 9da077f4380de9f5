"""The plan of one pass over a ModelVersion: verify, wait for an approval, say who serves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plimsoll import names
from plimsoll.api.common import Location, Resources, Signature
from plimsoll.api.modelversion import ModelVersionSpec, ModelVersionStatus
from plimsoll.core import jobs, versions
from plimsoll.core.conditions import Finding, conditions, find, shortened, timestamp
from plimsoll.core.jobs import Order
from plimsoll.core.outcome import Report, lost_message, report, sentence
from plimsoll.core.publishing import headline
from plimsoll.core.result import Refusal, Result
from plimsoll.core.run import Run, verify_document
from plimsoll.facts import Action, Delete, Manifest, Notice, Plan, Ref, Settings

_BACKOFF_LIMIT = 4
_DEADLINE = 1800
_NORMAL = ("Verifying", "PendingApproval", "Ready")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the cluster holds. `job` is the verify Job that this ModelVersion controls, `pods` are those of that Job."""

    resource: Manifest
    spec: ModelVersionSpec
    status: ModelVersionStatus
    run: Run
    job: Manifest | None
    pods: Sequence[Manifest]
    services: Sequence[Manifest]

    @property
    def name(self) -> str:
        return str(self.resource["metadata"]["name"])

    @property
    def verified(self) -> bool:
        """Whether an earlier pass verified it; the artifact of a ModelVersion cannot be edited."""
        return self.status.verified_digest == self.spec.artifact.sha256

    @property
    def job_name(self) -> str:
        return f"{self.name}-verify"


@dataclass(frozen=True, slots=True)
class Vouched:
    """`signed`: our signature holds and the file is in place. `result`: what the verify Job found."""

    signed: bool = False
    result: Result | Refusal | None = None


@dataclass(frozen=True, slots=True)
class _Judgement:
    phase: str
    verified: Finding
    before: tuple[Action, ...] = ()
    signature: Signature | None = None
    look_again: float | None = None


def plan(seen: Seen, vouched: Vouched, settings: Settings, now: float) -> Plan:
    """What this pass does. A ModelVersion at rest yields an empty plan."""
    judgement = _verify(seen, vouched, settings, now)
    if judgement.verified.status != "True":
        not_ready = Finding("Ready", "False", judgement.verified.reason, judgement.verified.message)
        return _written(seen, judgement, judgement.phase, (not_ready, judgement.verified), now)
    approved = _approval(seen)
    phase = {"True": "Ready", "Unknown": "PendingApproval", "False": "Rejected"}[approved.status]
    message = "The version may be served." if phase == "Ready" else approved.message
    ready = Finding("Ready", "True" if phase == "Ready" else "False", phase, message)
    findings = (ready, judgement.verified, approved)
    return _written(seen, judgement, phase, findings, now)


def report_of(seen: Seen, now: float) -> Report:
    """What became of the verify Job."""
    return report(seen.job, seen.pods, now)


def foreign(spec: ModelVersionSpec, namespace: str) -> str | None:
    """Why the artifact or its profile cannot be read by pods of this namespace; None when it can."""
    own = f"s3://{names.bucket(namespace)}/"
    files: tuple[tuple[str, Location | None], ...] = (("artifact", spec.artifact), ("profile", spec.profile))
    for field, location in files:
        if location is not None and not location.uri.startswith(own):
            where = (
                f"spec.{field}.uri is {shortened(location.uri, 200)}, but pods of namespace {namespace} read {own} only"
            )
            return f"{where}: copy the file there and create the ModelVersion again with that URI; its digest stays."
    return None


def manifest_key(spec: ModelVersionSpec, namespace: str) -> str | None:
    """Where publish leaves `manifest.json` beside the model; None for a file that it did not place."""
    folder = f"models/{spec.model}/sha256/{spec.artifact.sha256}"
    placed = spec.artifact.uri == f"s3://{names.bucket(namespace)}/{folder}/model.onnx"
    return f"{folder}/manifest.json" if placed else None


# --- verification -----------------------------------------------------------------------------------------------------


def _verify(seen: Seen, vouched: Vouched, settings: Settings, now: float) -> _Judgement:
    sha256 = seen.spec.artifact.sha256
    if seen.verified:
        was = find(seen.status.conditions, "Verified")
        reason, message = (
            (was.reason, was.message) if was and was.status == "True" else ("Verified", f"{sha256} was verified.")
        )
        return _Judgement("Ready", Finding("Verified", "True", reason, message), signature=seen.status.signature)
    problem = foreign(seen.spec, seen.run.namespace)
    if problem is not None:
        return _Judgement("Invalid", Finding("Verified", "False", "ForeignBucket", problem))
    if vouched.signed:
        signer = seen.spec.provenance.signed_by if seen.spec.provenance else "the operator"
        message = f"The digest is signed by {signer}, the key of this operator."
        return _Judgement("Ready", Finding("Verified", "True", "Signed", message), signature=seen.spec.signature)
    if isinstance(vouched.result, Refusal):
        return _invalid(seen, vouched.result.reason, vouched.result.message)
    if isinstance(vouched.result, Result):
        return _judged(seen, vouched.result)
    return _by_job(seen, report_of(seen, now), settings, now)


def _judged(seen: Seen, result: Result) -> _Judgement:
    sha256 = seen.spec.artifact.sha256
    if result.verdict != "Passed":
        message = sentence(result.reason or "verify gave no reason")
        return _Judgement(
            "Invalid", Finding("Verified", "False", "ModelRejected", f"The model was not accepted: {message}")
        )
    if result.artifact is None or result.artifact.sha256 != sha256:
        return _invalid(seen, "ResultMismatch", "The result of the verification is of another file.")
    message = f"Job {seen.job_name} read the file: its SHA-256 is {sha256[:12]}… and it can be served."
    return _Judgement("Ready", Finding("Verified", "True", "Verified", message), signature=result.signature)


def _by_job(seen: Seen, current: Report, settings: Settings, now: float) -> _Judgement:
    message = current.message or f"Job {seen.job_name} reads the file and checks its digest and its inputs and outputs."
    going_on = Finding("Verified", "False", current.reason or "Verifying", message)
    if current.state == "Absent":
        return _Judgement("Verifying", going_on, before=_start(seen, settings))
    if current.state == "Failed":
        return _invalid(seen, current.reason, current.message)
    if current.state != "Complete" or seen.job is None:
        return _Judgement("Verifying", going_on, look_again=current.look_again)
    if not lost_message(seen.job, now):
        return _Judgement("Verifying", going_on, look_again=2.0)
    meta = seen.job["metadata"]
    again = Delete(Ref("batch/v1", "Job", meta["namespace"], meta["name"]), meta["uid"])
    return _Judgement("Verifying", going_on, before=(again,), look_again=1.0)


def _invalid(seen: Seen, reason: str, message: str) -> _Judgement:
    again = f"kubectl delete job -n {seen.run.namespace} {seen.job_name}"
    return _Judgement("Invalid", Finding("Verified", "False", reason, f"{message} To verify again: {again}"))


def _start(seen: Seen, settings: Settings) -> tuple[Action, ...]:
    number = versions.number(seen.resource)
    labels = {names.LABEL_MODEL: seen.spec.model} | ({names.LABEL_VERSION: str(number)} if number else {})
    resources = Resources(cpu="500m", memory="1Gi")
    order = Order(seen.resource, seen.run, labels, settings, resources, _BACKOFF_LIMIT, _DEADLINE)
    run = verify_document(seen.run, seen.spec, settings.training_image)
    return (
        jobs.service_account(seen.run.namespace, "publish"),
        jobs.run_config_map(order, seen.job_name, "verify", run),
        jobs.verify_job(order, seen.job_name),
    )


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


def _written(seen: Seen, judgement: _Judgement, phase: str, findings: Sequence[Finding], now: float) -> Plan:
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


def _summary(spec: ModelVersionSpec, judgement: _Judgement) -> str:
    if judgement.verified.status == "False" and judgement.phase == "Invalid":
        return judgement.verified.reason
    return headline(spec.metrics) or f"{spec.artifact.format}, {spec.artifact.size_bytes} bytes"


def _news(before: ModelVersionStatus, after: ModelVersionStatus) -> tuple[Notice, ...]:
    was, ready = find(before.conditions, "Ready"), find(after.conditions, "Ready")
    if ready is None or (before.phase, was and was.reason) == (after.phase, ready.reason):
        return ()
    return (Notice("Normal" if ready.reason in _NORMAL else "Warning", ready.reason, ready.message),)


def troubled(status: ModelVersionStatus, finding: Finding, now: float, *, phase: str | None = None) -> Plan:
    """Ready is False for a reason outside the version; everything else stays as it was."""
    findings = [finding]
    if finding.reason == "StoreUnavailable":
        findings.append(Finding("StoreAvailable", "False", finding.reason, finding.message))
    given = {one.type for one in findings} | {"StoreAvailable"}
    kept = [
        Finding(one.type, one.status, one.reason, one.message) for one in status.conditions if one.type not in given
    ]
    changed = conditions(status.conditions, [*findings, *kept], now=now, generation=status.observed_generation)
    after = status.model_copy(update={"phase": phase or status.phase or "Verifying", "conditions": changed})
    return Plan(status=after.to_manifest(), notices=_news(status, after))
