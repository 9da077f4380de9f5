"""Reads and effects against a real API server."""

from __future__ import annotations

import time
from typing import Any

import pytest
from plimsoll import names
from plimsoll.edge.cache import Cache
from plimsoll.edge.cluster import Cluster
from plimsoll.edge.events import Recorder
from plimsoll.edge.resources import path_of
from plimsoll.edge.rest import MERGE_PATCH, Api, Request, configuration
from plimsoll.edge.telemetry import REGISTRY
from plimsoll.facts import Apply, Create, Delete, Manifest, Notice, Ref, Scale, WriteKey
from plimsoll.failures import Conflict, NameConflict, Refused, Unavailable

from tests.integration.operator.conftest import model_version


async def test_a_created_child_is_controlled_by_its_owner_and_never_blocks_its_deletion(
    cluster: Cluster, owner: Manifest, config_map: Any
) -> None:
    made = await cluster.act(owner, Create(config_map(a="1")))

    (reference,) = made["metadata"]["ownerReferences"]
    assert reference["uid"] == owner["metadata"]["uid"]
    assert reference["controller"] is True
    assert reference["blockOwnerDeletion"] is False
    assert "finalizers" not in made["metadata"]


async def test_creating_our_own_child_again_gives_the_one_that_is_there(
    cluster: Cluster, owner: Manifest, config_map: Any
) -> None:
    first = await cluster.act(owner, Create(config_map("twice", a="1")))
    again = await cluster.act(owner, Create(config_map("twice", a="2")))

    assert again["metadata"]["uid"] == first["metadata"]["uid"]
    assert again["data"] == {"a": "1"}


async def test_a_name_taken_by_a_foreign_object_is_a_name_conflict_and_the_object_stays(
    cluster: Cluster, owner: Manifest, config_map: Any, post: Any
) -> None:
    foreign = await post(config_map("taken", theirs="yes"))

    with pytest.raises(NameConflict, match="ConfigMap taken exists"):
        await cluster.act(owner, Create(config_map("taken", ours="yes")))

    assert (await cluster.get(Ref.of(foreign)))["data"] == {"theirs": "yes"}


async def test_adopting_takes_an_object_as_it_is_and_owns_nothing(
    cluster: Cluster, owner: Manifest, namespace: str
) -> None:
    wanted = model_version(namespace, "adopted")
    first = await cluster.act(owner, Create(wanted, adopt=True))
    again = await cluster.act(owner, Create(wanted, adopt=True))

    assert again["metadata"]["uid"] == first["metadata"]["uid"]
    assert "ownerReferences" not in again["metadata"]


async def test_an_apply_with_the_uid_of_another_object_is_refused(
    cluster: Cluster, owner: Manifest, config_map: Any, post: Any
) -> None:
    foreign = await post(config_map("foreign", theirs="yes"))

    with pytest.raises(Conflict):
        await cluster.act(owner, Apply(config_map("foreign", ours="yes"), uid="00000000-0000-0000-0000-000000000000"))

    assert (await cluster.get(Ref.of(foreign)))["data"] == {"theirs": "yes"}


async def test_an_apply_never_creates_an_object_that_is_gone(
    cluster: Cluster, owner: Manifest, config_map: Any
) -> None:
    made = await cluster.act(owner, Create(config_map("gone", a="1")))
    await cluster.act(owner, Delete(Ref.of(made), made["metadata"]["uid"]))

    with pytest.raises(Conflict):
        await cluster.act(owner, Apply(config_map("gone", a="2"), uid=made["metadata"]["uid"]))

    assert await cluster.get(Ref.of(made)) is None


async def test_an_apply_with_an_old_resource_version_plans_again(
    cluster: Cluster, owner: Manifest, config_map: Any
) -> None:
    made = await cluster.act(owner, Create(config_map("route", epoch="1")))
    uid, version = made["metadata"]["uid"], made["metadata"]["resourceVersion"]
    await cluster.act(owner, Apply(config_map("route", epoch="2"), uid, version))

    with pytest.raises(Conflict):
        await cluster.act(owner, Apply(config_map("route", epoch="3"), uid, version))

    assert (await cluster.get(Ref.of(made)))["data"] == {"epoch": "2"}


