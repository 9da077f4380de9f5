"""The pod that the operator renders, run by the real server: everything that the two promise one another holds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from plimsoll import names
from plimsoll.core.conditions import precise
from plimsoll.core.evidence import window_between
from plimsoll.core.release import inputs
from plimsoll.edge.metrics import Scrape
from plimsoll.facts import PodInputs, Sample
from plimsoll_serving.delegate import Outcome
from plimsoll_serving.feedback.counts import AGES
from plimsoll_serving.metrics import LATENCY_EDGES
from plimsoll_serving.ports import FINISH_SECONDS
from plimsoll_serving.route import parse
from plimsoll_serving.settings import Settings
from plimsoll_serving.shadow.counters import Outcome as Pair
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.contract.conftest import MODEL, NAMESPACE, SERVICE, Rendered, row
from tests.integration.contract.kubelet import Pod
from tests.integration.serving.harness import ROOT, SOURCES, eventually, v2

INFER = f"/v2/models/{MODEL}/infer"
CONTRACTS = (ROOT / "docs" / "contracts.md").read_text()
#: Metric → labels, as docs/contracts.md lists them.
METRICS = {
    name: {label.split(" ")[0] for label in re.sub(r" = .*| \(.*", "", labels).split(", ") if label}
    for name, labels in re.findall(r"^\| `(\w+)` \| [^|]*\| ([^|]*?) ?\|$", CONTRACTS, re.MULTILINE)
}


def asked() -> list[str]:
    """Every metric that the operator knows by name."""
    return [value for name, value in vars(names).items() if name.startswith("METRIC_")]


def read(pod: Pod, *wanted: str) -> dict[str, list[Any]]:
    """Samples by family, of those families or samples only when some are named."""
    url = f"http://{pod.address}:{pod.port('metrics')}/metrics"
    text = httpx.get(url, params=[("name[]", name) for name in wanted], timeout=60).text
    return {family.name: family.samples for family in text_string_to_metric_families(text)}


async def scraped(rendered: Rendered) -> Sample:
    """What the operator's own reader makes of both pods."""
    reader = Scrape(time.time, timeout=30.0)
    try:
        return await reader.sample(NAMESPACE, [pod.manifest for pod in rendered.pods])
    finally:
        await reader.close()


def infer(rendered: Rendered) -> httpx.Response:
    """One request as a user sends it, to the public Service."""
    return httpx.post(f"http://{rendered.network.lead(f'{SERVICE}.{NAMESPACE}.svc:80')}{INFER}", json=row(), timeout=60)


def tell(rendered: Rendered, answer: httpx.Response) -> None:
    """The label of an answer, which turned out to be right."""
    url = f"http://{rendered.network.lead(f'{SERVICE}.{NAMESPACE}.svc:80')}/v2/models/{MODEL}/feedback"
    outputs = {output["name"]: output["data"] for output in answer.json()["outputs"]}
    body = {"prediction_id": answer.headers["plimsoll-prediction-id"], "label": outputs["label"]}
    assert httpx.post(url, json=body, timeout=60).status_code == 200


