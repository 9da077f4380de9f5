"""The chart grants the operator what it calls, all of it and nothing else.

What it calls is seen, not listed by hand: releases and trainings are lived through in memory, with every kind of write,
and each write goes through the operator's own edge on an API that writes down the calls.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from plimsoll.converge.modelversion import reconcile
from plimsoll.facts import Manifest, Ref

from tests.builders import training as t
from tests.builders.gateway import GatewayLife, behind
from tests.builders.pool import POOL, PoolLife, member, model, pool, service_ref
from tests.builders.release import NAMESPACE, SERVICE, Life, service, version
from tests.builders.training_story import Story
from tests.builders.world import FakeWorld
from tests.integration.chart import rights
from tests.integration.chart.rendering import named, of_kind, render
from tests.integration.chart.rights import Right

EXTERNAL = ("store.install=false", "store.existingSecret=mine", "store.external.endpoint=https://s3.example.org")
VERIFY = "digits-v1-verify"


def granted(role: Manifest) -> set[Right]:
    """The rules of a role, one by one."""
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


class Witness:
    """What passes write and read live in any number of worlds."""

    def __init__(self) -> None:
        self.worlds: list[FakeWorld] = []
        self.reads: set[str] = set()

    def watch(self, world: FakeWorld) -> None:
        self.worlds.append(world)
        read: Callable[[Ref], Awaitable[Any]] = world.cluster.get

        async def get(ref: Ref) -> Any:
            self.reads.add(ref.kind)
            return await read(ref)

        world.cluster.get = get  # type: ignore[method-assign]

    @property
    def effects(self) -> set[tuple[str, str]]:
        """Verb and kind."""
        return {(one.verb, one.target.split()[0]) for world in self.worlds for one in world.effects}


def releases(witness: Witness) -> None:
    """A service that grows and shrinks, is tampered with, has a pod that does not follow, and gets six versions."""
    life = Life(version(1), service(replicas=2))
    witness.watch(life)
    life.until("Idle")
    tamper(life)
    life.deaf.add(life.cluster.all("Pod")[0]["metadata"]["name"])
    for number in range(2, 7):
        life.add(version(number))
        assert life.run(400, stop=lambda number=number: life.serves(number))  # type: ignore[misc]
        life.run(60)
    life.edit(lambda body: body["spec"]["runtime"].update(replicas=1))
    life.run(30)


def behind_a_gateway(witness: Witness) -> None:
    """A service that is released behind a Gateway, and leaves it."""
    life = GatewayLife(version(1), behind())
    witness.watch(life)
    life.until("Idle")
    life.add(version(2))
    assert life.run(400, stop=lambda: life.serves(2))
    life.edit(lambda body: body["spec"].update(traffic={"provider": "Builtin"}))
    life.run(5)


def tamper(life: Life) -> None:
    """Somebody changes every child by hand."""
    for kind in ("Deployment", "Service", "PodDisruptionBudget"):
        for found in life.cluster.all(kind):
            life.cluster.edit(Ref.of(found), lambda body: body["spec"].update(selector={"matchLabels": {"a": "b"}}))
    route = Ref("v1", "ConfigMap", NAMESPACE, f"{SERVICE.name}-route")
    life.cluster.edit(route, lambda body: body["data"].update({"route.json": "{}"}))
    life.ring()
    life.run(10)


def pools(witness: Witness) -> None:
    """A pool that grows, shrinks and changes, with a service that is released in it and one that is deleted."""
    life = PoolLife(pool(replicas=2), model("a", 1), model("b", 1), member("a"), member("b"))
    witness.watch(life)
    life.until("a", "Idle")
    life.add(model("a", 2))
    assert life.run(300, stop=lambda: life.weights("a") == {"2": 100})
    life.cluster.remove(service_ref("b"))
    for number in range(4):
        life.cluster.edit(POOL, lambda body, number=number: body["spec"].update(replicas=1, storage=f"{6 + number}Gi"))
        life.ring()
        life.run(5)


async def trainings(witness: Witness) -> None:
    """One that is suspended and resumed, edited under way, and ends as a version; its service is looked up."""
    story = Story()
    witness.watch(story.world)
    await story.converge()
    for suspend in (True, False):
        story.edit(suspend=suspend)
        await story.converge()
    story.edit(seed=8)
    await story.finish()
    assert story.status["phase"] == "Succeeded"


async def verifications(witness: Witness) -> None:
    """One whose pod vanished before its message was read."""
    world = FakeWorld()
    witness.watch(world)
    ref = world.cluster.add(t.model_version())
    await reconcile(world.ports, ref)
    t.end_job(world, VERIFY)
    for _ in range(8):
        world.tick(60)
        await reconcile(world.ports, ref)
    assert ("delete", f"Job {VERIFY}") in {(one.verb, one.target) for one in world.effects}


@pytest.fixture(scope="module")
def lived() -> Witness:
    witness = Witness()
    releases(witness)
    behind_a_gateway(witness)
    pools(witness)
    return witness


async def used(lived: Witness, *, managed: bool) -> set[Right]:
    """Every right that is used in a namespace of users."""
    await trainings(lived)
    await verifications(lived)
    made = {kind for verb, kind in lived.effects if verb in ("create", "adopt")}
    return (
        await rights.of_effects(lived.effects, lived.reads)
        | await rights.of_taking_up_what_is_there(made)
        | await rights.of_the_store(managed=managed)
        | await rights.of_watching()
    )


@pytest.mark.parametrize("values", [(), EXTERNAL], ids=["managed store", "external store"])
async def test_the_operator_has_the_rights_that_it_uses_and_no_others(lived: Witness, values: tuple[str, ...]) -> None:
    role = named(render(*values), "ClusterRole", "plimsoll-operator")
    assert granted(role) == await used(lived, managed=not values)


async def test_in_its_own_namespace_it_has_those_for_its_lease_and_its_key() -> None:
    role = named(render(), "Role", "plimsoll-operator-self")
    assert granted(role) == await rights.of_the_process()


def test_what_can_be_named_is_named() -> None:
    """RBAC cannot restrict `create` by name; every other right of the own namespace is for one object."""
    for role in of_kind(render(), "Role"):
        unnamed = [rule for rule in role["rules"] if "resourceNames" not in rule]
        assert {verb for rule in unnamed for verb in rule["verbs"]} == {"create"}
