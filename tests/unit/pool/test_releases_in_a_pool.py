"""Several services in the same pods: each is released, judged and taken back alone."""

from __future__ import annotations

import json
from typing import Any

from plimsoll import names
from plimsoll.facts import Ref

from tests.builders.pool import CONFIG_MAP, DEPLOYMENT, POOL, PoolLife, member, model, pool, service_ref
from tests.builders.release import NAMESPACE
from tests.builders.world import FakeWorld


def serving(*services: str, **spec: Any) -> PoolLife:
    """A pool whose services serve version 1 and are at rest."""
    life = PoolLife(pool(**spec), *(model(name, 1) for name in services), *(member(name) for name in services))
    for name in services:
        life.until(name, "Idle")
    life.run(80)
    return life


def without(life: PoolLife, service: str) -> dict[str, Any]:
    """The documents of all other services, and what they say of themselves."""
    found = {name: document for name, document in life.documents().items() if name != service}
    return {name: [document, life.status(name)] for name, document in found.items()}


def test_services_of_a_pool_serve_from_the_same_pods_without_any_of_their_own() -> None:
    life = serving("a", "b", "c", replicas=2)
    assert [one["metadata"]["name"] for one in life.cluster.all("Deployment")] == ["shared-pool"]
    assert {name: life.weights(name) for name in "abc"} == {name: {"1": 100} for name in "abc"}
    assert (
        life.condition("a", "Ready")["message"] == f"2 of 2 pods of {life.status('a')['stable']['revision']} are ready"
    )
    selectors = [one["spec"]["selector"] for one in life.cluster.all("Service")]
    assert selectors == [{names.LABEL_COMPONENT: "pool", names.LABEL_POOL: "shared"}] * 3
    assert life.cluster.read(POOL)["status"]["services"] == 3


def test_a_good_version_is_promoted_while_the_others_and_the_pods_stay_as_they_are() -> None:
    life = serving("a", "b", "c", replicas=2)
    pods, others = life.pods(), without(life, "a")
    life.add(model("a", 2))
    life.until("a", "Probation")
    assert life.weights("a") == {"1": 5, "2": 95}
    life.until("a", "Idle")
    assert life.weights("a") == {"2": 100}
    assert life.status("a")["verdict"]["outcome"] == "Pass"
    assert (life.pods(), without(life, "a")) == (pods, others)


def test_a_bad_version_is_taken_back_while_the_others_and_the_pods_stay_as_they_are() -> None:
    life = serving("a", "b", replicas=2)
    pods, others = life.pods(), without(life, "a")
    life.character("a", 2).failing = 0.5
    life.add(model("a", 2))
    life.until("a", "RolledBack")
    assert life.weights("a") == {"1": 100}
    assert "failed" in life.status("a")["history"][0]["reason"]
    assert (life.pods(), without(life, "a")) == (pods, others)


def test_two_services_release_at_once_and_each_has_its_own_end() -> None:
    life = serving("a", "b", replicas=2)
    life.character("b", 2).failing = 0.5
    life.add(model("a", 2))
    life.add(model("b", 2))
    life.until("b", "RolledBack")
    life.until("a", "Idle")
    assert (life.weights("a"), life.weights("b")) == ({"2": 100}, {"1": 100})


def test_a_candidate_takes_no_share_before_every_pod_has_loaded_it() -> None:
    life = serving("a", replicas=2)
    life.character("a", 2).boot = 30.0
    life.add(model("a", 2))
    life.run(25)
    assert (life.status("a")["phase"], life.weights("a")) == ("Warming", {"1": 100})
    life.until("a", "Analyzing")


def test_a_model_that_cannot_be_loaded_is_taken_back_before_it_has_a_share() -> None:
    life = serving("a")
    life.character("a", 2).crashes = True
    life.add(model("a", 2))
    life.until("a", "RolledBack")
    assert "it does not answer its sample" in life.status("a")["history"][0]["reason"]
    assert life.documents()["a"]["epoch"] == 1, "nobody was ever sent to it"


