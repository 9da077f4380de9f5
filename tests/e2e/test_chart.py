"""An install for one namespace, beside the one for the whole cluster: rights, upgrade, uninstall.

No namespace may belong to two operators, so the cluster-wide one has no replicas while this module runs.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from demo import cluster, install
from demo.shell import ROOT, Kubernetes
from tests.builders.argocd import health

CHART = ROOT / "charts" / "plimsoll"
RELEASE = "tenant"
OPERATOR = f"{RELEASE}-plimsoll-operator"
EXAMPLES = ROOT / "examples" / "quickstart"
CRD = "trainingjobs.plimsoll.dev"

#: What the operator may do in its namespace: verb, resource (with /NAME or with --subresource).
MAY = [
    *[
        ("list", kind)
        for kind in ("trainingjobs", "modelversions", "inferenceservices", "servingpools", "pods", "jobs", "configmaps")
    ],
    *[("watch", kind) for kind in ("deployments", "services", "controllerrevisions", "poddisruptionbudgets")],
    *[("update", f"{kind}/status") for kind in ("trainingjobs", "modelversions", "inferenceservices", "servingpools")],
    *[("create", kind) for kind in ("modelversions", "jobs", "deployments", "services", "secrets", "events")],
    ("patch", "deployments/scale"),
    ("patch", "pods"),
    ("delete", "pods"),
    ("update", f"leases/{OPERATOR}"),
    ("get", "secrets/plimsoll-signing-key"),
]
MAY_NOT = [
    *[(verb, "secrets") for verb in ("get", "list", "watch", "update", "patch", "delete")],
    ("get", f"secrets/{RELEASE}-plimsoll-store-root"),
    ("get", "secrets/plimsoll-store"),
    *[(verb, kind) for verb in ("update", "patch", "delete") for kind in ("trainingjobs", "inferenceservices")],
    *[(verb, "modelversions") for verb in ("update", "patch", "delete", "approve", "act-for-others")],
    *[("create", kind) for kind in ("trainingjobs", "inferenceservices")],
    *[(verb, "inferenceservices") for verb in ("promote", "abort", "act-for-others")],
    *[(verb, "pods") for verb in ("create", "update", "deletecollection")],
    *[("create", f"pods/{part}") for part in ("exec", "attach", "portforward", "eviction", "ephemeralcontainers")],
    ("get", "pods/log"),
    ("create", "serviceaccounts/token"),
    *[(verb, "serviceaccounts") for verb in ("update", "patch", "delete", "impersonate")],
    *[("create", kind) for kind in ("roles", "rolebindings", "persistentvolumeclaims", "ingresses", "daemonsets")],
    ("update", "leases/another"),
    ("delete", f"leases/{OPERATOR}"),
]
#: Of the whole cluster.
NOWHERE = [
    ("list", "secrets"),
    ("list", "pods"),
    ("list", "trainingjobs"),
    ("list", "namespaces"),
    ("list", "nodes"),
    ("list", "customresourcedefinitions"),
    ("create", "clusterrolebindings"),
    ("create", "validatingadmissionpolicies"),
]
#: Which of our verbs the built-in roles bring: view, edit, admin.
PEOPLE = [
    ("get", "trainingjobs", (True, True, True)),
    ("watch", "modelversions", (True, True, True)),
    ("list", "inferenceservices", (True, True, True)),
    ("create", "trainingjobs", (False, True, True)),
    ("update", "inferenceservices", (False, True, True)),
    ("delete", "modelversions", (False, True, True)),
    ("promote", "inferenceservices", (False, True, True)),
    ("abort", "inferenceservices", (False, True, True)),
    ("approve", "modelversions", (False, False, True)),
    ("act-for-others", "modelversions", (False, False, False)),
    ("act-for-others", "inferenceservices", (False, False, False)),
    ("update", "modelversions/status", (False, False, False)),
    ("patch", "inferenceservices/status", (False, False, False)),
]


def helm(kubernetes: Kubernetes, *arguments: str) -> None:
    kubernetes.run("helm", *arguments, "--wait", "--timeout", "5m")


def upgrade_system(kubernetes: Kubernetes, *values: str, chart: Path = CHART) -> None:
    """The cluster-wide install, its other values as they are."""
    flags = [part for value in values for part in ("--set", value)]
    helm(kubernetes, "upgrade", "plimsoll", str(chart), "-n", install.SYSTEM, "--reuse-values", *flags)


def upgrade(kubernetes: Kubernetes, namespace: str, *values: str) -> None:
    """The install for one namespace."""
    own = ("crds.install=false", "rbac.userRoles=false", "store.keep=false", f"watchNamespaces={{{namespace}}}")
    flags = [part for value in (*own, *values) for part in ("--set", value)]
    images = cluster.image_values(kubernetes)
    helm(kubernetes, "upgrade", "--install", RELEASE, str(CHART), "-n", namespace, *images, *flags)


@pytest.fixture(scope="module")
def alone(kubernetes: Kubernetes) -> Iterator[Kubernetes]:
    """The cluster-wide operator away, and back afterwards."""
    upgrade_system(kubernetes, "replicas=0")
    yield kubernetes
    install.install(kubernetes)


@pytest.fixture(scope="module")
def tenant(alone: Kubernetes) -> Iterator[str]:
    """A restricted namespace with an install of its own."""
    name = f"e2e-tenant-{uuid.uuid4().hex[:6]}"
    install.restricted_namespace(alone, name)
    try:
        upgrade(alone, name)
        yield name
    finally:
        alone.run("helm", "uninstall", RELEASE, "-n", name, "--ignore-not-found", check=False)
        alone.kubectl("delete", "namespace", name, "--wait=false")


#: Parts of a resource that have rights of their own; what else follows a slash is a name.
PARTS = {"status", "scale", "exec", "attach", "portforward", "eviction", "ephemeralcontainers", "log", "token"}


def rights(
    kubernetes: Kubernetes, user: str, asked: list[tuple[str, str]], namespace: str = ""
) -> dict[tuple[str, str], bool]:
    """Whether `user` may do each of these (verb, resource), in all namespaces where none is named.

    One call for all of them, where `kubectl auth can-i` is a process for each.
    """
    groups = groups_of_resources(kubernetes)
    reviews = [
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": user,
                "groups": groups_of(user),
                "resourceAttributes": attributes(verb, what, groups) | {"namespace": namespace},
            },
        }
        for verb, what in asked
    ]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": reviews})
    answers = kubernetes.kubectl("create", "-f", "-", "-o", r'jsonpath={.status.allowed}{"\n"}', stdin=listed).split()
    return dict(zip(asked, [{"true": True, "false": False}[one] for one in answers], strict=True))


def groups_of_resources(kubernetes: Kubernetes) -> dict[str, str]:
    """The API group of each resource that the server knows, the core one first where two have the same name."""
    names = [line.partition(".") for line in kubernetes.kubectl("api-resources", "-o", "name").split()]
    return {kind: group for kind, _, group in reversed(names)}


def groups_of(user: str) -> list[str]:
    """The groups that the API server puts a user in who comes with a token or a certificate of no group."""
    if not user.startswith("system:serviceaccount:"):
        return ["system:authenticated"]
    return ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{user.split(':')[2]}"]


def attributes(verb: str, what: str, groups: dict[str, str]) -> dict[str, str]:
    kind, _, rest = what.partition("/")
    part = "subresource" if rest in PARTS else "name"
    return {"verb": verb, "group": groups[kind], "resource": kind, part: rest}


def test_operator_and_store_run_where_pod_security_is_restricted(alone: Kubernetes, tenant: str) -> None:
    labels = alone.get("namespace", tenant, "")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for name in (OPERATOR, f"{RELEASE}-plimsoll-store"):
        assert alone.get("deployment", name, tenant)["status"]["readyReplicas"] == 1


def test_the_operator_has_the_rights_that_it_needs_and_no_others(alone: Kubernetes, tenant: str) -> None:
    user = f"system:serviceaccount:{tenant}:{OPERATOR}"
    answers = rights(alone, user, [*MAY, *MAY_NOT], tenant)
    assert answers == dict.fromkeys(MAY, True) | dict.fromkeys(MAY_NOT, False)


def test_the_operator_of_a_namespace_has_no_rights_elsewhere(alone: Kubernetes, tenant: str) -> None:
    user = f"system:serviceaccount:{tenant}:{OPERATOR}"
    assert rights(alone, user, NOWHERE) == dict.fromkeys(NOWHERE, False)
    assert rights(alone, user, MAY, "default") == dict.fromkeys(MAY, False)


@pytest.mark.parametrize("number", [0, 1, 2], ids=["view", "edit", "admin"])
def test_the_built_in_roles_bring_ours(alone: Kubernetes, tenant: str, number: int) -> None:
    role = ("view", "edit", "admin")[number]
    user = f"{role}er"
    name = f"test-{role}-{uuid.uuid4().hex[:6]}"
    alone.kubectl("-n", tenant, "create", "rolebinding", name, f"--clusterrole={role}", f"--user={user}")
    allowed = {(verb, what): answers[number] for verb, what, answers in PEOPLE}
    assert rights(alone, user, list(allowed), tenant) == allowed


def test_the_operator_of_a_namespace_trains_and_serves_with_its_roles_alone(alone: Kubernetes, tenant: str) -> None:
    for name in ("01-train.yaml", "02-serve.yaml"):
        alone.kubectl("-n", tenant, "apply", "-f", str(EXAMPLES / name))
    alone.kubectl("-n", tenant, "wait", "tj/digits-tree", "inf/digits", "--for=condition=Ready", "--timeout=300s")
    codes = api_codes(alone, tenant)
    assert codes.get("200", 0) > 0
    assert {code for code in codes if code in {"401", "403"}} == set()


def test_argo_cd_shows_what_was_trained_and_serves_as_healthy(alone: Kubernetes, tenant: str) -> None:
    alone.kubectl("-n", tenant, "wait", "inf/digits", "--for=condition=Promoted", "--timeout=300s")
    objects = json.loads(alone.kubectl("-n", tenant, "get", "tj,mv,inf", "-o", "json"))["items"]
    found = {one["kind"]: health(one["kind"], one) for one in objects}
    assert {kind: status for kind, (status, _) in found.items()} == dict.fromkeys(
        ("TrainingJob", "ModelVersion", "InferenceService"), "Healthy"
    )
    assert all(message for _, message in found.values())


def api_codes(kubernetes: Kubernetes, namespace: str) -> dict[str, float]:
    """How often the API server gave the operator each status code."""
    path = f"/api/v1/namespaces/{namespace}/services/{OPERATOR}:8085/proxy/metrics"
    codes: dict[str, float] = {}
    for family in text_string_to_metric_families(kubernetes.kubectl("get", "--raw", path)):
        for sample in family.samples:
            if sample.name == "plimsoll_api_requests_total":
                codes[sample.labels["code"]] = codes.get(sample.labels["code"], 0) + sample.value
    return codes


def test_a_changed_value_takes_effect_by_an_upgrade(alone: Kubernetes, tenant: str) -> None:
    serving = pods(alone, tenant, "plimsoll.dev/inferenceservice=digits")
    root = alone.get("secret", f"{RELEASE}-plimsoll-store-root", tenant)["data"]
    upgrade(alone, tenant, "replicas=2", "logLevel=debug")
    assert alone.get("deployment", OPERATOR, tenant)["status"]["readyReplicas"] == 2
    assert pods(alone, tenant, "plimsoll.dev/inferenceservice=digits") == serving, "what serves is left alone"
    assert alone.get("secret", f"{RELEASE}-plimsoll-store-root", tenant)["data"] == root, "made once and kept"


def pods(kubernetes: Kubernetes, namespace: str, selector: str) -> set[str]:
    """UIDs."""
    listed = json.loads(kubernetes.kubectl("-n", namespace, "get", "pods", "-l", selector, "-o", "json"))
    return {pod["metadata"]["uid"] for pod in listed["items"]}


def test_crds_are_upgraded_with_the_chart(alone: Kubernetes, tmp_path: Path) -> None:
    copy = tmp_path / "plimsoll"
    shutil.copytree(CHART, copy)
    crd = copy / "templates" / "crds" / "trainingjobs.yaml"
    text = crd.read_text()
    word = "description: Name of the model"
    assert text.count(word) >= 1
    crd.write_text(text.replace(word, "description: A tried name of the model", 1))
    upgrade_system(alone, chart=copy)
    assert "A tried name of the model" in json.dumps(alone.get("crd", CRD, ""))
    upgrade_system(alone)
    assert "A tried name of the model" not in json.dumps(alone.get("crd", CRD, ""))


def test_an_uninstall_leaves_what_the_users_own(alone: Kubernetes, tenant: str) -> None:
    kept = {kind: names(alone, kind, tenant) for kind in ("tj", "mv", "inf")}
    serving = pods(alone, tenant, "plimsoll.dev/inferenceservice=digits")
    assert all(kept.values())
    assert serving
    helm(alone, "uninstall", RELEASE, "-n", tenant)
    assert {kind: names(alone, kind, tenant) for kind in kept} == kept
    assert pods(alone, tenant, "plimsoll.dev/inferenceservice=digits") == serving, "users are answered all the same"
    assert len(crds(alone)) == len(list((ROOT / "crds").glob("*.yaml")))


def test_an_uninstall_removes_everything_else(alone: Kubernetes, tenant: str) -> None:
    kinds = "deployment,service,serviceaccount,role,rolebinding,pvc"
    labelled = "helm.sh/chart,app.kubernetes.io/managed-by=Helm"
    assert alone.kubectl("-n", tenant, "get", kinds, "-l", labelled, "-o", "name").split() == []
    policies = alone.kubectl("get", "validatingadmissionpolicies,validatingadmissionpolicybindings", "-o", "name")
    assert f"{tenant}-{RELEASE}" not in policies


def names(kubernetes: Kubernetes, kind: str, namespace: str) -> list[str]:
    return kubernetes.kubectl("-n", namespace, "get", kind, "-o", "name").split()


def crds(kubernetes: Kubernetes) -> list[str]:
    return [one for one in kubernetes.kubectl("get", "crd", "-o", "name").split() if one.endswith("plimsoll.dev")]


def test_an_install_again_takes_up_the_crds_and_the_store_that_were_kept(alone: Kubernetes, tenant: str) -> None:
    before = identities(alone)
    helm(alone, "uninstall", "plimsoll", "-n", install.SYSTEM)
    assert len(crds(alone)) == len(list((ROOT / "crds").glob("*.yaml")))
    assert names(alone, "tj", tenant), "the objects of the users are there without an operator"
    install.install(alone, values=("replicas=0",))
    assert identities(alone) == before


def identities(kubernetes: Kubernetes) -> dict[str, Any]:
    """What must outlive an uninstall: the claim's UID and the root key; and the CRDs' UIDs."""
    claim = kubernetes.get("pvc", "plimsoll-store", install.SYSTEM)["metadata"]["uid"]
    root = kubernetes.get("secret", "plimsoll-store-root", install.SYSTEM)["data"]
    return {"claim": claim, "root": root, "crd": kubernetes.get("crd", CRD, "")["metadata"]["uid"]}
