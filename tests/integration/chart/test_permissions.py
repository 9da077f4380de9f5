"""RBAC, CRDs, admission policies and plain manifests, as the chart renders them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from plimsoll import names
from plimsoll.api.kinds import KINDS
from plimsoll.core.release.commands import VERBS
from plimsoll.edge.resources import ADD_ONS, WATCHED
from plimsoll.edge.signing import SIGNING_SECRET

from config import render as plain
from tests.integration.chart.rendering import CHART, Manifest, named, of_kind, render

CLUSTER_ROLES = ["plimsoll-act-for-others", "plimsoll-admin", "plimsoll-edit", "plimsoll-view"]


@pytest.fixture(scope="module")
def chart() -> list[Manifest]:
    return render()


def operator_rules(manifests: list[Manifest]) -> list[Any]:
    rules: list[Any] = named(manifests, "ClusterRole", "plimsoll-operator")["rules"]
    return rules


def verbs(rules: list[Any], resource: str) -> set[str]:
    return {verb for rule in rules if resource in rule["resources"] for verb in rule["verbs"]}


def test_an_install_for_some_namespaces_binds_no_cluster_role() -> None:
    manifests = render("watchNamespaces={one,two}")
    assert of_kind(manifests, "ClusterRoleBinding") == []
    assert sorted(one["metadata"]["name"] for one in of_kind(manifests, "ClusterRole")) == CLUSTER_ROLES
    where = sorted(one["metadata"].get("namespace", "its own") for one in of_kind(manifests, "RoleBinding"))
    assert where == ["its own", "one", "two"]


def test_without_user_roles_and_policies_and_crds_nothing_is_cluster_wide() -> None:
    values = ("watchNamespaces={one}", "rbac.userRoles=false", "admissionPolicies.enabled=false", "crds.install=false")
    allowed = {"ServiceAccount", "Role", "RoleBinding", "Deployment", "Service", "Secret", "PersistentVolumeClaim"}
    assert {manifest["kind"] for manifest in render(*values)} == allowed


def test_the_rights_are_the_same_in_the_whole_cluster_and_in_a_namespace(chart: list[Manifest]) -> None:
    scoped = of_kind(render("watchNamespaces={one}"), "Role")
    assert operator_rules(chart) in [role["rules"] for role in scoped]


def test_no_right_is_a_wildcard(chart: list[Manifest]) -> None:
    for role in of_kind(chart, "ClusterRole", "Role"):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], role["metadata"]["name"]


def test_the_operator_may_list_and_watch_what_it_watches_and_nothing_else(chart: list[Manifest]) -> None:
    rules = operator_rules(chart)
    listed = {
        (group, resource)
        for rule in rules
        if {"list", "watch"} & set(rule["verbs"])
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert listed == {(one.api_version.rpartition("/")[0], one.plural) for one in (*WATCHED, *ADD_ONS)}


def test_the_operator_never_writes_what_users_own(chart: list[Manifest]) -> None:
    rules = operator_rules(chart)
    assert verbs(rules, "trainingjobs") == {"get", "list", "watch"}
    assert verbs(rules, "inferenceservices") == {"get", "list", "watch"}
    assert verbs(rules, "modelversions") == {"get", "list", "watch", "create"}


def test_the_operator_reads_one_secret_by_name(chart: list[Manifest]) -> None:
    assert verbs(operator_rules(chart), "secrets") == {"create"}
    reading = [
        rule
        for role in of_kind(chart, "Role")
        for rule in role["rules"]
        if "secrets" in rule["resources"] and "get" in rule["verbs"]
    ]
    assert [rule["resourceNames"] for rule in reading] == [[SIGNING_SECRET]]


def test_the_operators_lease_is_the_one_that_it_may_renew(chart: list[Manifest]) -> None:
    pod = named(chart, "Deployment", "plimsoll-operator")["spec"]["template"]["spec"]
    lease = next(entry["value"] for entry in pod["containers"][0]["env"] if entry["name"] == "PLIMSOLL_LEASE_NAME")
    rules = named(chart, "Role", "plimsoll-operator-self")["rules"]
    assert [rule["resourceNames"] for rule in rules if "update" in rule["verbs"]] == [[lease]]


def test_who_edits_may_give_every_command_that_the_operator_obeys(chart: list[Manifest]) -> None:
    ours = {"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}
    assert verbs(named(chart, "ClusterRole", "plimsoll-edit")["rules"], "inferenceservices") - ours == set(VERBS)


def test_the_policy_knows_every_command_that_the_operator_obeys(chart: list[Manifest]) -> None:
    policy = named(chart, "ValidatingAdmissionPolicy", "plimsoll-system-plimsoll-commands")
    written = next(one["expression"] for one in policy["spec"]["variables"] if one["name"] == "wellFormed")
    found = re.search(r'"verb": \?"\(([a-z|]+)\)', written)
    assert found is not None
    assert found[1].split("|") == list(VERBS)


def test_policies_fail_closed_and_are_each_bound(chart: list[Manifest]) -> None:
    policies = of_kind(chart, "ValidatingAdmissionPolicy")
    bound = {one["spec"]["policyName"] for one in of_kind(chart, "ValidatingAdmissionPolicyBinding")}
    assert {one["metadata"]["name"] for one in policies} == bound
    assert {one["spec"]["failurePolicy"] for one in policies} == {"Fail"}
    assert len(policies) == 6


def test_policies_name_the_operators_own_annotation(chart: list[Manifest]) -> None:
    policy = named(chart, "ValidatingAdmissionPolicy", "plimsoll-system-plimsoll-operator-pods")
    key = next(one["expression"] for one in policy["spec"]["variables"] if one["name"] == "key")
    assert key == f"'{names.ANNOTATION_ROUTE_EPOCH}'"


def test_policies_of_an_install_for_some_namespaces_bind_there_only() -> None:
    manifests = render("watchNamespaces={one,two}")
    scopes = {
        binding["metadata"]["name"].rsplit("plimsoll-", 1)[1]: binding["spec"]["matchResources"]["namespaceSelector"][
            "matchExpressions"
        ]
        for binding in of_kind(manifests, "ValidatingAdmissionPolicyBinding")
    }
    secrets = scopes.pop("operator-secrets")
    assert secrets[0]["values"] == ["one", "two", "plimsoll-system"]
    for scope in scopes.values():
        assert scope == [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["one", "two"]}]


def test_two_releases_share_no_name() -> None:
    off = ("crds.install=false", "rbac.userRoles=false")
    cluster_wide = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ClusterRole")
    first = {one["metadata"]["name"] for one in of_kind(render(*off, namespace="a"), *cluster_wide)}
    second = {
        one["metadata"]["name"] for one in of_kind(render(*off, "watchNamespaces={one}", namespace="b"), *cluster_wide)
    }
    assert first & second == set()


def test_crds_are_kept_when_the_chart_goes(chart: list[Manifest]) -> None:
    crds = of_kind(chart, "CustomResourceDefinition")
    assert len(crds) == len(KINDS)
    assert all(one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for one in crds)


def test_crds_may_be_left_to_another_install() -> None:
    assert of_kind(render("crds.install=false"), "CustomResourceDefinition") == []


def test_crds_may_go_with_the_chart() -> None:
    crds = of_kind(render("crds.keep=false"), "CustomResourceDefinition")
    assert all("helm.sh/resource-policy" not in (one["metadata"].get("annotations") or {}) for one in crds)


def test_the_plain_manifests_are_those_of_the_chart() -> None:
    assert plain.TARGET.read_text() == plain.rendered(), "run `make generate`"


def test_the_plain_manifests_hold_no_secret() -> None:
    assert of_kind([one for one in yaml.safe_load_all(plain.TARGET.read_text()) if one], "Secret") == []


def test_the_charts_version_is_the_projects() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = (CHART.parents[1] / "pyproject.toml").read_text()
    assert f'\nversion = "{chart["appVersion"]}"\n' in project
