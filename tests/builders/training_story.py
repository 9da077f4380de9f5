"""A TrainingJob that lives: passes until it rests, and what a reader of its status sees."""

from __future__ import annotations

from typing import Any

from plimsoll.converge.trainingjob import reconcile

from tests.builders import training as t
from tests.builders.world import FakeWorld


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