def test_a_candidate_that_does_not_fit_into_memory_beside_the_stable_version_holds_its_release_until_it_does() -> None:
    life = serving("a", "b")
    life.add(model("a", 2))
    life.until("a", "Analyzing")
    life.character("a", 2).kept_out = "it does not fit in beside the others"
    life.until("a", "Held")
    status = life.status("a")
    assert status["heldReason"] == "InsufficientMemory"
    assert "it does not fit in beside the others" in status["message"]
    life.character("a", 2).kept_out = ""
    life.until("a", "Idle")
    assert (life.weights("a"), life.weights("b")) == ({"2": 100}, {"1": 100})


def test_a_stable_version_that_is_out_of_memory_is_still_what_a_bad_one_goes_back_to() -> None:
    life = serving("a")
    life.character("a", 1).kept_out = "it does not fit in beside the others"
    life.character("a", 2).failing = 0.5
    life.add(model("a", 2))
    life.until("a", "RolledBack")
    assert life.weights("a") == {"1": 100}


def test_a_stable_version_that_no_pod_can_load_any_more_is_replaced_by_the_next_that_can() -> None:
    life = serving("a", "b", replicas=2)
    life.character("a", 1).crashes = True
    life.add(model("a", 2))
    assert life.run(300, stop=lambda: life.status("a")["phase"] == "Idle" and life.weights("a") == {"2": 100})
    assert life.weights("b") == {"1": 100}


def test_a_store_that_is_away_holds_the_release_and_blames_nobody() -> None:
    life = serving("a")
    life.character("a", 2).fetch_fails = True
    life.add(model("a", 2))
    life.until("a", "Held")
    assert life.status("a")["heldReason"] == "ArtifactUnavailable"
    life.character("a", 2).fetch_fails = False
    life.until("a", "Idle")
    assert life.weights("a") == {"2": 100}


def test_a_pod_that_does_not_answer_is_no_failure_of_the_candidate_and_no_proof_of_it() -> None:
    life = serving("a", replicas=2)
    life.add(model("a", 2))
    life.until("a", "Analyzing")
    life.blind = True
    life.run(60)
    assert life.status("a")["phase"] == "Analyzing"
    assert life.condition("a", "Ready")["status"] == "True"
    life.blind = False
    life.until("a", "Idle")


def test_a_service_says_which_pool_is_missing_and_goes_on_once_it_is_there() -> None:
    life = PoolLife(model("a", 1), member("a"))
    life.until("a", "Held")
    assert life.status("a")["heldReason"] == "PoolNotFound"
    assert "there is no ServingPool shared in this namespace; make it" in life.status("a")["message"]
    life.add(pool())
    life.until("a", "Idle")


def test_the_pods_forget_a_service_that_was_deleted_and_keep_the_others() -> None:
    life = serving("a", "b")
    pods, document = life.pods(), life.documents()["b"]
    life.cluster.remove(service_ref("a"))
    life.ring()
    life.run(2)
    assert life.documents() == {"b": document}
    assert life.pods() == pods


def test_a_key_is_not_removed_while_only_the_cache_lacks_its_service() -> None:
    life = serving("a", "b")
    gone = life.cluster.objects.pop(service_ref("a"))
    life.cluster.hold_cache()
    life.cluster.objects[service_ref("a")] = gone
    life.reconcile(POOL)
    assert set(life.documents()) == {"a", "b"}


def test_two_services_that_write_at_once_lose_nothing_of_each_other() -> None:
    life = serving("a", "b")
    life.add(model("a", 2))
    life.add(model("b", 2))
    life.cluster.hold_cache()
    for _ in range(3):
        life.reconcile(service_ref("a"))
        life.reconcile(service_ref("b"))
    life.cluster.catch_up()
    life.until("a", "Idle")
    life.until("b", "Idle")
    assert (life.weights("a"), life.weights("b")) == ({"2": 100}, {"2": 100})


def test_an_upgrade_of_the_operator_touches_neither_pods_nor_documents() -> None:
    life = serving("a", "b")
    pods, objects, before = life.pods(), FakeWorld.state(life), len(life.writes)
    life.upgraded(serving_image="example/serving:next")
    life.ring()
    life.run(30)
    assert life.pods() == pods
    assert FakeWorld.state(life) == objects
    assert len(life.writes) == before


