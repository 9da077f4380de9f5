"""Whole passes over a TrainingJob against a world in memory: from data to a version, or to a verdict."""

from __future__ import annotations

import json
from typing import Any

from plimsoll.converge.trainingjob import reconcile
from plimsoll.facts import Ref

from tests.builders import training as t
from tests.builders.training_story import Story

# --- the way through -----------------------------------------------------------------------------------------------


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


# --- verdicts ------------------------------------------------------------------------------------------------------


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


# --- champions -----------------------------------------------------------------------------------------------------


def _publish_document(story: Story) -> dict[str, Any]:
    name = story.job("publish")
    config_map = story.world.cluster.read(Ref("v1", "ConfigMap", t.NAMESPACE, name))
    document: dict[str, Any] = json.loads(config_map["data"]["run.json"])
    return document


async def test_publish_is_told_the_champion_and_training_is_not() -> None:
    story = Story(t.comparing())
    story.world.cluster.add(t.model_version(t.holding(t.OTHER_DIGEST), name="digits-v3"))
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


# --- suspension ----------------------------------------------------------------------------------------------------


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
