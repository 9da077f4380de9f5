"""Labels that decide on real pods, of classes and of numbers: as good is promoted, worse is taken back. `make soak`."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import onnx
import pytest
import skl2onnx
from plimsoll.core import ledger
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LinearRegression

from demo import install
from demo.shell import Kubernetes
from tests.e2e.releases import MANIFEST, SERVICE, Service, sound, sound_again
from tests.e2e.test_judged_models import of_one_mind, users

#: So much worse may a version be: a bound that some hundred labels tell from none and from twice as much.
ACCURACY = {"enabled": True, "minLabels": 30, "maxDrop": 0.2, "maxErrorRise": 1.0}
#: What the worse version adds to each number; the truths lie between 25 and 346.
TOO_MUCH = 500.0


def regression(added: float = 0.0, doc: str = "", tilted: float = 0.0) -> bytes:
    """A linear regression: `input` FP32 [-1, 10] → `prediction` FP32 [-1, 1]; `tilted` along its first input, which is
    0 on average."""
    estimator = LinearRegression().fit(*load_diabetes(return_X_y=True))
    estimator.intercept_ += added
    estimator.coef_[0] += tilted
    kinds = [("input", skl2onnx.common.data_types.FloatTensorType([None, 10]))]
    model: onnx.ModelProto = skl2onnx.to_onnx(estimator, initial_types=kinds, target_opset=17)
    model.graph.output[0].name = "prediction"
    model.graph.node[-1].output[:] = ["prediction"]
    model.doc_string = doc
    return bytes(model.SerializeToString(deterministic=True))


#: What users know, and the versions: one that serves, one as good, a worse one.
SORTS: dict[str, tuple[Callable[..., Any], Callable[[], tuple[bytes, ...]]]] = {
    "accuracy": (load_digits, lambda: (sound(), sound_again(), of_one_mind())),
    "absolute error": (load_diabetes, lambda: (regression(), regression(doc="trained again"), regression(TOO_MUCH))),
}


@pytest.fixture(scope="module", params=SORTS)
def service(kubernetes: Kubernetes, request: pytest.FixtureRequest) -> Iterator[Service]:
    """Version 1 serves; 2 is as good, 3 is worse, and no request fails."""
    known, versions = SORTS[request.param]
    namespace = f"e2e-labels-{uuid.uuid4().hex[:6]}"
    install.restricted_namespace(kubernetes, namespace)
    made, manifest = Service(kubernetes, namespace), copy.deepcopy(MANIFEST)
    manifest["spec"]["release"]["analysis"] |= {"accuracy": ACCURACY, "predictionShift": {"enabled": False}}
    made.make_bucket()
    for number, content in enumerate(versions(), start=1):
        made.publish(number, content)
    made.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    made.until(lambda status: status.get("phase") == "Idle" and status["followedEpoch"] == status["epoch"])
    made.kubectl("wait", "mv/digits-v2", "mv/digits-v3", "--for=condition=Ready", "--timeout=300s")
    with users(made, known):
        yield made
    kubernetes.kubectl("delete", "namespace", namespace, "--wait=false")


def test_a_version_that_is_as_good_by_its_labels_is_promoted(service: Service) -> None:
    ended = service.ended(service.release("2"))
    assert (ended["history"][0]["outcome"], ended["stable"]["version"]) == ("Promoted", "2")
    assert ended["verdict"]["outcome"] == "Pass"
    found = service.kubernetes.get("configmap", f"{SERVICE}-attempt-{ended['attempt']}", service.namespace)
    windows = ledger.decode(found["data"]["ledger.json"]).windows
    labels = [cohort.candidate for window in windows for cohort in window.cohorts]
    assert sum(one.correct + one.incorrect + one.measured for one in labels) >= ACCURACY["minLabels"]


def test_a_version_that_is_worse_by_its_labels_is_taken_back(service: Service, request: pytest.FixtureRequest) -> None:
    before = service.until(lambda status: status["phase"] in ("Idle", "RolledBack"))
    ended = service.ended(service.release("3"))
    assert (ended["phase"], ended["stable"]) == ("RolledBack", before["stable"])
    assert request.node.callspec.params["service"] in ended["history"][0]["reason"]
    assert "labels of equal age" in ended["history"][0]["reason"]