def test_every_variable_of_the_pod_is_one_that_the_server_reads(rendered: Rendered) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "plimsoll_serving", "--help"],
        env={"PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    known = set(re.findall(r"PLIMSOLL_[A-Z0-9_]+", printed))
    for pod in rendered.pods:
        for container in (*pod.spec["initContainers"], *pod.spec["containers"]):
            given = {one["name"] for one in container["env"] if one["name"].startswith("PLIMSOLL_")}
            assert given - known == set(), container["name"]


def test_the_ports_of_the_pod_are_those_where_the_server_listens_by_itself(rendered: Rendered) -> None:
    pod = rendered.pods[0]
    settings = Settings.from_environment(pod.environment(pod.server))
    listens = {
        "http": settings.public_port,
        "direct": settings.direct_port,
        "metrics": settings.metrics_port,
        "grpc": settings.grpc_port,
        "grpc-direct": settings.grpc_direct_port,
    }
    assert {port["name"]: port["containerPort"] for port in pod.server["ports"]} == listens
    assert listens == {
        "http": names.PORT_PUBLIC,
        "direct": names.PORT_DIRECT,
        "metrics": names.PORT_METRICS,
        "grpc": names.PORT_GRPC,
        "grpc-direct": names.PORT_GRPC_DIRECT,
    }
    for name, path in (("http", "/v2"), ("direct", "/v2"), ("metrics", "/healthz")):
        assert httpx.get(f"http://{pod.address}:{pod.port(name)}{path}").status_code == 200
    for host, number in ((SERVICE, names.PORT_GRPC), (rendered.stable.name, names.PORT_GRPC_DIRECT)):
        with grpc.insecure_channel(rendered.network.lead(f"{host}.{NAMESPACE}.svc:{number}")) as channel:
            assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60).status == 1


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_kubelets_probes_are_answered(rendered: Rendered, probe: str) -> None:
    # As kubelet does: a probe that a busy machine let wait too long is made again.
    eventually(lambda: [pod.probe(probe) for pod in rendered.pods] == [200, 200], "both pods answer it")


def test_the_server_has_no_credentials_and_verifies_what_was_fetched_for_it(rendered: Rendered) -> None:
    for pod, revision in zip(rendered.pods, (rendered.stable, rendered.candidate), strict=True):
        environment = pod.environment(pod.server)
        assert not [name for name in environment if name.startswith("AWS_")]
        settings = Settings.from_environment(environment)
        assert settings.sha256 == revision.digest
        assert sorted(path.name for path in settings.model_dir.iterdir()) == ["model.onnx", "profile.json"]


def test_who_answered_is_told_by_the_names_that_the_operator_gave(rendered: Rendered) -> None:
    for revision in (rendered.stable, rendered.candidate):
        direct = rendered.network.lead(f"{revision.name}.{NAMESPACE}.svc:{names.PORT_DIRECT}")
        headers = httpx.post(f"http://{direct}{INFER}", json=row()).headers
        assert (headers["plimsoll-revision"], headers["plimsoll-model-version"]) == (revision.name, revision.version)


def test_labels_of_the_pod_are_what_the_services_and_the_contract_name(rendered: Rendered) -> None:
    labels = rendered.pods[0].labels
    assert labels[names.LABEL_REVISION] == rendered.stable.name
    assert labels[names.LABEL_COMPONENT] == "serve"
    for key in (*labels, names.ANNOTATION_ROUTE_EPOCH, names.ANNOTATION_COMMAND):
        group, _, word = key.partition("/")
        assert re.search(rf"{re.escape(group)}/(\{{[\w,-]*\b{word}\b[\w,-]*\}}|{word}\b)", CONTRACTS), key


async def test_before_any_request_and_any_route_every_series_is_zero_and_none_is_missing(rendered: Rendered) -> None:
    fresh = [pod for pod in rendered.pods if not (pod.volume("route") / "..data").exists()]
    assert fresh == list(rendered.pods), "this test comes before those that give a route"
    sample = await scraped(rendered)
    assert sample.absent == {}
    for counters in sample.pods:
        outcomes = {"ok", "client_error", "deadline", *names.FAILURE_OUTCOMES}
        assert counters.arm_requests == {(counters.revision, outcome): 0 for outcome in outcomes}
        assert counters.epoch == 0


async def test_the_reader_of_the_operator_sees_every_request_and_the_epoch_of_every_pod(rendered: Rendered) -> None:
    before = {counters.revision: counters.latency[-1] for counters in (await scraped(rendered)).pods}
    rendered.follow(rendered.status(epoch=3))
    eventually(lambda: all(_epoch(pod) == 3 for pod in rendered.pods), "both pods follow epoch 3")
    answered = [infer(rendered) for _ in range(40)]

    assert {answer.status_code for answer in answered} == {200}
    chosen = [answer.headers["plimsoll-revision"] for answer in answered]
    assert set(chosen) == {rendered.stable.name, rendered.candidate.name}
    sample = await scraped(rendered)
    assert sample.absent == {}
    assert [counters.epoch for counters in sample.pods] == [3, 3]
    primary = next(counters for counters in sample.pods if counters.revision == rendered.stable.name)
    for revision in (rendered.stable.name, rendered.candidate.name):
        assert primary.arm_requests[revision, "ok"] == chosen.count(revision)
        assert {primary.arm_requests[revision, outcome] for outcome in ("client_error", *names.FAILURE_OUTCOMES)} == {0}
        served = next(counters for counters in sample.pods if counters.revision == revision)
        assert served.latency[-1] - before[revision] == chosen.count(revision)
        assert served.started <= time.time()


