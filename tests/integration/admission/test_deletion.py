"""Versions and pools that answer users stay, but go with their namespace."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.integration.admission.conftest import MERGE, Installed, Person, Refused
from tests.integration.admission.test_approvals import version

POOL = {"apiVersion": "plimsoll.dev/v1alpha1", "kind": "ServingPool", "metadata": {"generateName": "pool-"}}


def use(person: Person, name: str, *services: str) -> None:
    path = person.path("modelversions", name) + "/status"
    person.call("PATCH", path, {"status": {"inUseBy": list(services)}}, MERGE)


def used_pool(person: Person, *services: str) -> str:
    """A pool whose status names these services; 20 more than it names where there are several."""
    name = str(person.named("").create("servingpools", {**POOL, "spec": {}})["metadata"]["name"])
    told = {"inUseBy": list(services), "services": len(services) if len(services) < 2 else 20 + len(services)}
    person.named("").write_status("servingpools", name, told)
    return name


def refusal_of_a_pool(person: Person, *services: str) -> Refused:
    """As `refusal_of_deletion`."""
    for _ in range(20):
        try:
            person.delete("servingpools", used_pool(person, *services))
        except Refused as refusal:
            return refusal
    pytest.fail("a pool in use was deleted")


def refusal_of_deletion(person: Person) -> Refused:
    """Used and deleted at once, again if need be: an operator of the whole cluster may empty `inUseBy` in between."""
    for _ in range(20):
        name = person.named("").create("modelversions", version())["metadata"]["name"]
        use(person.named(""), name, "digits", "shadow")
        try:
            person.delete("modelversions", name)
        except Refused as refusal:
            return refusal
    pytest.fail("a version in use was deleted")


@pytest.mark.parametrize("user", ["", "editor", "git"], ids=["administrator", "editor", "git"])
def test_a_version_in_use_is_not_deleted(installed: Installed, user: str) -> None:
    refusal = refusal_of_deletion(installed.administrator.named(user))
    assert refusal.code == 403
    name, _, rest = refusal.sentence.partition(" ")
    assert name.startswith("digits-v")
    assert rest == "is in use by InferenceService digits, shadow: serve another version there first"


@pytest.mark.parametrize("user", ["", "editor", "git"], ids=["administrator", "editor", "git"])
@pytest.mark.parametrize(
    ("services", "told"), [(["a"], "InferenceService a"), (["a", "b"], "22 InferenceServices, a among them")]
)
def test_a_pool_in_use_is_not_deleted_and_says_by_what(
    installed: Installed, user: str, services: list[str], told: str
) -> None:
    refusal = refusal_of_a_pool(installed.administrator.named(user), *services)
    assert refusal.code == 403
    name, _, rest = refusal.sentence.partition(" ")
    assert name.startswith("pool-")
    assert rest == f"is in use by {told}: its pods answer their users; delete every service that names it first"


def test_a_pool_that_nobody_uses_is_deleted(installed: Installed) -> None:
    person = installed.administrator
    unused = person.create("servingpools", {**POOL, "spec": {}})["metadata"]["name"]
    for name in (unused, used_pool(person)):
        person.named("editor").delete("servingpools", name)
        with pytest.raises(Refused) as missing:
            person.call("GET", person.path("servingpools", name))
        assert missing.value.code == 404


@pytest.mark.parametrize("services", [None, []])
def test_a_version_that_nobody_uses_is_deleted(installed: Installed, services: list[str] | None) -> None:
    person = installed.administrator
    name = person.create("modelversions", version())["metadata"]["name"]
    if services is not None:
        use(person, name)
    person.named("editor").delete("modelversions", name)
    with pytest.raises(Refused) as missing:
        person.call("GET", person.path("modelversions", name))
    assert missing.value.code == 404


def test_a_namespace_goes_with_the_versions_and_pools_in_use(installed: Installed) -> None:
    other = Person(installed.administrator.api, installed.other_namespace)
    name = other.create("modelversions", version())["metadata"]["name"]
    use(other, name, "digits")
    used_pool(other, "digits")
    other.call("DELETE", f"/api/v1/namespaces/{other.namespace}")
    assert gone(other, f"/api/v1/namespaces/{other.namespace}") == "gone"
    # The fixture deletes what it made.
    other.call("POST", "/api/v1/namespaces", {"metadata": {"name": other.namespace}})


def gone(person: Person, path: str) -> Any:
    """`gone`, or the object that is still there after five minutes."""
    found: Any = None
    for _ in range(1500):
        try:
            found = person.call("GET", path)
        except Refused as refusal:
            if refusal.code == 404:
                return "gone"
            raise
        time.sleep(0.2)
    return found.get("status", found)
