"""Failures: the user's wait for an edit, the world's are tried again, and each says so."""

from __future__ import annotations

import json

import pytest
from plimsoll.converge.ports import Refused, Unavailable
from plimsoll.converge.trainingjob import reconcile
from plimsoll.facts import Ref

from tests.builders import training as t
from tests.builders.training_story import Story


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
    t.end_job(story.world, story.job("train"), "FailureTarget", "DeadlineExceeded")
    await story.converge()
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
    expected = "The artifact store does not answer: connection refused. It is tried again; should it last, "
    expected += "look at the store and at the operator's settings of it: docs/store.md."
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
    message = f"Job {name} exists and is not controlled by this object: delete it, or rename one of them."
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
