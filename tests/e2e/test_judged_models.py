"""Real pods whose answers are all fine by HTTP: the release judges what they say, and what labels say of it."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy
import onnx
import pytest
import yaml
from sklearn.datasets import load_digits

from demo import install, store
from demo.shell import Kubernetes, Stop
from examples.quickstart import elsewhere
from tests.e2e.follow import following
from tests.e2e.releases import MANIFEST, SERVICE, Service, sound

pytestmark = pytest.mark.usefixtures("namespace")

NAMESPACE = f"e2e-judged-{uuid.uuid4().hex[:6]}"
#: The one class that the second version says too often.
CLASS = 8
#: Requests on one way from here to the service.
FORWARDED = 200


@pytest.fixture(scope="module")
def namespace(kubernetes: Kubernetes) -> Iterator[str]:
    install.restricted_namespace(kubernetes, NAMESPACE)
    yield NAMESPACE
    kubernetes.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def of_one_mind() -> bytes:
    """`sound`, which answers 8 whatever it sees."""
    model = onnx.load_model_from_string(sound())
    node = next(node for node in model.graph.node if node.op_type == "LinearClassifier")
    intercepts = next(attribute for attribute in node.attribute if attribute.name == "intercepts")
    intercepts.floats[CLASS] += 1000.0
    return bytes(model.SerializeToString(deterministic=True))


def profile() -> bytes:
    """Reference bins of the label: this class and all others."""
    label = {"name": "label", "values": [CLASS], "counts": [174, 1623]}
    return json.dumps({"formatVersion": 1, "features": [], "outputs": [label], "sample": []}).encode()


def publish(service: Service, number: int, content: bytes) -> None:
    """A ModelVersion that brings a profile of its own."""
    folder = f"s3://plimsoll-{service.namespace}/uploads/{number}"
    manifest: dict[str, Any] = elsewhere.manifest(SERVICE, number, f"{folder}/model.onnx", content)
    reference = {"uri": f"{folder}/profile.json", "sha256": hashlib.sha256(profile()).hexdigest()}
    manifest["spec"]["profile"] = reference
    with store.bucket(service.kubernetes, service.namespace) as bucket:
        store.upload(bucket, f"{folder}/model.onnx", content)
        store.upload(bucket, f"{folder}/profile.json", profile())
    service.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(manifest))


@pytest.fixture(scope="module")
def service(kubernetes: Kubernetes, namespace: str) -> Iterator[Service]:
    """Version 1 serves; version 2 is ready."""
    made = Service(kubernetes, namespace)
    made.make_bucket()
    for number, content in enumerate((sound(), of_one_mind()), start=1):
        publish(made, number, content)
    made.kubectl("apply", "-f", "-", stdin=json.dumps(MANIFEST))
    made.until(lambda status: status.get("phase") == "Idle" and status["followedEpoch"] == status["epoch"])
    made.kubectl("wait", "mv/digits-v2", "--for=condition=Ready", "--timeout=300s")
    with users(made):
        yield made


@contextlib.contextmanager
def users(service: Service, known: Callable[..., Any] = load_digits) -> Iterator[None]:
    """They send rows of what is known, and tell at once what was true of them; at most 40 requests a second."""
    over, failures = threading.Event(), []
    data, truths = known(return_X_y=True)
    rows = itertools.cycle(zip(data.astype(numpy.float32).tolist(), truths.tolist(), strict=True))

    def ask(client: httpx.Client) -> None:
        for row, truth in itertools.islice(rows, FORWARDED):
            tensor = {"name": "input", "datatype": "FP32", "shape": [1, len(row)], "data": row}
            answer = client.post("infer", json={"inputs": [tensor]})
            label = {"prediction_id": answer.headers["plimsoll-prediction-id"], "label": truth}
            told = client.post("feedback", json=label)
            if (answer.status_code, told.status_code) != (200, 200):
                failures.append((answer.text, told.text))
            if over.wait(1 / 40):
                return

    def come() -> None:
        """The way from here to the service leads to one pod, which stays when it is not the primary any more, and goes
        when its version does: another way is taken again and again."""
        while not over.is_set():
            with (
                contextlib.suppress(httpx.TransportError, Stop),
                service.kubernetes.port_forward(service.namespace, f"service/{SERVICE}", 80) as port,
                httpx.Client(timeout=60, base_url=f"http://127.0.0.1:{port}/v2/models/{SERVICE}") as client,
            ):
                ask(client)

    thread = threading.Thread(target=come, daemon=True)
    thread.start()
    yield
    over.set()
    thread.join(120)
    assert not thread.is_alive() and not failures, failures[:3]


def analysis(service: Service, **changes: Any) -> None:
    change = {"spec": {"release": {"analysis": changes}}}
    service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps(change))


def command(service: Service, verb: str) -> None:
    written = json.dumps({"id": uuid.uuid4().hex, "verb": verb, "by": service.kubectl("auth", "whoami", "-o", WHO)})
    service.kubectl("annotate", "inf", SERVICE, "--overwrite", f"plimsoll.dev/command={written}")


WHO = "jsonpath={.status.userInfo.username}"


def test_a_version_that_says_one_class_too_often_is_held_and_the_sentence_names_the_class(service: Service) -> None:
    attempt = service.release("2")
    held = service.until(lambda status: (status.get("attempt"), status["phase"]) == (attempt, "Held"))
    assert held["heldReason"] == "PredictionShift"
    assert "prediction shift of label: PSI" in held["reason"]
    assert f"most in value:{CLASS}: candidate" in held["reason"] or "most in other: candidate" in held["reason"]
    assert "promote the version if it is meant to, or abort it" in held["message"]
    assert (held["weight"], held["stable"]["version"]) == (50, "1")
    assert {one["type"]: one["reason"] for one in held["conditions"]}["Progressing"] == "PredictionShift"
    command(service, "abort")
    with contextlib.suppress(Stop):  # refused as long as the abort was not read, and obeyed by nobody after it
        command(service, "promote")
    ended = service.ended(attempt)
    assert (ended["history"][0]["outcome"], ended["stable"]["version"]) == ("Aborted", "1")


def test_a_shift_takes_a_version_back_where_the_spec_says_so_and_a_commit_begins_it_anew(service: Service) -> None:
    analysis(service, predictionShift={"onShift": "Rollback"})
    with following(service.kubernetes, service.namespace, f"inf/{SERVICE}", ".status", lambda status: None) as seen:
        attempt = service.release("2")
        service.until(lambda status: status["attempt"] == attempt and status["phase"] != "Preparing")
        env = [{"name": "RUN", "value": uuid.uuid4().hex}]
        service.kubectl("patch", "inf", SERVICE, "--type=merge", "-p", json.dumps({"spec": {"runtime": {"env": env}}}))
        ended = service.ended(attempt + 1)
    anew = next(status for status in seen if status["attempt"] == attempt + 1)
    assert not anew.get("weight"), "it begins at no share"
    assert ended["history"][0]["reason"].startswith("Fail: prediction shift of label: PSI ")
    assert (ended["phase"], ended["stable"]["version"]) == ("RolledBack", "1")


def test_a_version_that_labels_show_to_be_worse_is_taken_back(service: Service) -> None:
    analysis(service, predictionShift={"enabled": False}, accuracy={"enabled": True, "minLabels": 30})
    ended = service.ended(service.release("2"))
    assert ended["history"][0]["outcome"] == "RolledBack"
    assert ended["verdict"]["metric"] == "accuracy"
    assert "labels of equal age; worse than stable less 5%" in ended["history"][0]["reason"]
