from __future__ import annotations

from typing import Any

import pytest
from plimsoll.edge.cache import Cache
from plimsoll.facts import Manifest, Ref

from tests.unit.edge.objects import an_object


@pytest.fixture
def cache() -> Cache:
    return Cache()


@pytest.fixture
def heard(cache: Cache) -> list[str]:
    """Names of what the cache told of, in order."""
    names: list[str] = []
    cache.subscribe(lambda manifest: names.append(manifest["metadata"]["name"]))
    return names


def pod(name: str, version: int, **more: Any) -> dict[str, Any]:
    return an_object("Pod", name, version, **more)


def names_of(found: Any) -> list[str]:
    return [manifest["metadata"]["name"] for manifest in found]


def test_objects_come_ordered_by_name_and_filtered_by_all_labels(cache: Cache) -> None:
    cache.put(pod("b", 1, labels={"app": "x", "tier": "1"}))
    cache.put(pod("a", 2, labels={"app": "x", "tier": "1"}))
    cache.put(pod("c", 3, labels={"app": "x"}))
    cache.put(pod("d", 4, labels={"app": "x", "tier": "1"}, namespace="other"))

    assert names_of(cache.select("v1", "Pod", "demo", {"app": "x", "tier": "1"})) == ["a", "b"]
    assert names_of(cache.select("v1", "Pod", "demo")) == ["a", "b", "c"]


def test_an_older_word_of_an_object_changes_nothing(cache: Cache, heard: list[str]) -> None:
    assert cache.put(pod("a", 5, labels={"seen": "new"}))
    assert not cache.put(pod("a", 4, labels={"seen": "old"}))
    assert not cache.put(pod("a", 5, labels={"seen": "again"}))

    assert names_of(cache.select("v1", "Pod", "demo", {"seen": "new"})) == ["a"]
    assert heard == ["a"]


def test_a_version_with_more_digits_is_newer(cache: Cache) -> None:
    cache.put(pod("a", 9))

    assert cache.put(pod("a", 10))


def test_a_deleted_object_does_not_come_back_by_an_older_word_of_it(cache: Cache) -> None:
    cache.put(pod("a", 5))
    cache.remove(pod("a", 7))

    assert not cache.put(pod("a", 6))
    assert cache.get(Ref("v1", "Pod", "demo", "a")) is None


def test_an_object_of_the_same_name_is_taken_in_after_a_deletion(cache: Cache) -> None:
    cache.put(pod("a", 5, uid="first"))
    cache.remove(pod("a", 7, uid="first"))

    assert cache.put(pod("a", 8, uid="second"))


def test_a_late_deletion_spares_the_next_object_of_that_name(cache: Cache) -> None:
    cache.put(pod("a", 5, uid="first"))
    cache.put(pod("a", 8, uid="second"))

    assert not cache.remove(pod("a", 7, uid="first"))
    assert cache.by_uid("second") is not None
    assert cache.by_uid("first") is None


def test_a_list_takes_out_what_vanished_and_tells_of_it(cache: Cache, heard: list[str]) -> None:
    cache.put(pod("stays", 1))
    cache.put(pod("vanished", 2))
    heard.clear()

    assert cache.replace("v1", "Pod", [pod("stays", 1)], version=10) == 1

    assert names_of(cache.select("v1", "Pod", "demo")) == ["stays"]
    assert heard == ["vanished"]


def test_a_list_leaves_alone_what_is_newer_than_it(cache: Cache) -> None:
    cache.put(pod("newer", 11))

    assert cache.replace("v1", "Pod", [], version=10) == 0
    assert names_of(cache.select("v1", "Pod", "demo")) == ["newer"]


def test_a_list_does_not_bring_back_what_was_deleted_after_it(cache: Cache) -> None:
    cache.put(pod("a", 5))
    cache.remove(pod("a", 12))

    cache.replace("v1", "Pod", [pod("a", 5)], version=10)

    assert cache.get(Ref("v1", "Pod", "demo", "a")) is None


def test_a_list_of_one_namespace_leaves_the_others_alone(cache: Cache) -> None:
    cache.put(pod("here", 1))
    cache.put(pod("there", 2, namespace="other"))

    assert cache.replace("v1", "Pod", [], version=10, namespace="demo") == 1
    assert names_of(cache.select("v1", "Pod", "other")) == ["there"]


def test_managed_fields_are_not_kept(cache: Cache) -> None:
    manifest = pod("a", 1)
    manifest["metadata"]["managedFields"] = [{"manager": "x"}]
    cache.put(manifest)

    kept: Manifest | None = cache.get(Ref.of(manifest))
    assert kept is not None
    assert "managedFields" not in kept["metadata"]
