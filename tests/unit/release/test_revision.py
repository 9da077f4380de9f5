"""What makes a revision, and what its children look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from plimsoll import names
from plimsoll.api.modelversion import ModelVersionSpec
from plimsoll.api.runtime import Runtime
from plimsoll.core.revision import (
    deployment,
    direct_service,
    disruption_budget,
    find,
    inputs_hash,
    load,
    render,
    stored,
)
from plimsoll.core.serving_pod import Serving
from plimsoll.facts import Settings

from tests.builders.release import version

SETTINGS = Settings(serving_image="registry.example/plimsoll-serving@sha256:1")


def serving(**runtime: Any) -> Serving:
    model = ModelVersionSpec.model_validate(version(7)["spec"])
    return Serving("digits", "demo", "7", model, Runtime.model_validate(runtime))


def pod(**runtime: Any) -> dict[str, Any]:
    spec: dict[str, Any] = render(serving(**runtime), SETTINGS, None, 1).template["spec"]
    return spec


def containers(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from spec["initContainers"]
    yield from spec["containers"]


def variables(container: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value") for one in container["env"]}


def test_the_same_inputs_give_the_same_name() -> None:
    assert render(serving(), SETTINGS, None, 1).name == render(serving(), SETTINGS, None, 9).name


@pytest.mark.parametrize(
    "runtime",
    [
        {"env": [{"name": "A", "value": "b"}]},
        {"resources": {"cpu": "1"}},
        {"intraOpThreads": 2},
        {"nodeSelector": {"a": "b"}},
        {"executionProvider": "OpenVINOExecutionProvider"},
        {"resources": {"extended": {"nvidia.com/gpu": 1}}},
    ],
)
def test_another_runtime_is_another_revision(runtime: dict[str, Any]) -> None:
    assert inputs_hash(serving(**runtime)) != inputs_hash(serving())
    assert render(serving(**runtime), SETTINGS, None, 1).name != render(serving(), SETTINGS, None, 1).name


def test_the_number_of_replicas_is_no_part_of_a_revision() -> None:
    assert render(serving(replicas=5), SETTINGS, None, 1) == render(serving(), SETTINGS, None, 1)


def test_another_image_is_another_name_but_not_another_wish_of_the_user() -> None:
    upgraded = Settings(serving_image="registry.example/plimsoll-serving@sha256:2")
    old, new = render(serving(), SETTINGS, None, 1), render(serving(), upgraded, None, 2)
    assert old.name != new.name
    assert old.inputs == new.inputs


def test_a_stored_revision_is_read_back_as_it_was() -> None:
    revision = render(serving(), SETTINGS, {"inputs": [], "outputs": []}, 3)
    assert load(stored(revision)) == revision


def test_of_two_revisions_with_the_same_inputs_the_newest_is_found() -> None:
    upgraded = Settings(serving_image="registry.example/plimsoll-serving@sha256:2")
    old, new = render(serving(), SETTINGS, None, 1), render(serving(), upgraded, None, 2)
    assert find([old, new], old.inputs) == new
    assert find([old, new], "other") is None


def test_no_container_may_do_more_than_it_needs() -> None:
    spec = pod()
    assert spec["automountServiceAccountToken"] is False
    assert spec["serviceAccountName"] == "plimsoll-serve"
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 65532
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(spec):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys() & container["resources"]["limits"].keys()


def test_only_the_fetching_container_has_the_stores_credentials() -> None:
    fetch, server = containers(pod())
    assert fetch["envFrom"] == [{"secretRef": {"name": "plimsoll-store"}}]
    assert fetch["args"] == ["fetch"]
    assert "envFrom" not in server


def test_the_server_is_told_everything_that_the_contract_names() -> None:
    _, server = containers(pod(intraOpThreads=2))
    told = variables(server)
    assert told["PLIMSOLL_MODEL_NAME"] == "digits"
    assert told["PLIMSOLL_MODEL_VERSION"] == "7"
    assert told["PLIMSOLL_REVISION"] == render(serving(intraOpThreads=2), SETTINGS, None, 1).name
    assert told["PLIMSOLL_ROUTE_PATH"] == "/plimsoll/route/route.json"
    assert told["PLIMSOLL_INTRA_OP_THREADS"] == "2"
    assert {"PLIMSOLL_SERVICE", "PLIMSOLL_NAMESPACE", "PLIMSOLL_POD", "PLIMSOLL_ARTIFACT_SHA256"} <= told.keys()
    assert {port["name"]: port["containerPort"] for port in server["ports"]} == {
        "http": 8080,
        "direct": 8083,
        "metrics": 8082,
        "grpc": 8081,
        "grpc-direct": 8084,
    }


def test_the_server_signs_prediction_ids_with_the_key_of_its_namespace_if_there_is_one() -> None:
    spec = pod()
    fetch, server = containers(spec)
    volume = next(one for one in spec["volumes"] if one["name"] == "feedback")
    assert volume["secret"] == {"secretName": "plimsoll-feedback-key", "optional": True}
    assert {"name": "feedback", "mountPath": "/plimsoll/feedback", "readOnly": True} in server["volumeMounts"]
    assert variables(server)["PLIMSOLL_FEEDBACK_KEY_FILE"] == "/plimsoll/feedback/key"
    assert "feedback" not in {mount["name"] for mount in fetch["volumeMounts"]}


def test_the_payload_log_is_set_by_variables_and_absent_without_it() -> None:
    log = {"samplePercent": 0.5, "sink": "http://broker.events.svc/demo", "mask": ["income", "name"]}
    _, server = containers(pod(payloadLog=log))
    _, without = containers(pod())
    told = {name: value for name, value in variables(server).items() if "PAYLOAD" in name}
    assert told == {
        "PLIMSOLL_PAYLOAD_LOG": "0.005",
        "PLIMSOLL_PAYLOAD_LOG_SINK": "http://broker.events.svc/demo",
        "PLIMSOLL_PAYLOAD_LOG_MASK": "income,name",
    }
    assert not [name for name in variables(without) if "PAYLOAD" in name]
    plain, logged = render(serving(), SETTINGS, None, 1), render(serving(payloadLog=log), SETTINGS, None, 2)
    assert plain.inputs != logged.inputs


def test_a_payload_log_in_a_store_has_the_keys_of_its_own_secret_and_the_operator_none_of_them() -> None:
    log = {"samplePercent": 1, "sink": "s3://payloads/digits"}
    fetch, server = containers(pod(payloadLog=log))
    asked = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in server["env"] if "AWS" in one["name"]}
    assert {name: (one["key"], one.get("optional", False)) for name, one in asked.items()} == {
        "AWS_ACCESS_KEY_ID": ("AWS_ACCESS_KEY_ID", False),
        "AWS_SECRET_ACCESS_KEY": ("AWS_SECRET_ACCESS_KEY", False),
        "AWS_ENDPOINT_URL": ("AWS_ENDPOINT_URL", True),
        "AWS_REGION": ("AWS_REGION", True),
    }
    ca = next(one for one in server["env"] if one["name"] == "PLIMSOLL_PAYLOAD_LOG_CA")["valueFrom"]["secretKeyRef"]
    assert ca == {"name": "plimsoll-payload-log", "key": "ca.crt", "optional": True}
    assert {one["name"] for one in asked.values()} == {"plimsoll-payload-log"}
    assert variables(server)["PLIMSOLL_PAYLOAD_LOG_SINK"] == "s3://payloads/digits"
    assert not [one for one in fetch["env"] if "valueFrom" in one], "the fetching container has the store's"


@pytest.mark.parametrize("runtime", [{}, {"payloadLog": {"samplePercent": 1, "sink": "https://broker.demo.svc/a"}}])
def test_a_server_has_no_keys_of_a_store_that_it_does_not_write_to(runtime: dict[str, Any]) -> None:
    _, server = containers(pod(**runtime))
    assert [one["name"] for one in server["env"] if "valueFrom" in one] == ["PLIMSOLL_POD"]


@pytest.mark.parametrize(
    ("provider", "image"),
    [
        (None, "serving@sha256:1"),
        ("CPUExecutionProvider", "serving@sha256:1"),
        ("OpenVINOExecutionProvider", "of-openvino"),
        ("CUDAExecutionProvider", "of-cuda"),
    ],
)
def test_what_the_model_runs_on_has_its_image_and_is_told_to_the_server(provider: str | None, image: str) -> None:
    settings = replace(SETTINGS, serving_image_openvino="of-openvino", serving_image_cuda="of-cuda")
    asked = {"executionProvider": provider} if provider else {}
    spec = render(serving(**asked), settings, None, 1).template["spec"]
    fetch, server = containers(spec)
    assert server["image"].endswith(image)
    assert fetch["image"] == server["image"], "one image to pull"
    assert variables(server).get("PLIMSOLL_EXECUTION_PROVIDERS") == provider


def test_devices_are_requested_and_limited_alike_of_the_server_alone() -> None:
    fetch, server = containers(pod(resources={"extended": {"nvidia.com/gpu": 1}}))
    assert server["resources"] == {
        "requests": {"cpu": "500m", "memory": "512Mi", "nvidia.com/gpu": "1"},
        "limits": {"cpu": "1000m", "memory": "512Mi", "nvidia.com/gpu": "1"},
    }
    assert "nvidia.com/gpu" not in fetch["resources"]["limits"]


def test_a_variable_of_the_user_cannot_override_the_contract() -> None:
    _, server = containers(pod(env=[{"name": "PLIMSOLL_REVISION", "value": "mine"}, {"name": "MINE", "value": "1"}]))
    named = [one["name"] for one in server["env"]]
    assert named.count("PLIMSOLL_REVISION") == 1
    assert variables(server)["PLIMSOLL_REVISION"] != "mine"
    assert variables(server)["MINE"] == "1"


def test_an_empty_variable_is_written_as_the_api_server_keeps_it() -> None:
    _, server = containers(pod(env=[{"name": "EMPTY", "value": ""}]))
    assert {"name": "EMPTY"} in server["env"]


def test_the_cpu_limit_is_twice_the_request_unless_it_is_given() -> None:
    _, server = containers(pod(resources={"cpu": "250m", "memory": "1Gi"}))
    assert server["resources"]["limits"] == {"cpu": "500m", "memory": "1Gi"}
    _, server = containers(pod(resources={"cpu": "250m", "memory": "1Gi", "cpuLimit": "2"}))
    assert server["resources"]["limits"]["cpu"] == "2"


def test_the_deployment_says_nothing_of_replicas() -> None:
    manifest = deployment(render(serving(), SETTINGS, None, 1))
    assert "replicas" not in manifest["spec"]
    assert manifest["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@pytest.mark.parametrize("make", [deployment, direct_service, disruption_budget, stored])
def test_every_child_carries_the_labels_that_find_it(make: Callable[..., dict[str, Any]]) -> None:
    labels = make(render(serving(), SETTINGS, None, 1))["metadata"]["labels"]
    assert labels[names.LABEL_INFERENCE_SERVICE] == "digits"
    assert labels[names.LABEL_VERSION] == "7"
    assert labels[names.LABEL_MANAGED_BY] == "plimsoll"
    assert "app.kubernetes.io/instance" not in labels


def test_a_broken_pod_never_blocks_a_drain() -> None:
    spec = disruption_budget(render(serving(), SETTINGS, None, 1))["spec"]
    assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