async def test_keys_of_one_object_are_written_by_their_owners_without_a_race(
    cluster: Cluster, owner: Manifest, config_map: Any
) -> None:
    made = await cluster.act(owner, Create(config_map("pool", formatVersion="1")))
    ref, uid, version = Ref.of(made), made["metadata"]["uid"], made["metadata"]["resourceVersion"]
    await cluster.act(owner, WriteKey(ref, uid, "a.json", '{"epoch": 1}', None, version))

    with pytest.raises(Conflict):  # a key that is new is written onto what was seen
        await cluster.act(owner, WriteKey(ref, uid, "b.json", "{}", None, version))
    seen = (await cluster.get(ref))["metadata"]["resourceVersion"]
    await cluster.act(owner, WriteKey(ref, uid, "b.json", "{}", None, seen))
    await cluster.act(owner, WriteKey(ref, uid, "a.json", '{"epoch": 2}', '{"epoch": 1}'))
    with pytest.raises(Conflict):  # somebody else wrote this very key
        await cluster.act(owner, WriteKey(ref, uid, "a.json", '{"epoch": 3}', '{"epoch": 1}'))
    with pytest.raises(Conflict):  # another object has the name
        await cluster.act(owner, WriteKey(ref, "00000000-0000-0000-0000-000000000000", "b.json", "[]", "{}"))
    await cluster.act(owner, WriteKey(ref, uid, "b.json", None, "{}"))

    assert (await cluster.get(ref))["data"] == {"formatVersion": "1", "a.json": '{"epoch": 2}'}


async def test_an_apply_that_changes_nothing_writes_nothing(cluster: Cluster, owner: Manifest, config_map: Any) -> None:
    made = await cluster.act(owner, Create(config_map("same", a="1")))
    first = await cluster.act(owner, Apply(config_map("same", a="1"), made["metadata"]["uid"]))
    again = await cluster.act(owner, Apply(config_map("same", a="1"), made["metadata"]["uid"]))

    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_replicas_set_through_scale_survive_an_apply_that_leaves_them_out(
    cluster: Cluster, owner: Manifest, namespace: str
) -> None:
    made = await cluster.act(owner, Create(_deployment(namespace)))
    await cluster.act(owner, Scale(Ref.of(made), 0))
    applied = await cluster.act(owner, Apply(_deployment(namespace), made["metadata"]["uid"]))

    assert applied["spec"]["replicas"] == 0


async def test_a_delete_spares_another_object_of_the_same_name(
    cluster: Cluster, owner: Manifest, config_map: Any
) -> None:
    made = await cluster.act(owner, Create(config_map("kept")))
    await cluster.act(owner, Delete(Ref.of(made), "00000000-0000-0000-0000-000000000000"))

    assert await cluster.get(Ref.of(made)) is not None


async def test_deleting_twice_is_fine(cluster: Cluster, owner: Manifest, config_map: Any) -> None:
    made = await cluster.act(owner, Create(config_map("once")))
    for _ in range(2):
        await cluster.act(owner, Delete(Ref.of(made), made["metadata"]["uid"]))

    assert await cluster.get(Ref.of(made)) is None


async def test_the_status_is_replaced_as_a_whole(cluster: Cluster, owner: Manifest) -> None:
    first = await cluster.write_status(owner, {"phase": "Verifying", "summary": "soon"})
    second = await cluster.write_status(first, {"phase": "Ready", "summary": None})

    assert second["status"] == {"phase": "Ready"}
    assert second["metadata"]["generation"] == owner["metadata"]["generation"]


async def test_a_status_written_on_an_old_version_is_a_conflict(cluster: Cluster, owner: Manifest) -> None:
    await cluster.write_status(owner, {"phase": "Verifying"})

    with pytest.raises(Conflict):
        await cluster.write_status(owner, {"phase": "Ready"})


async def test_the_same_status_again_writes_nothing(cluster: Cluster, owner: Manifest) -> None:
    first = await cluster.write_status(owner, {"phase": "Ready"})
    again = await cluster.write_status(first, {"phase": "Ready"})

    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_what_was_written_is_read_from_the_cache_at_once(
    cluster: Cluster, owner: Manifest, config_map: Any, namespace: str
) -> None:
    made = await cluster.act(owner, Create(config_map("cached", a="1")))
    await cluster.act(owner, Apply(config_map("cached", a="2"), made["metadata"]["uid"]))

    (cached,) = cluster.cached("v1", "ConfigMap", namespace, {names.LABEL_COMPONENT: "route"})
    assert cached["data"] == {"a": "2"}


async def test_an_invalid_object_is_refused_with_the_servers_sentence(
    cluster: Cluster, owner: Manifest, config_map: Any
) -> None:
    with pytest.raises(Refused, match=r"ConfigMap bad was refused: .*not a valid|Invalid|invalid"):
        await cluster.act(owner, Create(config_map("bad") | {"data": {"not/a/key": "x"}}))


