from __future__ import annotations

from plimsoll import names
from plimsoll.edge.bells import concerned
from plimsoll.edge.cache import Cache
from plimsoll.facts import Manifest

from tests.unit.edge.objects import an_object, ours


def rung(cache: Cache, changed: Manifest) -> set[str]:
    return {f"{ref.kind}/{ref.name}" for ref in concerned(cache, changed)}


def a_cache(*objects: Manifest) -> Cache:
    cache = Cache()
    for one in objects:
        cache.put(one)
    return cache


def test_an_object_of_ours_rings_itself() -> None:
    assert rung(a_cache(), ours("TrainingJob", "digits")) == {"TrainingJob/digits"}


def test_a_child_rings_its_controller() -> None:
    owner = ours("InferenceService", "shop")
    child = an_object("Deployment", "shop-1", 2, api_version="apps/v1", owner=owner)

    assert rung(a_cache(owner), child) == {"InferenceService/shop"}


def test_a_pod_of_a_job_rings_the_owner_of_the_job() -> None:
    owner = ours("ModelVersion", "digits-v1")
    job = an_object("Job", "digits-v1-verify", 2, api_version="batch/v1", owner=owner)

    assert rung(a_cache(owner, job), an_object("Pod", "p", 3, owner=job)) == {"ModelVersion/digits-v1"}


def test_a_pod_behind_a_replica_set_rings_the_service_of_its_label() -> None:
    labels = names.labels("serve", inferenceservice="shop")
    replica_set = an_object("ReplicaSet", "shop-1-abc", 2, api_version="apps/v1")

    assert rung(a_cache(), an_object("Pod", "p", 3, labels=labels, owner=replica_set)) == {"InferenceService/shop"}


def test_labels_of_objects_that_are_not_managed_ring_nothing() -> None:
    labels = {names.LABEL_INFERENCE_SERVICE: "shop"}

    assert rung(a_cache(), an_object("Pod", "p", 3, labels=labels)) == set()


def test_a_version_rings_the_services_of_its_model_and_the_training_job_it_came_from() -> None:
    cache = a_cache(
        ours("InferenceService", "shop", spec={"model": {"name": "digits"}}),
        ours("InferenceService", "other", spec={"model": {"name": "iris"}}),
        ours("InferenceService", "far", spec={"model": {"name": "digits"}}, namespace="elsewhere"),
    )
    version = ours("ModelVersion", "digits-v2", spec={"model": "digits", "lineage": {"trainingJob": "nightly"}})

    assert rung(cache, version) == {"ModelVersion/digits-v2", "InferenceService/shop", "TrainingJob/nightly"}


def test_a_service_rings_the_versions_of_its_model_and_the_jobs_whose_gates_compare_to_it() -> None:
    gates = [{"metric": "accuracy", "comparedTo": {"inferenceService": "shop"}}]
    cache = a_cache(
        ours("ModelVersion", "digits-v1", spec={"model": "digits"}),
        ours("ModelVersion", "iris-v1", spec={"model": "iris"}),
        ours("TrainingJob", "compares", spec={"gates": gates}),
        ours("TrainingJob", "does-not", spec={"gates": [{"metric": "accuracy", "min": 0.9}]}),
    )
    service = ours("InferenceService", "shop", spec={"model": {"name": "digits"}})

    assert rung(cache, service) == {"InferenceService/shop", "ModelVersion/digits-v1", "TrainingJob/compares"}


def test_a_service_rings_those_that_are_released_after_it() -> None:
    later = ours("InferenceService", "production", spec={"release": {"after": ["stage"]}})
    stage = ours("InferenceService", "stage", spec={"model": {"name": "digits"}})
    assert rung(a_cache(later, stage), stage) == {"InferenceService/stage", "InferenceService/production"}


def pooled(name: str, **status: object) -> Manifest:
    made = ours("InferenceService", name, spec={"model": {"name": "m"}, "runtime": {"pool": {"name": "shared"}}})
    return {**made, "status": status}


def of_the_pool(kind: str, data: dict[str, str] | None = None) -> Manifest:
    made = an_object(kind, "shared-pool", 7, labels=names.labels("pool", pool="shared"))
    return {**made, "data": data or {}}


def test_a_pool_and_its_services_ring_each_other() -> None:
    pool = ours("ServingPool", "shared")
    resting = pooled("resting", epoch=1, followedEpoch=1)
    assert rung(a_cache(pool, resting), pool) == {"ServingPool/shared", "InferenceService/resting"}
    assert "ServingPool/shared" in rung(a_cache(pool, resting), resting)


def test_a_pod_of_a_pool_rings_only_the_services_that_wait_for_it() -> None:
    resting, releasing = pooled("resting", epoch=1, followedEpoch=1), pooled("releasing", candidate={"revision": "r"})
    told = pooled("told", epoch=2, followedEpoch=1)
    found = rung(a_cache(resting, releasing, told), of_the_pool("Pod"))
    assert found == {"ServingPool/shared", "InferenceService/releasing", "InferenceService/told"}


def test_a_pools_config_map_rings_the_services_whose_key_is_not_theirs() -> None:
    mine, broken, missing = (pooled(name, epoch=3, followedEpoch=3) for name in ("mine", "broken", "missing"))
    data = {"mine.json": '{"epoch": 3, "service": "mine"}', "broken.json": "{"}
    found = rung(a_cache(mine, broken, missing), of_the_pool("ConfigMap", data))
    assert found == {"ServingPool/shared", "InferenceService/broken", "InferenceService/missing"}
