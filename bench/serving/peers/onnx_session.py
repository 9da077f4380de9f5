"""What all peers share: one ONNX Runtime session, one thread, as this server sets it up on one core."""

import os

import numpy as np
import onnxruntime

NAME = os.environ["BENCH_MODEL_NAME"]
PORT = int(os.environ["BENCH_PORT"])
OUTPUTS = ("label", "probabilities")
DATATYPES = {"float32": "FP32", "int64": "INT64"}


def load():
    """The session of the model under test."""
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return onnxruntime.InferenceSession(os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"])


def rows_of(document):
    """The rows of a V2 request of one FP32 tensor."""
    tensor = document["inputs"][0]
    return np.array(tensor["data"], np.float32).reshape(tensor["shape"])


def document_of(answers):
    """A V2 answer, as lists."""
    outputs = [
        {
            "name": name,
            "datatype": DATATYPES[values.dtype.name],
            "shape": list(values.shape),
            "data": values.ravel().tolist(),
        }
        for name, values in zip(OUTPUTS, answers, strict=True)
    ]
    return {"model_name": NAME, "outputs": outputs}
