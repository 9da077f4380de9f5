"""Whole passes over a TrainingJob against a world in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from plimsoll.converge.ports import Conflict, Refused, Unavailable
from plimsoll.converge.trainingjob import reconcile
from plimsoll.facts import Ref

from tests.builders import training as t
from tests.builders.world import Crash, FakeWorld

Edit = Callable[[dict[str, Any]], None]


class Story:
    """A TrainingJob in a world, and what a reader of its status sees."""

    def __init__(self, *modifiers: t.Modifier, world: FakeWorld | None = None, name: str = "digits") -> None:
        self.world = world or FakeWorld()
        self.ref = self.world.cluster.add(t.training_job(*modifiers, name=name))

    async def converge(self, passes: int = 8) -> float | None:
        """Passes until nothing is written any more; what the last one returned."""
        for _ in range(passes):
            written = len(self.world.writes)
            again = await reconcile(self.world.ports, self.ref)
            if len(self.world.writes) == written:
                return again
        raise AssertionError(f"writes without end: {self.world.effects[-6:]}")

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.world.cluster.read(self.ref)["status"]
        return status

    @property
    def run(self) -> str:
        return str(self.status["run"])

    def job(self, component: str) -> str:
        return f"{self.ref.name}-{self.run[:8]}-{component}"

    def said(self, type_: str = "Ready") -> tuple[str, str, str]:
        one = next(one for one in self.status["conditions"] if one["type"] == type_)
        return one["status"], one["reason"], one["message"]

    def types(self) -> list[str]:
        return [one["type"] for one in self.status["conditions"]]

    def jobs(self) -> list[str]:
        return [job["metadata"]["name"] for job in self.world.cluster.all("Job")]

    def edit(self, **spec: Any) -> None:
        self.world.cluster.edit(self.ref, t.with_spec(**spec))

    async def train(self) -> None:
        await self.converge()
        t.complete_train(self.world, self.job("train"))

    async def publish(self, *modifiers: t.Modifier, digest: str = t.DIGEST) -> None:
        await self.train()
        await self.converge()
        document = t.result(self.run, *modifiers, digest=digest)
        t.complete_publish(self.world, self.job("publish"), document, f"runs/{self.run}/result.json")

    async def finish(self, *modifiers: t.Modifier, digest: str = t.DIGEST) -> None:
        await self.publish(*modifiers, digest=digest)
        await self.converge()


# --- the way through --------------------------------------------------------------------------------------------------


async def test_a_training_job_ends_as_a_signed_version() -> None:
    story = Story()
    await story.finish()
    status = story.status
    assert (status["phase"], status["modelVersion"], status["digest"]) == ("Succeeded", "digits-v1", t.DIGEST)
    assert status["summary"] == "accuracy 0.9711 (min 0.9)"
    assert status["observedGeneration"] == 1
    assert story.said() == ("True", "Succeeded", "ModelVersion digits-v1 holds the model; accuracy 0.9711 (min 0.9).")
    assert story.said("GatesPassed") == ("True", "GatesPassed", "1 of 1 gates passed: accuracy 0.9711 (min 0.9).")
    assert story.types() == ["Ready", "Trained", "GatesPassed", "Published"]


async def test_the_version_carries_its_lineage_and_our_signature_and_is_owned_by_nobody() -> None:
    story = Story(t.with_spec(approval="Manual"))
    await story.finish()
    version = story.world.cluster.read(Ref("plimsoll.dev/v1alpha1", "ModelVersion", t.NAMESPACE, "digits-v1"))
    spec = version["spec"]
    assert "ownerReferences" not in version["metadata"]
    assert version["metadata"]["labels"]["plimsoll.dev/version"] == "1"
    assert spec["provenance"] == dict(story.world.signer.sign(t.DIGEST))
    assert spec["lineage"]["run"] == story.run
    assert spec["lineage"]["parameters"] == {"estimator": "LogisticRegression", "C": 0.1}
    assert spec["requireApproval"] is True
    assert spec["signature"] == t.SIGNATURE


async def test_the_bucket_is_there_before_the_first_pod() -> None:
    story = Story()
    await reconcile(story.world.ports, story.ref)
    assert story.world.store.ensured == [t.NAMESPACE]
    created = [effect.target.split()[0] for effect in story.world.effects if effect.verb == "create"]
    assert created == ["ServiceAccount", "ConfigMap", "Job"]
    assert story.status["phase"] == "Training"


async def test_an_ended_training_job_is_at_rest() -> None:
    story = Story()
    await story.finish()
    before, reads = len(story.world.effects), len(story.world.store.reads)
    story.world.tick(86400)
    assert await reconcile(story.world.ports, story.ref) is None
    assert len(story.world.effects) == before
    assert len(story.world.store.reads) == reads


async def test_a_training_job_that_waits_for_its_pods_writes_nothing() -> None:
    story = Story()
    await story.converge()
    t.add_pod(story.world, story.job("train"), "Running")
    before = len(story.world.effects)
    story.world.tick(600)
    assert await reconcile(story.world.ports, story.ref) is None
    assert len(story.world.effects) == before


async def test_deleting_the_training_job_leaves_the_version() -> None:
    story = Story()
    await story.finish()
    story.world.cluster.remove(story.ref)
    assert [one["metadata"]["name"] for one in story.world.cluster.all("ModelVersion")] == ["digits-v1"]
    assert story.jobs() == []
    assert await reconcile(story.world.ports, story.ref) is None


async def test_a_version_deleted_on_purpose_is_not_made_again() -> None:
    story = Story()
    await story.finish()
    story.world.cluster.remove(Ref("plimsoll.dev/v1alpha1", "ModelVersion", t.NAMESPACE, "digits-v1"))
    await story.converge()
    assert story.world.cluster.all("ModelVersion") == []


# --- verdicts ---------------------------------------------------------------------------------------------------------


async def test_failed_gates_say_what_was_measured_and_what_was_asked() -> None:
    story = Story()
    await story.finish(t.gates_failed)
    assert story.status["phase"] == "GatesFailed"
    assert story.status["summary"] == "accuracy 0.8711 (min 0.9)"
    expected = "1 of 1 gates failed: accuracy 0.8711 < required 0.9. Change the data, the trainer or spec.gates."
    assert story.said() == ("False", "GatesFailed", expected)
    assert story.said("Published")[:2] == ("False", "GatesFailed")
    assert story.world.cluster.all("ModelVersion") == []


async def test_a_rejected_model_fails_with_the_reason_that_publish_gave() -> None:
    story = Story()
    await story.finish(t.rejected)
    assert story.status["phase"] == "Failed"
    assert story.said() == ("False", "ModelRejected", "The model was not accepted: the graph has external data.")


async def test_a_result_that_was_changed_in_the_store_is_not_believed() -> None:
    story = Story()
    await story.publish()
    key = (t.NAMESPACE, f"runs/{story.run}/result.json")
    forged = t.result(story.run) | {"metrics": {"accuracy": 1.0}}
    story.world.store.objects[key] = t.body_of(forged)
    await story.converge()
    assert story.status["phase"] == "Failed"
    assert story.said()[1] == "ResultMismatch"
    assert "was reported" in story.said()[2] and "rerunToken" in story.said()[2]
    assert story.world.cluster.all("ModelVersion") == []


async def test_a_message_from_another_pod_is_not_read() -> None:
    story = Story()
    await story.train()
    await story.converge()
    document = t.result(story.run)
    key = f"runs/{story.run}/result.json"
    story.world.store.objects[t.NAMESPACE, key] = t.body_of(document)
    t.add_pod(story.world, story.job("train"), "Succeeded", t.terminated("publish", 0, t.message_of(document)))
    t.end_job(story.world, story.job("publish"))
    await story.converge()
    assert story.status["phase"] == "Publishing"
    assert story.world.cluster.all("ModelVersion") == []


async def test_a_publish_whose_pod_is_lost_is_repeated_alone() -> None:
    story = Story()
    await story.train()
    await story.converge()
    first = story.world.cluster.read(t.job_ref(story.job("publish")))["metadata"]["uid"]
    t.end_job(story.world, story.job("publish"))
    assert await story.converge() == 2.0
    story.world.tick(20)
    await story.converge()
    second = story.world.cluster.read(t.job_ref(story.job("publish")))["metadata"]["uid"]
    assert first != second
    t.complete_publish(story.world, story.job("publish"), t.result(story.run), f"runs/{story.run}/result.json")
    await story.converge()
    assert story.status["phase"] == "Succeeded"


# --- identity ---------------------------------------------------------------------------------------------------------


async def test_an_edit_of_the_inputs_cancels_the_run_and_starts_another() -> None:
    story = Story()
    await story.converge()
    old = story.run
    story.edit(seed=8)
    await story.converge()
    assert story.run != old
    assert story.jobs() == [story.job("train")]
    assert all(old[:8] not in one["metadata"]["name"] for one in story.world.cluster.all("ConfigMap"))
    assert story.status["observedGeneration"] == 2


async def test_a_training_job_made_again_adopts_the_earlier_result_without_a_pod() -> None:
    story = Story()
    await story.finish()
    story.world.cluster.remove(story.ref)
    again = Story(world=story.world)
    await again.converge()
    assert again.status["phase"] == "Succeeded"
    assert again.jobs() == []
    assert again.said("Trained")[1] == "Adopted"
    assert again.status["modelVersion"] == "digits-v1"


async def test_a_result_that_the_operator_never_accepted_is_not_adopted() -> None:
    story = Story()
    await story.converge()
    run = story.run
    story.world.cluster.remove(story.ref)
    story.world.store.objects[t.NAMESPACE, f"runs/{run}/result.json"] = t.body_of(t.result(run))
    again = Story(world=story.world)
    await again.converge()
    assert again.status["phase"] == "Training"


async def test_an_acceptance_from_another_namespace_is_not_adopted() -> None:
    story = Story()
    await story.finish()
    for (namespace, key), body in list(story.world.store.objects.items()):
        if key.startswith("runs/"):
            story.world.store.objects["other", key] = body
            assert namespace == t.NAMESPACE
    elsewhere = Story(lambda manifest: manifest["metadata"].update(namespace="other"), world=story.world)
    await elsewhere.converge()
    assert elsewhere.status["phase"] == "Training"


async def test_a_rerun_token_runs_again_and_the_same_model_keeps_its_version() -> None:
    story = Story()
    await story.finish()
    story.edit(rerunToken="again")
    await story.finish()
    assert story.status["modelVersion"] == "digits-v1"
    message = "The model is byte for byte that of digits-v1: no further version was made."
    assert story.said("Published") == ("True", "AlreadyPublished", message)


async def test_an_operator_upgrade_runs_nothing_again() -> None:
    story = Story()
    await story.finish()
    before = len(story.world.effects)
    story.world.upgraded(training_image="plimsoll-training:next")
    await story.converge()
    assert len(story.world.effects) == before


async def test_an_operator_upgrade_leaves_a_running_job_alone() -> None:
    story = Story()
    await story.converge()
    before = len(story.world.effects)
    story.world.upgraded(training_image="plimsoll-training:next")
    await story.converge()
    assert len(story.world.effects) == before


async def test_an_edit_that_decides_nothing_is_only_observed_after_the_end() -> None:
    story = Story()
    await story.finish()
    effects = len(story.world.effects)
    story.edit(resources={"cpu": "1", "memory": "1Gi"})
    await story.converge()
    assert [effect.verb for effect in story.world.effects[effects:]] == ["status"]
    assert story.status["observedGeneration"] == 2
    assert story.status["phase"] == "Succeeded"


# --- numbers ----------------------------------------------------------------------------------------------------------


async def test_numbers_rise_and_are_never_used_again() -> None:
    story = Story()
    await story.finish()
    story.world.cluster.remove(Ref("plimsoll.dev/v1alpha1", "ModelVersion", t.NAMESPACE, "digits-v1"))
    story.edit(seed=8)
    await story.finish(digest=t.OTHER_DIGEST)
    assert story.status["modelVersion"] == "digits-v2"


async def test_a_new_version_comes_after_one_that_a_user_brought_along() -> None:
    story = Story()
    story.world.cluster.add(t.model_version(t.with_spec(artifact=_artifact(t.OTHER_DIGEST)), name="digits-v7"))
    await story.finish()
    assert story.status["modelVersion"] == "digits-v8"


async def test_a_number_that_another_run_took_in_the_meantime_is_passed_over() -> None:
    story = Story()
    story.world.store.objects[t.NAMESPACE, "models/digits/numbers/1"] = json.dumps({"digest": t.OTHER_DIGEST}).encode()
    await story.finish()
    assert story.status["modelVersion"] == "digits-v2"


async def test_a_claim_of_an_interrupted_run_is_found_again_below_later_versions() -> None:
    story = Story()
    story.world.store.objects[t.NAMESPACE, "models/digits/numbers/1"] = json.dumps({"digest": t.DIGEST}).encode()
    story.world.cluster.add(t.model_version(t.with_spec(artifact=_artifact(t.OTHER_DIGEST)), name="digits-v2"))
    await story.finish()
    assert story.status["modelVersion"] == "digits-v1"


async def test_a_name_that_a_user_took_after_the_claim_is_passed_over() -> None:
    story = Story()
    await story.publish()
    await reconcile(story.world.ports, story.ref)
    story.world.cluster.add(t.model_version(t.with_spec(artifact=_artifact(t.OTHER_DIGEST)), name="digits-v1"))
    await story.converge()
    assert story.status["modelVersion"] == "digits-v2"


def _artifact(digest: str) -> dict[str, Any]:
    uri = f"s3://plimsoll-{t.NAMESPACE}/models/digits/sha256/{digest}/model.onnx"
    return {"uri": uri, "sha256": digest, "sizeBytes": 12345, "format": "onnx"}


# --- champions --------------------------------------------------------------------------------------------------------


def _publish_document(story: Story) -> dict[str, Any]:
    name = story.job("publish")
    config_map = story.world.cluster.read(Ref("v1", "ConfigMap", t.NAMESPACE, name))
    document: dict[str, Any] = json.loads(config_map["data"]["run.json"])
    return document


async def test_publish_is_told_the_champion_and_training_is_not() -> None:
    story = Story(t.comparing())
    story.world.cluster.add(t.model_version(t.with_spec(artifact=_artifact(t.OTHER_DIGEST)), name="digits-v3"))
    stable = {"revision": "digits-0a1b2c3d", "version": "3", "digest": t.OTHER_DIGEST}
    story.world.cluster.add(t.inference_service(t.with_status(stable=stable)))
    await story.train()
    await story.converge()
    assert _publish_document(story)["champions"]["digits"]["sha256"] == t.OTHER_DIGEST
    train = story.world.cluster.read(Ref("v1", "ConfigMap", t.NAMESPACE, f"digits-{story.run[:8]}"))
    assert json.loads(train["data"]["run.json"])["champions"] == {}


async def test_a_service_without_a_stable_version_is_no_champion_yet() -> None:
    story = Story(t.comparing())
    story.world.cluster.add(t.inference_service())
    await story.train()
    await story.converge()
    assert _publish_document(story)["champions"] == {"digits": None}


async def test_a_missing_champion_holds_publishing_until_it_is_there() -> None:
    story = Story(t.comparing())
    await story.train()
    assert await story.converge() == 30.0
    message = "A gate compares with InferenceService digits, which does not exist: create it or remove comparedTo."
    assert story.said() == ("False", "ChampionNotFound", message)
    story.world.cluster.add(t.inference_service())
    await story.converge()
    assert story.jobs() == [story.job("publish"), story.job("train")]


# --- suspension -------------------------------------------------------------------------------------------------------


async def test_a_suspended_training_job_makes_no_workload() -> None:
    story = Story(t.with_spec(suspend=True))
    await story.converge()
    assert story.status["phase"] == "Suspended"
    assert story.jobs() == []


async def test_suspension_stops_a_running_job_and_resumes_it() -> None:
    story = Story()
    await story.converge()
    story.edit(suspend=True)
    await story.converge()
    assert story.status["phase"] == "Suspended"
    assert story.world.cluster.read(t.job_ref(story.job("train")))["spec"]["suspend"] is True
    story.edit(suspend=False)
    await story.converge()
    assert story.status["phase"] == "Training"
    assert story.world.cluster.read(t.job_ref(story.job("train")))["spec"]["suspend"] is False


async def test_a_training_job_suspended_between_its_workloads_does_not_publish() -> None:
    story = Story()
    await story.train()
    story.edit(suspend=True)
    await story.converge()
    assert story.jobs() == [story.job("train")]
    assert story.said("Trained")[0] == "True"


# --- failures ---------------------------------------------------------------------------------------------------------


async def test_a_users_mistake_is_not_repeated_until_the_spec_changes() -> None:
    story = Story()
    await story.converge()
    error = json.dumps({"error": {"reason": "InvalidParameters", "message": "C must be positive"}})
    t.add_pod(story.world, story.job("train"), "Failed", t.terminated("train", 2, error))
    t.end_job(story.world, story.job("train"), "Failed", "PodFailurePolicy")
    await story.converge()
    assert (story.status["phase"], *story.said()) == (
        "Failed",
        "False",
        "InvalidParameters",
        "train: C must be positive.",
    )
    first = story.world.cluster.read(t.job_ref(story.job("train")))["metadata"]["uid"]
    story.world.tick(86400)
    assert await story.converge() is None
    story.edit(resources={"cpu": "1", "memory": "1Gi"})
    await story.converge()
    assert story.status["phase"] == "Training"
    assert story.world.cluster.read(t.job_ref(story.job("train")))["metadata"]["uid"] != first


async def test_a_failed_publish_is_repeated_without_training_again() -> None:
    story = Story()
    await story.train()
    await story.converge()
    trained = story.world.cluster.read(t.job_ref(story.job("train")))["metadata"]["uid"]
    t.add_pod(story.world, story.job("publish"), "Failed", t.terminated("publish", 1, "out of luck"))
    t.end_job(story.world, story.job("publish"), "Failed", "BackoffLimitExceeded")
    await story.converge()
    assert story.said("Trained")[0] == "True"
    assert story.said("Published")[:2] == ("False", "ContainerFailed")
    story.edit(backoffLimit=4)
    await story.converge()
    assert story.status["phase"] == "Publishing"
    assert story.world.cluster.read(t.job_ref(story.job("train")))["metadata"]["uid"] == trained


async def test_a_failed_job_that_the_cache_still_shows_is_not_judged_twice() -> None:
    story = Story()
    await story.converge()
    t.add_pod(story.world, story.job("train"), "Failed", t.terminated("train", 1))
    t.end_job(story.world, story.job("train"), "Failed", "BackoffLimitExceeded")
    await story.converge()
    story.edit(backoffLimit=4)
    story.world.cluster.hold_cache()
    for _ in range(3):
        await reconcile(story.world.ports, story.ref)
    assert story.status["phase"] == "Pending"
    story.world.cluster.catch_up()
    await story.converge()
    assert story.status["phase"] == "Training"


async def test_a_deadline_that_passed_while_waiting_says_what_was_waited_for() -> None:
    story = Story(t.with_container("example.org/absent:1"), t.with_spec(activeDeadlineSeconds=60))
    await story.converge()
    t.add_pod(story.world, story.job("train"), "Pending", t.waiting("train", "ErrImagePull", "no such host"))
    await story.converge()
    waited = story.said()
    assert waited[1] == "ImagePullBackOff"
    for pod in story.world.cluster.all("Pod"):
        story.world.cluster.remove(Ref.of(pod))
    t.end_job(story.world, story.job("train"), "Failed", "DeadlineExceeded")
    await story.converge()
    assert story.status["phase"] == "Failed"
    assert story.said()[1] == "ImagePullBackOff"
    assert story.said()[2].endswith(f"Before that: {waited[2]}")


async def test_a_store_that_does_not_answer_says_since_when_and_is_tried_again() -> None:
    story = Story()
    story.world.store.down = "connection refused"
    with pytest.raises(Unavailable):
        await reconcile(story.world.ports, story.ref)
    first = next(one for one in story.status["conditions"] if one["type"] == "StoreAvailable")
    assert first["lastTransitionTime"] == "2026-11-22T12:00:00Z"
    expected = "The artifact store does not answer: connection refused. It is tried again."
    assert story.said() == ("False", "StoreUnavailable", expected)
    written = len(story.world.effects)
    story.world.tick(300)
    with pytest.raises(Unavailable):
        await reconcile(story.world.ports, story.ref)
    assert len(story.world.effects) == written
    story.world.store.down = None
    await story.converge()
    assert story.status["phase"] == "Training"
    assert "StoreAvailable" not in story.types()


async def test_a_job_of_the_same_name_is_left_alone() -> None:
    story = Story()
    await story.converge()
    name = story.job("train")
    story.world.cluster.remove(t.job_ref(name))
    story.world.cluster.add(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": t.NAMESPACE}, "spec": {}}
    )
    assert await story.converge(passes=3) == 60.0
    message = f"Job {name} exists and is not controlled by this object: rename one of them."
    assert story.said() == ("False", "NameConflict", message)


async def test_a_refusal_by_the_api_server_is_shown() -> None:
    story = Story()
    story.world.cluster.refuse("Job", Refused(t.job_ref("digits-train"), "exceeded quota: count/jobs.batch=0"))
    assert await reconcile(story.world.ports, story.ref) == 60.0
    assert story.said()[1] == "Refused"
    assert "exceeded quota: count/jobs.batch=0" in story.said()[2]


async def test_a_spec_that_cannot_be_read_names_the_field() -> None:
    story = Story(t.with_spec(trainer={"sklearn": {"estimator": "Oracle"}}))
    assert await reconcile(story.world.ports, story.ref) is None
    assert story.status["phase"] == "Failed"
    assert story.said()[1] == "InvalidSpec"
    assert story.said()[2].startswith("spec.trainer.sklearn.estimator")


async def test_each_transition_is_told_once() -> None:
    story = Story()
    await story.finish()
    told = [notice.reason for _, notice in story.world.cluster.notices]
    assert told == ["Training", "Publishing", "Succeeded"]


# --- interruptions ----------------------------------------------------------------------------------------------------


async def _undisturbed() -> tuple[dict[str, Any], int]:
    story = Story()
    await story.finish()
    return story.world.state(), len(story.world.effects)


async def _play(story: Story) -> None:
    """The whole run as controllers drive it, whatever state the operator is in."""
    for _ in range(40):
        try:
            await reconcile(story.world.ports, story.ref)
        except (Crash, Unavailable, Conflict):
            continue
        for job in story.world.cluster.all("Job"):
            name = job["metadata"]["name"]
            if job.get("status"):
                continue
            if name.endswith("-train"):
                t.complete_train(story.world, name)
            else:
                run = job["metadata"]["annotations"]["plimsoll.dev/run"]
                t.complete_publish(story.world, name, t.result(run), f"runs/{run}/result.json")
        if story.world.cluster.read(story.ref).get("status", {}).get("phase") == "Succeeded":
            return
    raise AssertionError("it never succeeded")


@pytest.mark.parametrize("fault", ["crash_after", "lose", "drop_answer"])
async def test_a_fault_at_any_effect_ends_in_the_same_state(fault: str) -> None:
    expected, effects = await _undisturbed()
    assert effects > 12
    for k in range(1, effects + 1):
        story = Story()
        getattr(story.world, fault)(k)
        await _play(story)
        assert story.world.state() == expected, f"{fault} at effect {k}"


async def test_two_interrupted_runs_leave_neither_gaps_nor_duplicates() -> None:
    world = FakeWorld()
    for n, digest in ((1, t.DIGEST), (2, t.OTHER_DIGEST)):
        story = Story(t.with_spec(seed=n), world=world, name=f"digits-{n}")
        await story.publish(digest=digest)
        world.crash_after(2)
        with pytest.raises(Crash):
            await story.converge()
    for n in (1, 2):
        ref = Ref("plimsoll.dev/v1alpha1", "TrainingJob", t.NAMESPACE, f"digits-{n}")
        for _ in range(5):
            await reconcile(world.ports, ref)
    versions = [one["metadata"]["name"] for one in world.cluster.all("ModelVersion")]
    assert versions == ["digits-v1", "digits-v2"]
    numbers = sorted(key for _, key in world.store.objects if "/numbers/" in key)
    assert numbers == ["models/digits/numbers/1", "models/digits/numbers/2"]
