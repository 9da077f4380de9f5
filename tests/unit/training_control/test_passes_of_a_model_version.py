"""Whole passes over a ModelVersion against a world in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plimsoll.converge.modelversion import reconcile
from plimsoll.converge.ports import Conflict, Unavailable
from plimsoll.facts import Ref

from tests.builders import training as t
from tests.builders.world import Crash, FakeSigner, FakeWorld

JOB = "digits-v1-verify"
FOLDER = f"models/digits/sha256/{t.DIGEST}"


class Story:
    """A ModelVersion in a world, and what a reader of its status sees."""

    def __init__(self, *modifiers: t.Modifier, world: FakeWorld | None = None) -> None:
        self.world = world or FakeWorld()
        self.ref = self.world.cluster.add(t.model_version(*modifiers))

    async def converge(self, passes: int = 6) -> float | None:
        for _ in range(passes):
            written = len(self.world.writes)
            again = await reconcile(self.world.ports, self.ref)
            if len(self.world.writes) == written:
                return again
        raise AssertionError(f"writes without end: {self.world.writes[-6:]}")

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.world.cluster.read(self.ref)["status"]
        return status

    def said(self, type_: str = "Ready") -> tuple[str, str, str]:
        one = next(one for one in self.status["conditions"] if one["type"] == type_)
        return one["status"], one["reason"], one["message"]

    async def verify(self, *modifiers: t.Modifier) -> None:
        """The verify Job runs to its end."""
        await self.converge()
        complete_verify(self.world, *modifiers)
        await self.converge()


def complete_verify(world: FakeWorld, *modifiers: t.Modifier) -> None:
    run = json.loads(world.cluster.read(Ref("v1", "ConfigMap", t.NAMESPACE, JOB))["data"]["run.json"])
    document = t.result(run["run"]["hash"], *modifiers) | {"metrics": {}, "gates": [], "profile": None}
    t.complete_publish(world, JOB, document, run["resultKey"])


def signed(signer: FakeSigner) -> t.Modifier:
    return t.with_spec(provenance=dict(signer.sign(t.DIGEST)), signature=t.SIGNATURE)


def in_place(world: FakeWorld) -> FakeWorld:
    world.store.objects[t.NAMESPACE, f"{FOLDER}/manifest.json"] = b"{}"
    return world


# --- verification -----------------------------------------------------------------------------------------------------


async def test_a_version_that_we_published_is_ready_without_a_job() -> None:
    world = in_place(FakeWorld())
    story = Story(signed(world.signer), t.with_spec(metrics={"accuracy": 0.97111}), world=world)
    assert await story.converge() is None
    assert story.status["phase"] == "Ready"
    assert story.status["verifiedDigest"] == t.DIGEST
    assert story.status["signature"] == t.SIGNATURE
    assert story.status["summary"] == "accuracy 0.9711"
    assert story.said("Verified")[:2] == ("True", "Signed")
    assert story.said() == ("True", "Ready", "The version may be served.")
    assert world.cluster.all("Job") == []


async def test_our_signature_without_the_file_is_verified_by_a_job() -> None:
    world = FakeWorld()
    story = Story(signed(world.signer), world=world)
    await story.converge()
    assert story.status["phase"] == "Verifying"
    assert [job["metadata"]["name"] for job in world.cluster.all("Job")] == [JOB]


async def test_a_signature_of_another_key_is_verified_by_a_job() -> None:
    story = Story(signed(FakeSigner("stranger")), world=in_place(FakeWorld()))
    await story.verify()
    assert story.said("Verified")[:2] == ("True", "Verified")


async def test_a_version_that_a_user_made_is_verified_and_ready() -> None:
    story = Story()
    await story.verify()
    assert story.status["phase"] == "Ready"
    assert story.status["signature"] == t.SIGNATURE
    assert story.status["verifiedAt"] == "2026-11-22T12:00:00Z"
    job = story.world.cluster.all("Job")[0]
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["verify"]
    assert job["metadata"]["ownerReferences"][0]["name"] == "digits-v1"
    assert story.world.store.ensured == [t.NAMESPACE]


async def test_a_rejected_artifact_is_invalid_with_the_reason() -> None:
    story = Story()
    await story.verify(t.rejected)
    assert story.status["phase"] == "Invalid"
    assert story.said("Verified") == (
        "False",
        "ModelRejected",
        "The model was not accepted: the graph has external data. It cannot be edited: "
        "kubectl delete modelversion -n demo digits-v1, and create it anew.",
    )
    assert "verifiedDigest" not in story.status
    assert story.status["summary"] == "ModelRejected"


async def test_a_verification_of_another_file_is_not_believed() -> None:
    story = Story()
    await story.converge()
    run = json.loads(story.world.cluster.read(Ref("v1", "ConfigMap", t.NAMESPACE, JOB))["data"]["run.json"])
    t.complete_publish(story.world, JOB, t.result(run["run"]["hash"], digest=t.OTHER_DIGEST), run["resultKey"])
    await story.converge()
    assert (story.status["phase"], story.said("Verified")[1]) == ("Invalid", "ResultMismatch")


async def test_a_verification_that_broke_down_can_be_repeated_by_deleting_its_job() -> None:
    story = Story()
    await story.converge()
    t.add_pod(story.world, JOB, "Failed", t.terminated("publish", 1, "store: 503"))
    t.end_job(story.world, JOB, "Failed", "BackoffLimitExceeded")
    await story.converge()
    assert story.status["phase"] == "Invalid"
    assert story.said()[2].endswith(f"To verify again: kubectl delete job -n demo {JOB}")
    story.world.cluster.remove(t.job_ref(JOB))
    await story.verify()
    assert story.status["phase"] == "Ready"


async def test_a_verified_version_stays_verified_when_its_job_is_gone() -> None:
    story = Story()
    await story.verify()
    story.world.cluster.remove(t.job_ref(JOB))
    written = len(story.world.effects)
    story.world.tick(86400)
    await story.converge()
    assert len(story.world.effects) == written
    assert story.world.cluster.all("Job") == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("artifact", {"uri": "s3://elsewhere/model.onnx", "sha256": t.DIGEST, "sizeBytes": 1, "format": "onnx"}),
        ("profile", {"uri": "s3://plimsoll-demo2/profile.json", "sha256": t.DIGEST}),
    ],
)
async def test_a_file_in_a_foreign_bucket_cannot_be_served(field: str, value: dict[str, Any]) -> None:
    story = Story(t.with_spec(**{field: value}))
    await story.converge()
    message = (
        f"spec.{field}.uri is {value['uri']}, but pods of namespace demo read s3://plimsoll-demo/ only: copy the file "
        "there and create the ModelVersion again with that URI; its digest stays."
    )
    assert story.status["phase"] == "Invalid"
    assert story.said() == ("False", "ForeignBucket", message)
    assert story.world.cluster.all("Job") == []


async def test_a_verification_waits_for_the_store_and_says_since_when() -> None:
    world = FakeWorld()
    world.store.down = "connection refused"
    story = Story(signed(world.signer), world=world)
    with pytest.raises(Unavailable):
        await reconcile(world.ports, story.ref)
    assert story.said()[1] == "StoreUnavailable"
    world.store.down = None
    in_place(world)
    await story.converge()
    assert story.status["phase"] == "Ready"
    assert [one["type"] for one in story.status["conditions"]] == ["Ready", "Verified", "Approved"]


# --- approval ---------------------------------------------------------------------------------------------------------


async def test_a_version_waits_for_a_person_and_says_how_to_approve_it() -> None:
    world = in_place(FakeWorld())
    story = Story(signed(world.signer), t.with_spec(requireApproval=True), world=world)
    await story.converge()
    assert story.status["phase"] == "PendingApproval"
    status, reason, message = story.said("Approved")
    assert (status, reason) == ("Unknown", "PendingApproval")
    assert message.startswith("A person has to approve this version: kubectl patch modelversion digits-v1 -n demo")
    patch = message.split(" -p ")[1].strip("'")
    assert json.loads(patch)["spec"]["approval"]["decision"] == "Approved"


@pytest.mark.parametrize(
    ("approval", "phase", "condition"),
    [
        ({"decision": "Approved", "by": "ada"}, "Ready", ("True", "Approved", "ada approved it.")),
        (
            {"decision": "Rejected", "by": "ada", "reason": "biased"},
            "Rejected",
            ("False", "Rejected", "ada rejected it: biased."),
        ),
    ],
    ids=["approved", "rejected"],
)
@pytest.mark.parametrize("required", [True, False])
async def test_a_persons_decision_counts(
    approval: dict[str, str], phase: str, condition: tuple[str, str, str], required: bool
) -> None:
    world = in_place(FakeWorld())
    story = Story(signed(world.signer), t.with_spec(requireApproval=required, approval=approval), world=world)
    await story.converge()
    assert story.status["phase"] == phase
    assert story.said("Approved") == condition


async def test_an_unverified_version_is_not_ready_whoever_approved_it() -> None:
    story = Story(t.with_spec(approval={"decision": "Approved", "by": "ada"}))
    await story.converge()
    assert story.status["phase"] == "Verifying"
    assert story.said()[0] == "False"


# --- use --------------------------------------------------------------------------------------------------------------


def revision(version: str = "1", digest: str | None = t.DIGEST) -> dict[str, Any]:
    return {"revision": "digits-0a1b2c3d", "version": version} | ({"digest": digest} if digest else {})


@pytest.mark.parametrize("role", ["stable", "candidate", "lastProven"])
async def test_a_version_names_the_services_that_use_it(role: str) -> None:
    world = in_place(FakeWorld())
    world.cluster.add(t.inference_service(t.with_status(**{role: revision()}), name="web"))
    world.cluster.add(t.inference_service(t.with_status(**{role: revision()}), name="batch"))
    story = Story(signed(world.signer), world=world)
    await story.converge()
    assert story.status["inUseBy"] == ["batch", "web"]


@pytest.mark.parametrize(
    ("service", "used"),
    [
        (t.inference_service(t.with_status(stable=revision("2"))), False),
        (t.inference_service(t.with_status(stable=revision(digest=None))), True),
        (t.inference_service(t.with_status(stable=revision(digest=None)), model="letters"), False),
        (t.inference_service(t.with_status(stable=revision()), model="letters"), True),
        (t.inference_service(t.with_status(stable=revision(digest=t.OTHER_DIGEST))), False),
        (t.inference_service(), False),
    ],
    ids=["other number", "no digest", "other model", "model was changed since", "other digest", "serves nothing"],
)
async def test_use_is_told_by_number_and_digest(service: dict[str, Any], used: bool) -> None:
    world = in_place(FakeWorld())
    world.cluster.add(service)
    story = Story(signed(world.signer), world=world)
    await story.converge()
    assert bool(story.status["inUseBy"]) is used


async def test_a_busy_service_causes_no_writes_to_its_version() -> None:
    world = in_place(FakeWorld())
    service = world.cluster.add(t.inference_service(t.with_status(stable=revision())))
    story = Story(signed(world.signer), world=world)
    await story.converge()
    written = len(world.effects)
    for weight in range(1, 20):
        world.cluster.edit(service, t.with_status(weight=weight), spec=False)
        world.tick(10)
        assert await reconcile(world.ports, story.ref) is None
    assert len(world.effects) == written


# --- interruptions ----------------------------------------------------------------------------------------------------


async def _play(story: Story) -> None:
    for _ in range(30):
        try:
            await reconcile(story.world.ports, story.ref)
        except (Crash, Unavailable, Conflict):
            continue
        if any(not job.get("status") for job in story.world.cluster.all("Job")):
            complete_verify(story.world)
        if story.world.cluster.read(story.ref).get("status", {}).get("phase") == "Ready":
            return
    raise AssertionError("it never was ready")


@pytest.mark.parametrize("fault", ["crash_after", "lose", "drop_answer"])
async def test_a_fault_at_any_effect_ends_in_the_same_state(fault: str) -> None:
    undisturbed = Story()
    await undisturbed.verify()
    effects = len(undisturbed.world.effects)
    assert effects >= 7
    for k in range(1, effects + 1):
        story = Story()
        getattr(story.world, fault)(k)
        await _play(story)
        assert story.world.state() == undisturbed.world.state(), f"{fault} at effect {k}"
