"""How the API server treats applies that leave fields out, name another object, or come too late."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kubernetes.client import ApiClient

Manifest = dict[str, Any]
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
OTHER = "11111111-2222-3333-4444-555555555555"


class Answers:
    """Requests of the field manager `plimsoll` in one namespace: (HTTP status, decoded answer)."""

    def __init__(self, api: ApiClient, namespace: str) -> None:
        self._api = api
        self.namespace = namespace

    def call(self, method: str, path: str, body: Manifest, content_type: str = MERGE) -> tuple[int, Manifest]:
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        force = "&force=true" if content_type == APPLY else ""
        url = f"{self._api.configuration.host}{path}?fieldManager=plimsoll{force}"
        answer = self._api.call_api(method, url, headers, body, _request_timeout=30)
        return answer.status, json.loads(answer.read())

    def config_maps(self, name: str = "") -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps" + (f"/{name}" if name else "")

    def deployments(self, name: str, subresource: str = "") -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}{subresource}"


@pytest.fixture
def answers(api: ApiClient, namespace: str) -> Answers:
    return Answers(api, namespace)


def config_map(name: str, **metadata: Any) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"k": "v"}}


def deployment(image: str) -> Manifest:
    """Without `replicas`."""
    pod = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "main", "image": image}]}}
    spec = {"selector": {"matchLabels": {"app": "a"}}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec}


def test_replicas_set_through_scale_survive_later_applies_that_leave_them_out(answers: Answers) -> None:
    _, made = answers.call("PATCH", answers.deployments("a"), deployment("one"), APPLY)
    assert made["spec"]["replicas"] == 1
    for replicas, image in ((3, "two"), (0, "three"), (2, "four")):
        code, _ = answers.call("PATCH", answers.deployments("a", "/scale"), {"spec": {"replicas": replicas}})
        assert code == 200
        _, stored = answers.call("PATCH", answers.deployments("a"), deployment(image), APPLY)
        assert stored["spec"]["replicas"] == replicas
        assert stored["spec"]["template"]["spec"]["containers"][0]["image"] == image


def test_replicas_that_were_applied_once_are_reset_when_a_later_apply_leaves_them_out(answers: Answers) -> None:
    """Why they must never be in the applied manifest, not even at first."""
    first = deployment("one")
    first["spec"]["replicas"] = 5
    answers.call("PATCH", answers.deployments("a"), first, APPLY)
    _, stored = answers.call("PATCH", answers.deployments("a"), deployment("one"), APPLY)
    assert stored["spec"]["replicas"] == 1


def test_an_apply_that_names_another_objects_uid_is_refused(answers: Answers) -> None:
    _, made = answers.call("PATCH", answers.config_maps("taken"), config_map("taken"), APPLY)
    code, said = answers.call("PATCH", answers.config_maps("taken"), config_map("taken", uid=OTHER), APPLY)
    assert (code, said["reason"]) == (422, "Invalid")
    assert said["message"] == (
        f'ConfigMap "taken" is invalid: metadata.uid: Invalid value: "{OTHER}": field is immutable'
    )
    assert answers.call("GET", answers.config_maps("taken"), {})[1]["metadata"] == made["metadata"]


def test_an_apply_that_names_the_right_uid_is_taken(answers: Answers) -> None:
    _, made = answers.call("PATCH", answers.config_maps("ours"), config_map("ours"), APPLY)
    body = config_map("ours", uid=made["metadata"]["uid"])
    assert answers.call("PATCH", answers.config_maps("ours"), body, APPLY)[0] == 200


def test_an_apply_that_names_the_uid_of_what_is_gone_makes_nothing(answers: Answers) -> None:
    code, said = answers.call("PATCH", answers.config_maps("gone"), config_map("gone", uid=OTHER), APPLY)
    assert (code, said["reason"]) == (409, "Conflict")
    assert "uid mismatch" in said["message"]


def test_a_post_onto_a_name_that_is_taken_changes_nothing(answers: Answers) -> None:
    answers.call("POST", answers.config_maps(), config_map("taken"), "application/json")
    code, said = answers.call(
        "POST", answers.config_maps(), config_map("taken") | {"data": {"k": "other"}}, "application/json"
    )
    assert (code, said["reason"]) == (409, "AlreadyExists")
    _, live = answers.call("GET", answers.config_maps("taken"), {})
    assert live["data"] == {"k": "v"}
    assert "ownerReferences" not in live["metadata"], "nothing says that it is ours"


def test_a_write_with_an_old_resource_version_is_a_conflict(answers: Answers) -> None:
    _, made = answers.call("PATCH", answers.config_maps("route"), config_map("route"), APPLY)
    changed = config_map("route") | {"data": {"k": "new"}}
    answers.call("PATCH", answers.config_maps("route"), changed, APPLY)
    late = config_map("route", resourceVersion=made["metadata"]["resourceVersion"])
    code, said = answers.call("PATCH", answers.config_maps("route"), late, APPLY)
    assert (code, said["reason"]) == (409, "Conflict")
