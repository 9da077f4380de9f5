"""What runs, as the chart renders it: least privilege, bounds, and the environment that the operator reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from plimsoll import settings
from plimsoll.facts import Settings

from tests.integration.chart.rendering import Manifest, named, of_kind, pod_of, render

OPERATOR, STORE = "plimsoll-operator", "plimsoll-store"
#: Only for an operator that runs outside a pod: the defaults are right inside.
OUTSIDE = {
    "PLIMSOLL_STORE_PUBLIC_ENDPOINT",
    "PLIMSOLL_STORE_ADMIN_ENDPOINT",
    "PLIMSOLL_WORKERS",
    "PLIMSOLL_HTTP_PORT",
    # Set when the values name a Secret or a ConfigMap for them: see test_sources.py.
    "PLIMSOLL_PROMETHEUS_TOKEN_FILE",
    "PLIMSOLL_PROMETHEUS_CA_FILE",
}
EXTERNAL = ("store.install=false", "store.existingSecret=mine", "store.external.endpoint=https://s3.example.org")


@pytest.fixture(scope="module")
def chart() -> list[Manifest]:
    return render()


def environment(pod: Manifest) -> dict[str, Manifest]:
    return {entry["name"]: entry for entry in pod["containers"][0]["env"]}


def plain(pod: Manifest) -> dict[str, str]:
    """The variables as the process sees them, with placeholders for what only the cluster knows."""
    known = {"PLIMSOLL_NAMESPACE": "plimsoll-system", "PLIMSOLL_POD": "pod-1"}
    return {name: entry.get("value", known.get(name, "secret")) for name, entry in environment(pod).items()}


@pytest.mark.parametrize("name", [OPERATOR, STORE])
def test_a_start_may_take_minutes_on_a_busy_node_and_a_slow_answer_ends_nothing(
    chart: list[Manifest], name: str
) -> None:
    """One that is killed for being slow begins anew where all is just as slow, and never gets anywhere."""
    (container,) = pod_of(chart, name)["containers"]
    start, alive = container["startupProbe"], container["livenessProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= 300
    assert alive["timeoutSeconds"] >= 5
    assert alive["periodSeconds"] * alive["failureThreshold"] >= 60


@pytest.mark.parametrize("name", [OPERATOR, STORE])
def test_every_container_has_requests_and_limits(chart: list[Manifest], name: str) -> None:
    for container in pod_of(chart, name)["containers"]:
        for bound in ("requests", "limits"):
            assert set(container["resources"][bound]) == {"cpu", "memory"}


@pytest.mark.parametrize("name", [OPERATOR, STORE])
def test_every_pod_may_run_where_pod_security_is_restricted(chart: list[Manifest], name: str) -> None:
    pod = pod_of(chart, name)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_only_the_operator_gets_a_token(chart: list[Manifest]) -> None:
    assert pod_of(chart, OPERATOR)["automountServiceAccountToken"] is True
    assert pod_of(chart, STORE)["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod_of(chart, STORE)
    assert all(account["automountServiceAccountToken"] is False for account in of_kind(chart, "ServiceAccount"))


@pytest.mark.parametrize("name", [OPERATOR, STORE])
def test_every_container_is_probed(chart: list[Manifest], name: str) -> None:
    for container in pod_of(chart, name)["containers"]:
        ports = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] in ports


@pytest.mark.parametrize("name", [OPERATOR, STORE])
def test_placement_and_pull_secrets_reach_both_pods(name: str) -> None:
    values = ("nodeSelector.disk=fast", "tolerations[0].key=gpu", "image.pullSecrets={one,two}")
    pod = pod_of(render(*values), name)
    assert pod["nodeSelector"] == {"disk": "fast"}
    assert pod["tolerations"] == [{"key": "gpu"}]
    assert pod["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]


def test_services_find_the_pods_of_their_own_release_only() -> None:
    manifests = render(release="other")
    for service in of_kind(manifests, "Service"):
        labels = named(manifests, "Deployment", service["metadata"]["name"])["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        assert service["spec"]["selector"]["app.kubernetes.io/instance"] == "other"


def test_no_pod_of_the_chart_is_taken_for_one_that_the_operator_manages(chart: list[Manifest]) -> None:
    for deployment in of_kind(chart, "Deployment"):
        assert "app.kubernetes.io/managed-by" not in deployment["spec"]["template"]["metadata"]["labels"]


def test_the_chart_sets_just_the_variables_that_the_operator_reads(chart: list[Manifest]) -> None:
    read = set(re.findall(r'"(PLIMSOLL_[A-Z_]+)"', Path(settings.__file__).read_text()))
    assert set(environment(pod_of(chart, OPERATOR))) == read - OUTSIDE
    assert read >= OUTSIDE


@pytest.mark.parametrize("values", [(), EXTERNAL], ids=["managed store", "external store"])
def test_the_operator_accepts_the_settings_that_the_chart_gives(values: tuple[str, ...]) -> None:
    more = ("watchNamespaces={one,two}", "logLevel=debug", "image.pullPolicy=Always", "image.serving.tag=s1")
    pod = pod_of(render(*values, *more), OPERATOR)
    install = settings.load(plain(pod))
    assert install.facts == Settings(
        namespace="plimsoll-system",
        namespaces=("one", "two"),
        serving_image="plimsoll-serving:s1",
        serving_image_openvino="plimsoll-serving-openvino:0.1.0",
        serving_image_cuda="plimsoll-serving-cuda:0.1.0",
        training_image="plimsoll-training:0.1.0",
        image_pull_policy="Always",
        cluster_domain="cluster.local",
    )
    assert (install.log_level, install.identity, install.store.managed) == ("debug", "pod-1", not values)
    assert install.http_port == pod["containers"][0]["ports"][0]["containerPort"]


def test_the_operator_is_led_to_the_store_of_its_own_release() -> None:
    manifests = render("clusterDomain=corp.example", release="other", namespace="here")
    variables = plain(pod_of(manifests, "other-plimsoll-operator"))
    assert variables["PLIMSOLL_STORE_ENDPOINT"] == "http://other-plimsoll-store.here.svc.corp.example:7070"
    assert named(manifests, "Service", "other-plimsoll-store")["spec"]["ports"][0]["port"] == 7070


def test_a_root_secret_is_made_and_kept(chart: list[Manifest]) -> None:
    secret = named(chart, "Secret", "plimsoll-store-root")
    assert set(secret["data"]) == {"accessKeyId", "secretAccessKey"}
    assert secret["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    claim = named(chart, "PersistentVolumeClaim", STORE)
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_an_uninstall_may_take_the_store_along() -> None:
    manifests = render("store.keep=false")
    for manifest in of_kind(manifests, "Secret", "PersistentVolumeClaim"):
        assert "annotations" not in manifest["metadata"]


def test_a_secret_of_the_users_is_honoured() -> None:
    manifests = render("store.existingSecret=mine")
    assert of_kind(manifests, "Secret") == []
    for name in (OPERATOR, STORE):
        references = [
            entry["valueFrom"]["secretKeyRef"]["name"]
            for entry in environment(pod_of(manifests, name)).values()
            if "secretKeyRef" in entry.get("valueFrom", {})
        ]
        assert references == ["mine", "mine"]


def test_with_a_store_of_the_users_none_is_installed() -> None:
    manifests = render(*EXTERNAL, "store.external.region=eu-central-1")
    assert [one["metadata"]["name"] for one in of_kind(manifests, "Deployment")] == [OPERATOR]
    assert of_kind(manifests, "Secret", "PersistentVolumeClaim") == []
    variables = plain(pod_of(manifests, OPERATOR))
    assert variables["PLIMSOLL_STORE_MODE"] == "external"
    assert variables["PLIMSOLL_STORE_ENDPOINT"] == "https://s3.example.org"
    assert variables["PLIMSOLL_STORE_REGION"] == "eu-central-1"


def test_no_two_writers_share_the_claim(chart: list[Manifest]) -> None:
    store = named(chart, "Deployment", STORE)["spec"]
    assert (store["replicas"], store["strategy"]) == (1, {"type": "Recreate"})


def test_the_service_monitor_finds_the_operators_service() -> None:
    manifests = render("metrics.serviceMonitor=true")
    monitor = named(manifests, "ServiceMonitor", OPERATOR)["spec"]
    service = named(manifests, "Service", OPERATOR)
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert monitor["endpoints"][0]["honorLabels"] is True, "else the namespace of a release would be the operator's"


def test_the_registry_comes_before_every_image() -> None:
    manifests = render("image.registry=registry.example.org/ml/", "image.operator.tag=o", "image.store.tag=s")
    images = [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in of_kind(manifests, "Deployment")]
    assert sorted(images) == [
        "registry.example.org/ml/plimsoll-operator:o",
        "registry.example.org/ml/versity/versitygw:s",
    ]
    variables = plain(pod_of(manifests, OPERATOR))
    assert variables["PLIMSOLL_SERVING_IMAGE"] == "registry.example.org/ml/plimsoll-serving:0.1.0"
    assert variables["PLIMSOLL_SERVING_IMAGE_OPENVINO"] == "registry.example.org/ml/plimsoll-serving-openvino:0.1.0"
    assert variables["PLIMSOLL_SERVING_IMAGE_CUDA"] == "registry.example.org/ml/plimsoll-serving-cuda:0.1.0"
