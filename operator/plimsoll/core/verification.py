"""Whether the file of a ModelVersion is what it claims to be: by our signature, else by a verify Job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plimsoll import names
from plimsoll.api.common import Location, Resources, Signature
from plimsoll.api.modelversion import ModelVersionSpec, ModelVersionStatus
from plimsoll.core import jobs, versions
from plimsoll.core.conditions import Finding, find, shortened
from plimsoll.core.jobs import Order
from plimsoll.core.outcome import Report, lost_message, report
from plimsoll.core.pods import sentence
from plimsoll.core.result import Refusal, Result
from plimsoll.core.run import Run, verify_document
from plimsoll.facts import Action, Delete, Manifest, Ref, Settings

_BACKOFF_LIMIT = 4
_DEADLINE = 1800


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
class Judgement:
    """`phase` holds unless an approval is missing; `before` are the actions that verify; `look_again` is in seconds."""

    phase: str
    verified: Finding
    before: tuple[Action, ...] = ()
    signature: Signature | None = None
    look_again: float | None = None


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


def judge(seen: Seen, vouched: Vouched, settings: Settings, now: float) -> Judgement:
    """Verified once is verified for good: the artifact of a ModelVersion cannot be edited."""
    sha256 = seen.spec.artifact.sha256
    if seen.verified:
        was = find(seen.status.conditions, "Verified")
        reason, message = (
            (was.reason, was.message) if was and was.status == "True" else ("Verified", f"{sha256} was verified.")
        )
        return Judgement("Ready", Finding("Verified", "True", reason, message), signature=seen.status.signature)
    problem = foreign(seen.spec, seen.run.namespace)
    if problem is not None:
        return Judgement("Invalid", Finding("Verified", "False", "ForeignBucket", problem))
    if vouched.signed:
        signer = seen.spec.provenance.signed_by if seen.spec.provenance else "the operator"
        message = f"The digest is signed by {signer}, the key of this operator."
        return Judgement("Ready", Finding("Verified", "True", "Signed", message), signature=seen.spec.signature)
    if isinstance(vouched.result, Refusal):
        return _invalid(seen, vouched.result.reason, vouched.result.message)
    if isinstance(vouched.result, Result):
        return _judged(seen, vouched.result)
    return _by_job(seen, report_of(seen, now), settings, now)


def _judged(seen: Seen, result: Result) -> Judgement:
    sha256 = seen.spec.artifact.sha256
    if result.verdict != "Passed":
        message = sentence(result.reason or "verify gave no reason")
        again = (
            f"It cannot be edited: kubectl delete modelversion -n {seen.run.namespace} {seen.name}, and create it anew."
        )
        said = f"The model was not accepted: {message} {again}"
        return Judgement("Invalid", Finding("Verified", "False", "ModelRejected", said))
    if result.artifact is None or result.artifact.sha256 != sha256:
        return _invalid(seen, "ResultMismatch", "The result of the verification is of another file.")
    message = f"Job {seen.job_name} read the file: its SHA-256 is {sha256[:12]}… and it can be served."
    return Judgement("Ready", Finding("Verified", "True", "Verified", message), signature=result.signature)


def _by_job(seen: Seen, current: Report, settings: Settings, now: float) -> Judgement:
    message = current.message or f"Job {seen.job_name} reads the file and checks its digest and its inputs and outputs."
    going_on = Finding("Verified", "False", current.reason or "Verifying", message)
    if current.state == "Absent":
        return Judgement("Verifying", going_on, before=_start(seen, settings))
    if current.state == "Failed":
        return _invalid(seen, current.reason, current.message)
    if current.state != "Complete" or seen.job is None:
        return Judgement("Verifying", going_on, look_again=current.look_again)
    if not lost_message(seen.job, now):
        return Judgement("Verifying", going_on, look_again=2.0)
    meta = seen.job["metadata"]
    again = Delete(Ref("batch/v1", "Job", meta["namespace"], meta["name"]), meta["uid"])
    return Judgement("Verifying", going_on, before=(again,), look_again=1.0)


def _invalid(seen: Seen, reason: str, message: str) -> Judgement:
    again = f"kubectl delete job -n {seen.run.namespace} {seen.job_name}"
    return Judgement("Invalid", Finding("Verified", "False", reason, f"{message} To verify again: {again}"))


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