async def test_nothing_is_written_when_the_lease_ends_within_a_requests_time(
    rest: Api, owner: Manifest, config_map: Any
) -> None:
    late = Cluster(rest, Cache(), Recorder(rest, "test", time.time), lambda: rest.timeout)

    with pytest.raises(Unavailable, match="Lease"):
        await late.act(owner, Create(config_map("late")))
    with pytest.raises(Unavailable, match="Lease"):
        await late.write_status(owner, {"phase": "Ready"})

    assert await late.get(Ref.of(config_map("late"))) is None


async def test_the_same_notice_again_counts_up_one_event(
    cluster: Cluster, rest: Api, owner: Manifest, namespace: str
) -> None:
    for _ in range(3):
        await cluster.notify(owner, Notice("Normal", "Tested", "It was tested."))

    listed = await rest.call(Request("GET", f"/api/v1/namespaces/{namespace}/events", "events"))
    (event,) = [event for event in listed["items"] if event["involvedObject"]["uid"] == owner["metadata"]["uid"]]
    assert (event["count"], event["reason"], event["message"]) == (3, "Tested", "It was tested.")


async def test_an_api_server_that_is_not_there_is_unavailable(cluster_access: Any, owner: Manifest) -> None:
    config = await configuration(cluster_access.context)
    config.host = "https://127.0.0.1:1"
    unreachable = Api(config, timeout=2.0)
    try:
        with pytest.raises(Unavailable, match="API server: GET"):
            await unreachable.call(Request("GET", path_of(Ref.of(owner)), "modelversions"))
    finally:
        await unreachable.close()


async def test_fields_that_another_manager_set_are_left_alone(
    cluster: Cluster, rest: Api, owner: Manifest, config_map: Any
) -> None:
    made = await cluster.act(owner, Create(config_map("shared", ours="1")))
    path = path_of(Ref.of(made))
    body = {"metadata": {"annotations": {"example.org/theirs": "yes"}}}
    await rest.call(Request("PATCH", path, "configmaps", body, {"fieldManager": "someone"}, MERGE_PATCH))

    applied = await cluster.act(owner, Apply(config_map("shared", ours="2"), made["metadata"]["uid"]))

    assert applied["metadata"]["annotations"] == {"example.org/theirs": "yes"}


async def test_an_apply_of_some_fields_leaves_the_others_as_they_were_created(
    cluster: Cluster, owner: Manifest, config_map: Any
) -> None:
    made = await cluster.act(owner, Create(config_map("part", a="1", b="1")))

    applied = await cluster.act(owner, Apply(config_map("part", b="2"), made["metadata"]["uid"]))

    assert applied["data"] == {"a": "1", "b": "2"}


def _deployment(namespace: str) -> dict[str, Any]:
    labels = names.labels("serve")
    container = {"name": "server", "image": "example.org/none:1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "scaled", "namespace": namespace, "labels": labels},
        "spec": {
            "selector": {"matchLabels": {"app": "scaled"}},
            "template": {"metadata": {"labels": {"app": "scaled"}}, "spec": {"containers": [container]}},
        },
    }


async def test_a_release_is_counted_when_the_status_that_ends_it_is_written(
    cluster: Cluster, custom_resources: None, namespace: str, post: Any
) -> None:
    def counted(outcome: str) -> float:
        return REGISTRY.get_sample_value("plimsoll_release_total", {"namespace": namespace, "outcome": outcome}) or 0.0

    metadata = {"name": "digits", "namespace": namespace}
    spec = {"model": {"name": "digits"}}
    manifest = {"apiVersion": names.API_VERSION, "kind": "InferenceService", "metadata": metadata, "spec": spec}
    ended = {"revision": "digits-1", "version": "1", "reason": "", "startedAt": "", "finishedAt": ""}
    first, second = ended | {"attempt": 1, "outcome": "Promoted"}, ended | {"attempt": 2, "outcome": "RolledBack"}

    made = {**manifest, **await post(manifest)}
    running = await cluster.write_status(made, {"phase": "Analyzing", "history": [first]})
    again = await cluster.write_status(running, {"phase": "RollingBack", "history": [second, first]})
    await cluster.write_status(again, {"phase": "RolledBack", "history": [second, first]})

    assert (counted("Promoted"), counted("RolledBack")) == (1, 1)
