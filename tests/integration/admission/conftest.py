"""The chart's admission policies alone, on the real API server, bound to two namespaces of their own."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiClient

from tests.integration.chart.rendering import template

Manifest = dict[str, Any]
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
CUSTOM = "/apis/plimsoll.dev/v1alpha1"
VERBS = ("promote", "abort", "pause", "resume", "retry", "unquarantine", "rollback")
KINDS = ["modelversions", "inferenceservices", "servingpools"]


class Refused(Exception):
    """The API server's answer: `code`, and the sentence of the policy that refused."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.policy, _, self.sentence = message.partition(" denied request: ")


@dataclass(frozen=True)
class Person:
    """Requests in the name of `user`; of the administrator without one."""

    api: ApiClient
    namespace: str
    user: str = ""

    def named(self, user: str) -> Person:
        return Person(self.api, self.namespace, user)

    def call(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """The decoded answer. Raises Refused."""
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        if self.user:
            headers["Impersonate-User"] = self.user
        url = self.api.configuration.host + path
        answer = self.api.call_api(method, url, headers, body, _request_timeout=30)
        decoded = json.loads(answer.read())
        if answer.status >= 400:
            raise Refused(decoded["code"], decoded["message"])
        return decoded

    def path(self, plural: str, name: str = "") -> str:
        root = CUSTOM if plural in KINDS else "/api/v1"
        return f"{root}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def create(self, plural: str, manifest: Manifest) -> Any:
        return self.call("POST", self.path(plural), manifest)

    def patch(self, plural: str, name: str, change: Manifest) -> Any:
        return self.call("PATCH", self.path(plural, name), change, MERGE if plural in KINDS else STRATEGIC)

    def write_status(self, plural: str, name: str, status: Manifest) -> Any:
        return self.call("PATCH", self.path(plural, name) + "/status", {"status": status}, MERGE)

    def delete(self, plural: str, name: str) -> Any:
        return self.call("DELETE", self.path(plural, name))


@dataclass(frozen=True)
class Installed:
    """`administrator` speaks for the first namespace; `operator` is the user name of the release's operator."""

    administrator: Person
    other_namespace: str
    operator: str


@pytest.fixture(scope="package")
def installed(api: ApiClient, custom_resources: None) -> Iterator[Installed]:
    """Policies of a release of its own, and people with their rights."""
    token = uuid.uuid4().hex[:8]
    first, second, release = f"test-{token}-a", f"test-{token}-b", f"test-{token}"
    boss = Person(api, first)
    for name in (first, second):
        boss.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    values = f"watchNamespaces={{{first},{second}}}"
    done = template(values, "crds.install=false", "rbac.userRoles=false", release=release, namespace=first)
    assert done.returncode == 0, done.stderr
    policies = [one for one in yaml.safe_load_all(done.stdout) if one and one["kind"].startswith("Validating")]
    paths = {one["kind"]: f"/apis/admissionregistration.k8s.io/v1/{one['kind'].lower()}s" for one in policies}
    paths["ValidatingAdmissionPolicy"] = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    operator = f"system:serviceaccount:{first}:{release}-plimsoll-operator"
    try:
        for policy in policies:
            boss.call("POST", paths[policy["kind"]], policy)
        _grant(boss, operator)
        _await_force(boss.named(operator), policies[-1]["metadata"]["name"])
        yield Installed(boss, second, operator)
    finally:
        for policy in policies:
            boss.call("DELETE", f"{paths[policy['kind']]}/{policy['metadata']['name']}")
        for name in (first, second):
            boss.call("DELETE", f"/api/v1/namespaces/{name}")


def _grant(boss: Person, operator: str) -> None:
    """Everybody may write our kinds; who has a name of a verb has that verb. The operator may do anything to pods and
    Secrets here: what stops it is the policy alone."""
    write = {"apiGroups": ["plimsoll.dev"], "resources": KINDS, "verbs": ["get", "create", "update", "patch", "delete"]}
    _role(boss, "writer", [write], ["editor", "approver", "git", *VERBS])
    _role(boss, "approve", [_verb("modelversions", "approve")], ["approver"])
    _role(boss, "git", [_verb(kind, "act-for-others") for kind in KINDS], ["git"])
    for verb in VERBS:
        _role(boss, verb, [_verb("inferenceservices", verb)], [verb])
    anything = {"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["*"]}
    _role(boss, "operator", [anything], [operator, "editor"])


def _verb(resource: str, verb: str) -> Manifest:
    return {"apiGroups": ["plimsoll.dev"], "resources": [resource], "verbs": [verb]}


def _role(boss: Person, name: str, rules: list[Manifest], users: list[str]) -> None:
    root = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{boss.namespace}"
    boss.call("POST", f"{root}/roles", {"metadata": {"name": name}, "rules": rules})
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user} for user in users]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    boss.call("POST", f"{root}/rolebindings", {"metadata": {"name": name}, "roleRef": reference, "subjects": subjects})


def _await_force(operator: Person, last: str) -> None:
    """Policies take effect a moment after they are stored, and only those about the operator name this release alone:
    another install's may refuse the rest as well. The last one in force says that all are."""
    path = operator.path("secrets") + "?dryRun=All"
    for _ in range(900):
        try:
            operator.call("POST", path, {"metadata": {"name": "marker"}})
        except Refused as refusal:
            if last in refusal.policy:
                return
        time.sleep(0.1)
    pytest.fail("the policies are not in force after 90 s")
