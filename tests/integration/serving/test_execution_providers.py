"""What runs the model: a real server tells it, and does not start where it could not be what was asked for.

With OPENVINO, a Python that has requirements/serving-openvino.txt, on OpenVINO as well: `make test-openvino`.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper
from plimsoll.core.release.observed import pod_trouble

from tests.builders import onnx_models
from tests.integration.serving.harness import PATIENCE, RIGHT, Server, running, session, v2

OPENVINO = os.environ.get("OPENVINO", "")
on_openvino = pytest.mark.skipif(not OPENVINO, reason="OPENVINO names no Python that has it: make test-openvino")


def value(name: str, *shape: int | None) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def deep() -> bytes:
    """Sums wide enough to differ in the third digit where a processor takes them in BF16."""
    draw = np.random.default_rng(0).normal
    weights = {"first": draw(size=(4, 64)), "second": draw(size=(64, 64)), "last": draw(size=(64, 3))}
    nodes = [
        helper.make_node("MatMul", ["input", "first"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "second"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("MatMul", ["d", "last"], ["e"]),
        helper.make_node("Tanh", ["e"], ["prediction"]),
    ]
    constants = [numpy_helper.from_array((array / 8).astype(np.float32), name) for name, array in weights.items()]
    return onnx_models.model_bytes(nodes, [value("input", None, 4)], [value("prediction", None, 3)], constants)


def of_scikit_learn() -> bytes:
    """One operator of ai.onnx.ml, of which OpenVINO has none."""
    node = helper.make_node(
        "LinearRegressor", ["input"], ["prediction"], domain="ai.onnx.ml", coefficients=[1.0] * 4, intercepts=[0.0]
    )
    sizes = [value("input", None, 4)], [value("prediction", None, 1)]
    return onnx_models.model_bytes([node], *sizes, domains=["ai.onnx.ml"])


def refusal(server: Server) -> str:
    """What a person reads in the service's status when the pod of such a server does not come up."""
    process = server.start().process
    assert process is not None
    assert process.wait(PATIENCE) == 2
    last = {"exitCode": 2, "reason": "Error", "message": server.log_path.read_text()}
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    status = {"name": "server", "restartCount": 3, "state": state, "lastState": {"terminated": last}}
    trouble = pod_trouble({"metadata": {"name": "p"}, "status": {"containerStatuses": [status]}})
    assert trouble is not None and trouble.fault
    return trouble.message


def asking(folder: Path, provider: str, model: bytes = RIGHT, python: str = "") -> Server:
    server = Server(folder, model, "digits-provider", PLIMSOLL_EXECUTION_PROVIDERS=provider)
    server.python = python or server.python
    return server


@pytest.mark.parametrize("provider", ["CUDAExecutionProvider", "OpenVINOExecutionProvider", "TypoExecutionProvider"])
def test_a_provider_that_the_image_has_not_is_refused_with_the_field_and_the_remedy(
    tmp_path: Path, provider: str
) -> None:
    said = refusal(asking(tmp_path, provider))
    assert f"spec.runtime.executionProvider (PLIMSOLL_EXECUTION_PROVIDERS) is {provider}" in said
    assert "image.servingOpenvino, image.servingCuda), or leave the field out" in said, "not cut off in the status"


def test_a_provider_that_runs_nothing_of_the_model_is_refused(tmp_path: Path) -> None:
    """ONNX Runtime would run everything on the CPU, and say that it has the other one."""
    said = refusal(asking(tmp_path, "AzureExecutionProvider"))
    assert "AzureExecutionProvider can run no operator of this model; leave spec.runtime.executionProvider" in said


@on_openvino
def test_answers_of_openvino_are_those_of_the_cpu_but_for_rounding(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(64, 4)).astype(np.float32)
    right = session(deep()).run(None, {"input": rows})[0]
    with running(asking(tmp_path, "OpenVINOExecutionProvider", deep(), OPENVINO)) as (server,):
        metadata = server.get("/v2/models/digits").json()
        assert metadata["parameters"] == {"execution_providers": "OpenVINOExecutionProvider"}

        def answered(*asked: int) -> Any:
            body = v2(*(rows[row].tolist() for row in asked))
            return np.reshape(server.infer(body).json()["outputs"][0]["data"], (-1, 3))

        with ThreadPoolExecutor(16) as clients:  # what of them runs together is the server's choice
            alone = np.concatenate(list(clients.map(answered, range(len(rows)))))
        together = answered(*range(len(rows)))
        assert server.stop() == 0
    difference = float(max(np.abs(alone - right).max(), np.abs(together - right).max()))
    print(f"OpenVINO and the CPU differ by {difference:.1e} at most")
    assert difference < 1e-5


@on_openvino
def test_openvino_refuses_a_model_of_which_it_runs_nothing(tmp_path: Path) -> None:
    said = refusal(asking(tmp_path, "OpenVINOExecutionProvider", of_scikit_learn(), OPENVINO))
    assert "OpenVINOExecutionProvider can run no operator of this model" in said
