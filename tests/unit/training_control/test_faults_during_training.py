"""A crash, a lost write or a lost answer at any effect changes nothing in the end."""

from __future__ import annotations

from typing import Any

import pytest
from plimsoll.converge.ports import Conflict, Unavailable
from plimsoll.converge.trainingjob import reconcile
from plimsoll.facts import Ref

from tests.builders import training as t
from tests.builders.training_story import Story
from tests.builders.world import Crash, FakeWorld


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
