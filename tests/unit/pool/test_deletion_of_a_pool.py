"""A pool that services use: its status says so, and the services say it when the pool is gone all the same."""

from __future__ import annotations

from plimsoll.facts import Ref

from tests.builders.pool import CONFIG_MAP, DEPLOYMENT, POOL, PoolLife, member, model, pool, service_ref
from tests.builders.release import NAMESPACE


def serving(*services: str) -> PoolLife:
    """A pool whose services serve version 1 and are at rest."""
    life = PoolLife(pool(), *(model(name, 1) for name in services), *(member(name) for name in services))
    for name in services:
        life.until(name, "Idle")
    life.run(80)
    return life


def delete_the_pool(life: PoolLife) -> None:
    """Without the guard: garbage collection takes what it owned."""
    pods = [ref for ref in life.cluster.objects if ref.kind == "Pod"]
    budget = Ref("policy/v1", "PodDisruptionBudget", NAMESPACE, "shared-pool")
    records = [ref for ref in life.cluster.objects if ref.kind == "ControllerRevision" and "-pool-" in ref.name]
    for ref in (POOL, CONFIG_MAP, DEPLOYMENT, budget, *records, *pods):
        if ref in life.cluster.objects:
            life.cluster.remove(ref)
    life.ring()


def test_the_status_of_a_pool_names_the_services_that_use_it() -> None:
    life = serving("b", "a")
    assert life.cluster.read(POOL)["status"]["inUseBy"] == ["a", "b"]
    life.cluster.remove(service_ref("a"))
    life.ring()
    life.run(2)
    assert life.cluster.read(POOL)["status"]["inUseBy"] == ["b"]
    life.cluster.remove(service_ref("b"))
    life.ring()
    life.run(2)
    assert not life.cluster.read(POOL)["status"].get("inUseBy")


def test_a_pool_of_hundreds_names_as_many_as_the_status_may_have_and_counts_all() -> None:
    names = [f"s{number:03}" for number in range(70)]
    life = PoolLife(pool(), *(member(name) for name in names))
    life.reconcile(POOL)
    status = life.cluster.read(POOL)["status"]
    assert (status["inUseBy"], status["services"]) == (names[:64], 70)


def test_a_service_at_rest_says_that_its_pool_is_gone_and_what_to_do() -> None:
    life = serving("a", "b")
    delete_the_pool(life)
    life.run(5)
    for name in ("a", "b"):
        ready = life.condition(name, "Ready")
        assert (ready["status"], ready["reason"]) == ("False", "PoolNotFound")
        assert "there is no ServingPool shared in this namespace; make it" in ready["message"]
        assert life.status(name)["message"] == ready["message"]
        assert [event for event in life.cluster.notices if event[0] == name and event[1].reason == "PoolNotFound"]


def test_services_serve_what_they_served_once_their_pool_is_made_again() -> None:
    life = serving("a", "b")
    life.add(model("a", 2))
    life.until("a", "Idle")
    life.run(90, stop=lambda: life.weights("a") == {"2": 100})
    before = {name: life.status(name)["stable"] for name in "ab"}
    delete_the_pool(life)
    life.run(5)
    life.add(pool())
    assert life.run(60, stop=lambda: all(life.condition(name, "Ready").get("status") == "True" for name in "ab"))
    assert (life.weights("a"), life.weights("b")) == ({"2": 100}, {"1": 100})
    assert {name: life.status(name)["stable"] for name in "ab"} == before
    assert life.status("a")["message"].startswith("v2 serves")


def test_a_release_whose_pool_goes_is_held_and_goes_on_with_the_pool() -> None:
    life = serving("a")
    life.add(model("a", 2))
    life.until("a", "Analyzing")
    delete_the_pool(life)
    life.run(10)
    assert life.condition("a", "Ready")["reason"] == "PoolNotFound"
    assert life.status("a")["stable"]["version"] == "1"
    life.add(pool())
    life.until("a", "Idle")
    assert life.status("a")["stable"]["version"] == "2"