async def test_the_reader_of_the_operator_sees_the_predictions_of_each_version_and_the_labels_that_come_for_them(
    rendered: Rendered,
) -> None:
    before = await scraped(rendered)
    answers = [infer(rendered) for _ in range(30)]
    for answer in answers[:10]:
        tell(rendered, answer)
    window = window_between(
        before, await scraped(rendered), index=1, step=1, weight=50, stable=rendered.stable.name,
        candidate=rendered.candidate.name,
    )  # fmt: skip

    chosen = [answer.headers["plimsoll-model-version"] for answer in answers]
    for output in window.outputs:
        assert (sum(output.stable), sum(output.candidate)) == (chosen.count("1"), chosen.count("2")), output.name
    assert {one.name for one in window.outputs} == {"label", "probabilities"}
    assert {"value:0", "value:1", "value:2", "other"} in [set(one.bins) for one in window.outputs]
    (cohort,) = window.cohorts
    assert (cohort.age, cohort.stable.correct, cohort.candidate.correct) == (
        "1m",
        chosen[:10].count("1"),
        chosen[:10].count("2"),
    )
    assert [counters.version for counters in before.pods] == ["1", "2"]


async def test_the_reader_of_the_operator_tells_inputs_that_shift_for_both_from_those_of_one_arm(
    rendered: Rendered,
) -> None:
    status = rendered.status(epoch=_epoch(rendered.pods[0]))
    known = inputs.look(None, await given(rendered), status, time.time())
    send(rendered.network.lead(f"{SERVICE}.{NAMESPACE}.svc:80"), [1, 2, 3, 4])
    known = inputs.look(known, await given(rendered), status, time.time())
    told = inputs.explained(known)
    assert told == "; both get like inputs, though others than those that they were judged by (a, b, c and 1 more)"

    # Whoever goes round the split: to the candidate alone, and other rows.
    send(f"{rendered.pods[1].address}:{rendered.pods[1].port('direct')}", [0, 2, 3, 4])
    known = inputs.look(known, await given(rendered), status, time.time())
    told = inputs.explained(known)
    assert told.startswith("; their inputs differ, too: a (PSI ") and "most in le:0.5: candidate" in told


def send(address: str, values: list[float]) -> None:
    """Many requests with the same row."""
    with httpx.Client(timeout=60) as client:
        answers = [client.post(f"http://{address}{INFER}", json=v2(values)) for _ in range(220)]
    assert {answer.status_code for answer in answers} == {200}


async def given(rendered: Rendered) -> Sequence[PodInputs]:
    """What both pods were given, as the operator reads it."""
    reader = Scrape(time.time, timeout=30.0)
    try:
        return await reader.inputs([pod.manifest for pod in rendered.pods])
    finally:
        await reader.close()


def _epoch(pod: Pod) -> int:
    return int(read(pod, names.METRIC_ROUTE_EPOCH)[names.METRIC_ROUTE_EPOCH][0].value)


# Those of shadows exist once a route has an arm with mode Mirror: the tests of the server read them.
@pytest.mark.parametrize("metric", sorted(m for m in {*asked(), *METRICS} if not m.startswith("plimsoll_shadow_")))
def test_each_metric_of_the_contract_is_exported_with_its_labels(rendered: Rendered, metric: str) -> None:
    infer(rendered)
    for pod in rendered.pods:
        (samples,) = read(pod, metric).values()
        assert samples
        assert {frozenset(sample.labels) - {"le"} for sample in samples} == {frozenset(METRICS[metric])}
        if "revision" in METRICS[metric]:
            assert pod.labels[names.LABEL_REVISION] in {sample.labels["revision"] for sample in samples}


