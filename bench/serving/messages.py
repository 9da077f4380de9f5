"""The few messages of the Open Inference Protocol's gRPC half that are needed here, as protobuf knows them.

Field numbers are those of the protocol's `open_inference_grpc.proto`, package `inference`.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

METHOD = "/inference.GRPCInferenceService/ModelInfer"

_KINDS = {"string": 9, "bytes": 12, "int64": 3, "uint32": 13, "int32": 5, "uint64": 4, "bool": 8}
_KINDS |= {"float": 2, "double": 1}
_OPTIONAL, _REPEATED, _MESSAGE = 1, 3, 11

# message: [(field, number, kind, repeated)]; a kind that starts with a dot is a message.
_TENSOR = [
    ("name", 1, "string", False),
    ("datatype", 2, "string", False),
    ("shape", 3, "int64", True),
    ("contents", 5, ".inference.InferTensorContents", False),
]
_MESSAGES: dict[str, list[tuple[str, int, str, bool]]] = {
    "InferTensorContents": [
        ("bool_contents", 1, "bool", True),
        ("int_contents", 2, "int32", True),
        ("int64_contents", 3, "int64", True),
        ("uint_contents", 4, "uint32", True),
        ("uint64_contents", 5, "uint64", True),
        ("fp32_contents", 6, "float", True),
        ("fp64_contents", 7, "double", True),
        ("bytes_contents", 8, "bytes", True),
    ],
    "InferInputTensor": _TENSOR,
    "InferOutputTensor": _TENSOR,
    "ModelInferRequest": [
        ("model_name", 1, "string", False),
        ("model_version", 2, "string", False),
        ("id", 3, "string", False),
        ("inputs", 5, ".inference.InferInputTensor", True),
        ("raw_input_contents", 7, "bytes", True),
    ],
    "ModelInferResponse": [
        ("model_name", 1, "string", False),
        ("model_version", 2, "string", False),
        ("id", 3, "string", False),
        ("outputs", 5, ".inference.InferOutputTensor", True),
        ("raw_output_contents", 6, "bytes", True),
    ],
}


def _pool() -> descriptor_pool.DescriptorPool:
    # A pool of its own: servers' packages may register the same names in the default one.
    file = descriptor_pb2.FileDescriptorProto(name="bench.proto", package="inference", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            added = message.field.add(name=field, number=number, label=_REPEATED if repeated else _OPTIONAL)
            if kind.startswith("."):
                added.type, added.type_name = _MESSAGE, kind
            else:
                added.type = _KINDS[kind]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


_POOL = _pool()


def message(name: str) -> Any:
    """The class of a message of the package."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"inference.{name}"))
