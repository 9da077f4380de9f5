"""Whatever the order of passes and wherever they break off: one number for each model, without gaps."""

from __future__ import annotations

import asyncio
import hashlib

from hypothesis import given, settings
from hypothesis import strategies as st
from plimsoll.converge.ports import Conflict, Unavailable
from plimsoll.converge.trainingjob import reconcile

from tests.builders import training as t
from tests.builders.training_story import Story
from tests.builders.world import Crash, FakeWorld

#: Which of the jobs has the next pass, what goes wrong in it and at which effect.
Schedule = list[tuple[int, str, int]]
SCHEDULES = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["", "crash_after", "lose", "drop_answer"]), st.integers(1, 4)),
    max_size=20,
)


async def _published(world: FakeWorld, digests: list[str]) -> list[Story]:
    """One TrainingJob for each digest, each with a publish Job that has just ended."""
    stories = []
    for n, digest in enumerate(digests):
        story = Story(t.with_spec(seed=n), world=world, name=f"digits-{n}")
        await story.publish(digest=digest)
        stories.append(story)
    return stories


async def _disturbed(world: FakeWorld, story: Story, fault: str, effect: int) -> None:
    if fault:
        getattr(world, fault)(effect)
    try:
        await reconcile(world.ports, story.ref)
    except (Crash, Unavailable, Conflict):
        return
    finally:
        world.faults.disarm()


async def _play(schedule: Schedule, models: list[int]) -> None:
    world = FakeWorld()
    digests = [hashlib.sha256(str(model).encode()).hexdigest() for model in models]
    stories = await _published(world, digests)
    for which, fault, effect in schedule:
        await _disturbed(world, stories[which], fault, effect)
    for story in stories:
        await story.converge()
        assert story.status["phase"] == "Succeeded"
    versions = {one["metadata"]["name"]: one["spec"]["artifact"]["sha256"] for one in world.cluster.all("ModelVersion")}
    assert sorted(versions) == [f"digits-v{n + 1}" for n in range(len(set(digests)))]
    assert sorted(versions.values()) == sorted(set(digests))
    for story, digest in zip(stories, digests, strict=True):
        assert versions[story.status["modelVersion"]] == digest


@settings(max_examples=20, deadline=None, derandomize=True)
@given(SCHEDULES, st.sampled_from([[1, 2, 3], [1, 1, 2], [1, 2, 1], [1, 1, 1]]))
def test_every_model_gets_one_number_and_no_number_is_left_out(schedule: Schedule, models: list[int]) -> None:
    asyncio.run(_play(schedule, models))
