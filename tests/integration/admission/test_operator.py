"""What the operator's own account is kept from, though its role here would let it do anything to pods and Secrets."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from tests.integration.admission.conftest import Installed, Person, Refused

NUMBERS = itertools.count(1)
MANAGED = {"app.kubernetes.io/managed-by": "plimsoll"}
ONLY_MANAGED = "the operator may touch only pods that it manages"
ONLY_ITS_ANNOTATION = "the operator may change only its annotation plimsoll.dev/route-epoch of a pod"
ONLY_THREE = "the operator may make only the Secrets plimsoll-store, plimsoll-feedback-key and plimsoll-signing-key"


@pytest.fixture
def operator(installed: Installed) -> Person:
    return installed.administrator.named(installed.operator)


def pod(person: Person, labels: dict[str, str]) -> str:
    """The name of a pod that no node takes."""
    name = f"pod-{next(NUMBERS)}"
    body = {
        "metadata": {"name": name, "labels": labels, "annotations": {"team": "a"}},
        "spec": {"nodeSelector": {"nowhere": "yes"}, "containers": [{"name": "main", "image": "none"}]},
    }
    person.named("").create("pods", body)
    return name


def refused(person: Person, name: str, change: dict[str, Any]) -> str:
    with pytest.raises(Refused) as refusal:
        person.patch("pods", name, change)
    assert refusal.value.code == 403
    return refusal.value.sentence


EPOCH = {"metadata": {"annotations": {"plimsoll.dev/route-epoch": "7"}}}


def test_the_operator_sets_and_repeats_its_annotation(operator: Person) -> None:
    name = pod(operator, MANAGED)
    operator.patch("pods", name, EPOCH)
    stored = operator.patch("pods", name, {"metadata": {"annotations": {"plimsoll.dev/route-epoch": "8"}}})
    assert stored["metadata"]["annotations"] == {"team": "a", "plimsoll.dev/route-epoch": "8"}


def test_the_operator_sets_an_annotation_for_each_service_of_a_pool(operator: Person) -> None:
    name = pod(operator, MANAGED)
    stored = operator.patch("pods", name, {"metadata": {"annotations": {"route-epoch.plimsoll.dev/digits": "7"}}})
    assert stored["metadata"]["annotations"]["route-epoch.plimsoll.dev/digits"] == "7"


@pytest.mark.parametrize("labels", [{}, {"app.kubernetes.io/managed-by": "Helm"}])
def test_the_operator_leaves_pods_of_others_alone(operator: Person, labels: dict[str, str]) -> None:
    name = pod(operator, labels)
    assert refused(operator, name, EPOCH) == ONLY_MANAGED
    with pytest.raises(Refused) as refusal:
        operator.delete("pods", name)
    assert (refusal.value.code, refusal.value.sentence) == (403, ONLY_MANAGED)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"metadata": {"annotations": {"other": "x"}}}, id="another annotation"),
        pytest.param({"metadata": {"annotations": {"team": "b"}}}, id="a changed annotation"),
        pytest.param({"metadata": {"annotations": {"team": None}}}, id="a removed annotation"),
        pytest.param({"metadata": {"labels": {"more": "x"}}}, id="a label"),
        pytest.param({"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}, id="a removed label"),
        pytest.param({"metadata": {"finalizers": ["example.org/stay"]}}, id="a finalizer"),
        pytest.param({"spec": {"containers": [{"name": "main", "image": "other"}]}}, id="the image"),
        pytest.param({"spec": {"activeDeadlineSeconds": 1}}, id="the deadline"),
    ],
)
def test_the_operator_changes_nothing_else_of_its_pods(operator: Person, change: dict[str, Any]) -> None:
    assert refused(operator, pod(operator, MANAGED), change) == ONLY_ITS_ANNOTATION


def test_the_operator_takes_no_pod_for_its_own(operator: Person) -> None:
    name = pod(operator, MANAGED)
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "11111111-1111-1111-1111-111111111111"}
    assert refused(operator, name, {"metadata": {"ownerReferences": [owner]}}) == ONLY_ITS_ANNOTATION


def test_the_operator_deletes_a_pod_that_it_manages(operator: Person) -> None:
    operator.delete("pods", pod(operator, MANAGED))


def test_others_are_not_bound_by_the_operators_policies(installed: Installed) -> None:
    editor = installed.administrator.named("editor")
    name = pod(editor, {})
    editor.patch("pods", name, {"metadata": {"labels": {"more": "x"}}})
    editor.delete("pods", name)
    editor.create("secrets", {"metadata": {"name": "anything"}})


@pytest.mark.parametrize("name", ["plimsoll-store", "plimsoll-feedback-key", "plimsoll-signing-key"])
def test_the_operator_makes_its_three_secrets(operator: Person, name: str) -> None:
    operator.create("secrets", {"metadata": {"name": name}, "type": "Opaque"})


def test_the_operator_makes_no_other_secret(operator: Person) -> None:
    with pytest.raises(Refused) as refusal:
        operator.create("secrets", {"metadata": {"name": "mine"}})
    assert refusal.value.code == 403
    assert refusal.value.sentence == ONLY_THREE


def test_the_operator_makes_no_secret_that_holds_a_token(operator: Person) -> None:
    metadata = {"name": "plimsoll-store", "annotations": {"kubernetes.io/service-account.name": "default"}}
    body = {"metadata": metadata, "type": "kubernetes.io/service-account-token"}
    with pytest.raises(Refused) as refusal:
        operator.create("secrets", body)
    assert refusal.value.sentence == "the operator may make only Secrets of type Opaque"


def test_the_operator_keeps_its_signing_key_at_home(installed: Installed) -> None:
    """`plimsoll-signing-key` is a name of the operator's own namespace; elsewhere it is like any other."""
    elsewhere = Person(installed.administrator.api, installed.other_namespace, "")
    root = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{elsewhere.namespace}"
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}
    elsewhere.call("POST", f"{root}/roles", {"metadata": {"name": "secrets"}, "rules": [rule]})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "secrets"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": installed.operator}
    body = {"metadata": {"name": "secrets"}, "roleRef": reference, "subjects": [subject]}
    elsewhere.call("POST", f"{root}/rolebindings", body)
    # Until the API server has heard of the role, it refuses by RBAC, which has no sentence of ours.
    for _ in range(600):
        with pytest.raises(Refused) as refusal:
            elsewhere.named(installed.operator).create("secrets", {"metadata": {"name": "plimsoll-signing-key"}})
        if refusal.value.sentence:
            break
        time.sleep(0.1)
    assert refusal.value.sentence == ONLY_THREE