def test_a_changed_pool_takes_the_image_of_the_day_and_keeps_its_services() -> None:
    life = serving("a")
    life.upgraded(serving_image="example/serving:next")
    life.cluster.edit(POOL, lambda body: body["spec"].update(replicas=3, storage="8Gi"))
    life.ring()
    life.run(5)
    deployment = life.cluster.read(DEPLOYMENT)
    template = deployment["spec"]["template"]["spec"]
    assert deployment["spec"]["replicas"] == 3
    assert {one["image"] for one in (*template["containers"], *template["initContainers"])} == {"example/serving:next"}
    assert life.cluster.read(POOL)["status"]["replicas"] == "3/3"
    assert life.weights("a") == {"1": 100}


def test_a_document_that_somebody_broke_or_lost_is_written_again_and_a_lost_status_found_in_it() -> None:
    life = serving("a")
    life.cluster.edit(CONFIG_MAP, lambda body: body["data"].update({"a.json": "{"}), spec=False)
    life.ring()
    life.run(2)
    assert life.weights("a") == {"1": 100}
    life.cluster.edit(service_ref("a"), lambda body: body.pop("status"), spec=False)
    life.ring()
    life.until("a", "Idle")
    assert life.weights("a") == {"1": 100}


def test_every_crash_in_the_middle_of_a_release_is_gone_on_from() -> None:
    for effect in range(1, 16):
        life = serving("a", "b")
        others = without(life, "a")
        life.add(model("a", 2))
        life.crash_after(effect)
        life.until("a", "Idle")
        life.run(90, stop=lambda life=life: life.weights("a") == {"2": 100})
        assert life.weights("a") == {"2": 100}, effect
        assert without(life, "a") == others


def test_only_the_sidecar_has_the_credentials_of_the_store() -> None:
    life = serving("a")
    spec = life.cluster.read(DEPLOYMENT)["spec"]["template"]["spec"]
    (fetch,), (server,) = spec["initContainers"], spec["containers"]
    assert fetch["restartPolicy"] == "Always"
    assert fetch["envFrom"] == [{"secretRef": {"name": "plimsoll-store"}}]
    assert "envFrom" not in server
    assert not [one for one in server["env"] if one["name"].startswith("AWS_")]


def test_each_service_tells_the_pods_of_its_epoch_in_an_annotation_of_its_own() -> None:
    life = serving("a", "b")
    (pod,) = life.cluster.all("Pod")
    epochs = {name: value.partition("@")[0] for name, value in pod["metadata"]["annotations"].items()}
    assert epochs == {f"{names.ANNOTATION_POOL_EPOCH}{name}": "1" for name in "ab"}


def test_the_document_names_the_files_of_every_revision_that_may_be_asked_for() -> None:
    life = serving("a")
    life.add(model("a", 2))
    life.until("a", "Analyzing")
    document = life.documents()["a"]
    artifacts = {one["version"]: one["artifact"]["sha256"] for one in document["revisions"].values()}
    assert artifacts == {"1": f"{1:064x}", "2": f"{2:064x}"}
    assert {arm["revision"] for arm in document["arms"]} == set(document["revisions"])
    assert (document["service"], document["model"]) == ("a", "a")
    assert json.dumps(document).count("credential") == 0


def test_a_namesake_of_the_pools_objects_is_not_taken_over() -> None:
    life = PoolLife()
    stranger = {"name": "shared-pool", "namespace": NAMESPACE, "labels": {}}
    life.cluster.add({"apiVersion": "v1", "kind": "ConfigMap", "metadata": stranger, "data": {"theirs": "1"}})
    life.add(pool())
    life.run(5)
    condition = life.cluster.read(POOL)["status"]["conditions"][0]
    assert (condition["reason"], condition["status"]) == ("NameConflict", "False")
    assert life.cluster.read(Ref("v1", "ConfigMap", NAMESPACE, "shared-pool"))["data"] == {"theirs": "1"}
