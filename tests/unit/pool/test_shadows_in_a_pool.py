"""Copies of requests to a candidate in the same pods, and what a service says of its own model's runs."""

from __future__ import annotations

from typing import Any

from plimsoll.core import serving_env

from tests.builders.pool import DEPLOYMENT, POOL, PoolLife, member, model, pool, service_ref

SHADOW = {"strategy": "Shadow", "steps": None, "onPass": "Promote", "shadow": {"percent": 50, "minRequests": 200}}
LOG = {"samplePercent": 2.5, "sink": "http://broker.demo.svc/events", "mask": ["income"]}


def serving(**release: Any) -> PoolLife:
    """`a` releases as asked for, `b` is its neighbour; both serve version 1."""
    made = member("a", **release)
    made["spec"]["release"] = {key: value for key, value in made["spec"]["release"].items() if value is not None}
    life = PoolLife(pool(replicas=2), model("a", 1), model("b", 1), made, member("b"))
    for name in "ab":
        life.until(name, "Idle")
    life.run(80)
    return life


def test_a_shadow_in_a_pool_gets_copies_and_no_user_until_it_is_promoted() -> None:
    life = serving(**SHADOW)
    neighbour = life.documents()["b"]
    life.add(model("a", 2))
    life.until("a", "Shadowing")
    arms = {arm["version"]: (arm["weight"], arm["mode"]) for arm in life.documents()["a"]["arms"]}
    assert arms == {"1": (100, "Serve"), "2": (50, "Mirror")}
    assert not any("address" in arm for arm in life.documents()["a"]["arms"])
    assert life.run(60, stop=lambda: any(one["candidate"] != "0/0" for one in life.status("a").get("windows", ())))
    assert life.weights("a") == {"1": 100, "2": 50}
    assert "compared" in life.status("a")["message"]
    assert life.documents()["b"] == neighbour


def test_a_shadow_in_a_pool_that_fails_is_taken_back_and_no_user_saw_it() -> None:
    life = serving(**SHADOW)
    life.character("a", 2).failing = 0.3
    life.add(model("a", 2))
    life.until("a", "RolledBack")
    assert life.weights("a") == {"1": 100}
    revision = next(one["revision"] for one in life.status("a")["quarantine"])
    assert not any(count for host in life.hosts.values() for (arm, _), count in host.counts.items() if arm == revision)


def test_what_a_service_says_of_its_runs_and_its_log_goes_with_its_revision_alone() -> None:
    life = serving()
    before = life.documents()["b"], life.pods(), life.cluster.read(DEPLOYMENT)["spec"]["template"]
    asked = {"batching": {"maxBatchSize": 64, "maxDelayMilliseconds": 0}, "payloadLog": LOG}
    life.cluster.edit(service_ref("a"), lambda body: body["spec"]["runtime"].update(asked))
    life.ring()
    life.until("a", "Analyzing")
    settings = [one for one in life.documents()["a"]["revisions"].values() if "batching" in one]
    assert [{key: one[key] for key in asked} for one in settings] == [asked]
    life.until("a", "Idle")
    life.run(90)
    (revision,) = life.documents()["a"]["revisions"].values()
    assert {key: revision[key] for key in asked} == asked
    assert (life.documents()["b"], life.pods(), life.cluster.read(DEPLOYMENT)["spec"]["template"]) == before


def test_a_pools_batching_is_that_of_every_model_that_says_nothing() -> None:
    life = PoolLife(pool(batching={"maxBatchSize": 8, "maxDelayMilliseconds": 2}))
    life.reconcile(POOL)
    (server,) = life.cluster.read(DEPLOYMENT)["spec"]["template"]["spec"]["containers"]
    env = {one["name"]: one.get("value") for one in server["env"]}
    assert (env["PLIMSOLL_MAX_BATCH_ROWS"], env["PLIMSOLL_BATCH_WINDOW_SECONDS"]) == ("8", "0.002")


def test_what_is_not_said_leaves_pods_and_revisions_as_they_were() -> None:
    life = PoolLife(pool())
    life.reconcile(POOL)
    (server,) = life.cluster.read(DEPLOYMENT)["spec"]["template"]["spec"]["containers"]
    assert not {one["name"] for one in server["env"]} & {"PLIMSOLL_MAX_BATCH_ROWS", "PLIMSOLL_BATCH_WINDOW_SECONDS"}
    assert serving_env.batching(None) == serving_env.payload_log(None) == {}
