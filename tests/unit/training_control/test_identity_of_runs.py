"""Which run is which: edits, adoption, upgrades, and the numbers of versions."""

from __future__ import annotations

import json

from plimsoll.converge.trainingjob import reconcile
from plimsoll.facts import Ref

from tests.builders import training as t
from tests.builders.training_story import Story

# --- identity ------------------------------------------------------------------------------------------------------


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


# --- numbers -------------------------------------------------------------------------------------------------------


async def test_numbers_rise_and_are_never_used_again() -> None:
    story = Story()
    await story.finish()
    story.world.cluster.remove(Ref("plimsoll.dev/v1alpha1", "ModelVersion", t.NAMESPACE, "digits-v1"))
    story.edit(seed=8)
    await story.finish(digest=t.OTHER_DIGEST)
    assert story.status["modelVersion"] == "digits-v2"


async def test_a_new_version_comes_after_one_that_a_user_brought_along() -> None:
    story = Story()
    story.world.cluster.add(t.model_version(t.holding(t.OTHER_DIGEST), name="digits-v7"))
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
    story.world.cluster.add(t.model_version(t.holding(t.OTHER_DIGEST), name="digits-v2"))
    await story.finish()
    assert story.status["modelVersion"] == "digits-v1"


async def test_a_name_that_a_user_took_after_the_claim_is_passed_over() -> None:
    story = Story()
    await story.publish()
    await reconcile(story.world.ports, story.ref)
    story.world.cluster.add(t.model_version(t.holding(t.OTHER_DIGEST), name="digits-v1"))
    await story.converge()
    assert story.status["modelVersion"] == "digits-v2"