def test_both_sides_know_the_same_outcomes_and_edges() -> None:
    assert set(Outcome) == {"ok", "client_error", "deadline", *names.FAILURE_OUTCOMES}
    assert {"match", "mismatch", *names.PAIR_FAILURES} <= set(Pair)
    assert AGES == names.LABEL_AGES
    assert LATENCY_EDGES == names.LATENCY_EDGES
    assert f"Latency bucket edges (seconds): {', '.join(f'{edge:g}' for edge in LATENCY_EDGES)}." in CONTRACTS


ROUTES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("two arms", {}, {}),
    ("the candidate waits", {"phase": "Warming", "weight": 0}, {}),
    ("the candidate is primary", {"phase": "Probation", "weight": 95, "primary": "candidate"}, {}),
    ("all for the candidate", {"phase": "Promoting", "weight": 100, "primary": "candidate"}, {}),
    ("taken back", {"phase": "RollingBack", "weight": 0}, {}),
    (
        "an old revision leaves",
        {"retiring": [{"revision": "digits-0", "version": "9", "since": precise(0)}]},
        {},
    ),
    ("sticky", {}, {"traffic": {"stickyHeader": "X-User-Id"}}),
]


@pytest.mark.parametrize(("fields", "spec"), [route[1:] for route in ROUTES], ids=[route[0] for route in ROUTES])
def test_the_server_reads_each_route_as_the_operator_means_it(
    rendered: Rendered, fields: dict[str, Any], spec: dict[str, Any]
) -> None:
    primary = {"candidate": rendered.candidate.name}.get(fields.get("primary", ""), rendered.stable.name)
    config_map = rendered.config_map(rendered.status(**fields | {"primary": primary}), **spec)
    document = json.loads(config_map["data"][names.ROUTE_KEY])
    route = parse(config_map["data"][names.ROUTE_KEY].encode())

    assert (route.epoch, route.primary) == (3, primary)
    assert [(arm.revision, arm.version, arm.weight, f"{arm.host}:{arm.port}") for arm in route.arms] == [
        (arm["revision"], arm["version"], arm["weight"], arm["address"]) for arm in document["arms"]
    ]
    assert sum(arm.weight for arm in route.serving) == 100
    assert (route.blind_after is None) == (len(route.serving) == 1)
    assert route.sticky_header == (b"x-user-id" if spec else None)


def test_a_label_counts_at_a_pod_of_the_other_version_by_the_key_that_the_operator_made(rendered: Rendered) -> None:
    token = infer(rendered).headers["plimsoll-prediction-id"]
    for revision in (rendered.stable, rendered.candidate):
        direct = rendered.network.lead(f"{revision.name}.{NAMESPACE}.svc:{names.PORT_DIRECT}")
        body = {"prediction_id": token, "label": 1}
        assert httpx.post(f"http://{direct}/v2/models/{MODEL}/feedback", json=body).json()["counted"] == 1


def test_a_pod_that_ends_serves_on_for_a_service_without_another_and_has_time_to_finish(rendered: Rendered) -> None:
    pod = rendered.pods[1]
    settings = Settings.from_environment(pod.environment(pod.server))
    assert settings.drain_seconds + FINISH_SECONDS < pod.spec["terminationGracePeriodSeconds"]
    pod.terminate()
    direct = rendered.network.lead(f"{rendered.candidate.name}.{NAMESPACE}.svc:{names.PORT_DIRECT}")
    health = f"http://{direct}/v2/health/ready"
    eventually(lambda: httpx.get(health).status_code == 503, "it tells clients that it is not ready")
    assert (pod.probe("livenessProbe"), pod.probe("readinessProbe")) == (200, 200)
    assert httpx.post(f"http://{direct}{INFER}", json=row()).status_code == 200
