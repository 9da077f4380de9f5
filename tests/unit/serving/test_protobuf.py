"""Messages of the protocol buffers to arrays and back: every datatype, both forms, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from plimsoll_serving.codec import Answer, InferRequest, Run
from plimsoll_serving.errors import RequestError
from plimsoll_serving.grpc.proto.messages import message
from plimsoll_serving.http.message import Request
from plimsoll_serving.v2.binary import pack
from plimsoll_serving.v2.datatypes import DATATYPES
from plimsoll_serving.v2.protobuf import CONTENT_TYPE, ProtobufCodec, model_of
from plimsoll_serving.v2.signature import Signature, Tensor

InferMessage = message("inference.ModelInferRequest")
InferAnswer = message("inference.ModelInferResponse")
FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


def signature(*datatypes: str) -> Signature:
    """Tensors x0, x1, … of two dimensions, the same in and out."""
    tensors = {f"x{n}": Tensor(f"x{n}", DATATYPES[name], (-1, -1), (None, None)) for n, name in enumerate(datatypes)}
    return Signature(tensors, tensors)


def read(codec: ProtobufCodec, asked: Any, known: Signature) -> InferRequest:
    body = asked if isinstance(asked, bytes) else asked.SerializeToString()
    return codec.decode(Request("POST", "/", "", [(b"content-type", CONTENT_TYPE)], body, True), known)


def asking(inputs: dict[str, tuple[str, Any]], raw: bool = True, **fields: Any) -> Any:
    """A message of arrays by name."""
    asked = InferMessage(model_name="m", **fields)
    for name, (datatype, array) in inputs.items():
        item = asked.inputs.add(name=name, datatype=datatype, shape=array.shape)
        if raw:
            asked.raw_input_contents.append(pack(array))
        else:
            values = array.reshape(-1).tolist()
            encoded = [value.encode() for value in values] if datatype == "BYTES" else values
            getattr(item.contents, FIELDS[datatype]).extend(encoded)
    return asked


@st.composite
def tensors(draw: st.DrawFn) -> list[tuple[str, Any]]:
    names = draw(st.lists(st.sampled_from(sorted(DATATYPES)), min_size=1, max_size=3))
    shape = draw(st.tuples(st.integers(1, 3), st.integers(0, 4)))
    made = []
    for name in names:
        elements = WORDS if name == "BYTES" else None
        made.append((name, draw(arrays.arrays(DATATYPES[name].dtype, shape, elements=elements))))
    return made


def same(left: Any, right: Any) -> bool:
    return left.shape == right.shape and pack(left) == pack(right)


class Served:
    name, version = "m", "1"

    def __init__(self, known: Signature) -> None:
        self.signature = known


@seed(2)
@settings(max_examples=200, deadline=None)
@given(tensors(), st.sampled_from([None, "mine"]))
def test_raw_tensors_of_every_datatype_come_through_bit_by_bit_the_first_time_and_after(
    given_: list[tuple[str, Any]], identifier: str | None
) -> None:
    known, codec = signature(*[name for name, _ in given_]), ProtobufCodec()
    inputs = {f"x{n}": one for n, one in enumerate(given_)}
    for _ in range(3):
        request = read(codec, asking(inputs, id=identifier or ""), known)
        assert (request.id, request.outputs, request.encoding) == (identifier, list(inputs), True)
        assert all(same(request.inputs[name], array) for name, (_, array) in inputs.items())
        response = codec.encode(Answer(request, Run(request.inputs, None, Served(known)), (0, 1), alone=True))
        answer = InferAnswer.FromString(response.body)
        assert (answer.model_name, answer.model_version, answer.id) == ("m", "1", identifier or "")
        assert [(one.name, one.datatype, tuple(one.shape)) for one in answer.outputs] == [
            (name, datatype, array.shape) for name, (datatype, array) in inputs.items()
        ]
        assert list(answer.raw_output_contents) == [pack(array) for _, array in inputs.values()]


@seed(3)
@settings(max_examples=200, deadline=None)
@given(tensors())
def test_typed_contents_come_through_and_are_answered_typed(given_: list[tuple[str, Any]]) -> None:
    inputs = {f"x{n}": one for n, one in enumerate(given_) if one[0] in FIELDS}
    known, codec = signature(*[name for name, _ in given_ if name in FIELDS]), ProtobufCodec()
    inputs = {f"x{n}": one for n, one in enumerate(inputs.values())}
    if not inputs:
        return
    request = read(codec, asking(inputs, raw=False), known)
    assert all(same(request.inputs[name], array) for name, (_, array) in inputs.items())
    response = codec.encode(Answer(request, Run(request.inputs, None, Served(known)), (0, 1), alone=True))
    back = InferAnswer.FromString(response.body)
    assert not back.raw_output_contents
    again = InferMessage(model_name="m")
    for one in back.outputs:
        again.inputs.add(name=one.name, datatype=one.datatype, shape=one.shape, contents=one.contents)
    assert all(same(read(codec, again, known).inputs[name], array) for name, (_, array) in inputs.items())


def test_an_output_without_typed_contents_makes_the_whole_answer_raw() -> None:
    known = Signature(signature("FP32").inputs, signature("FP32", "FP16").outputs)
    codec = ProtobufCodec()
    request = read(codec, asking({"x0": ("FP32", np.ones((1, 2), np.float32))}, raw=False), known)
    outputs = {"x0": np.ones((1, 2), np.float32), "x1": np.ones((1, 2), np.float16)}
    answer = InferAnswer.FromString(
        codec.encode(Answer(request, Run(outputs, None, Served(known)), (0, 1), alone=True)).body
    )  # type: ignore[arg-type]
    assert [len(raw) for raw in answer.raw_output_contents] == [8, 4]


@pytest.mark.parametrize(("told", "raw"), [(True, True), (False, False)])
def test_the_parameters_of_the_binary_extension_decide_how_the_answer_is_written(told: bool, raw: bool) -> None:
    codec, known = ProtobufCodec(), signature("FP32")
    one = {"x0": ("FP32", np.ones((1, 2), np.float32))}
    everywhere = asking(one, raw=not raw)
    everywhere.parameters["binary_data_output"].bool_param = told
    assert read(codec, everywhere, known).encoding is raw
    for_one = asking(one, raw=not raw)
    for_one.outputs.add(name="x0").parameters["binary_data"].bool_param = told
    assert read(codec, for_one, known).encoding is raw


def test_parameters_have_their_types() -> None:
    asked = asking({"x0": ("FP32", np.ones((1, 2), np.float32))})
    asked.parameters["timeout"].int64_param = 5
    asked.parameters["name"].string_param = "x"
    asked.parameters["share"].double_param = 0.5
    assert read(ProtobufCodec(), asked, signature("FP32")).parameters == {"timeout": 5, "name": "x", "share": 0.5}


def test_a_known_form_of_one_model_is_not_that_of_another() -> None:
    codec, body = ProtobufCodec(), asking({"x0": ("FP32", np.ones((2, 2), np.float32))})
    read(codec, body, signature("FP32"))
    with pytest.raises(RequestError, match="takes INT32"):
        read(codec, body, signature("INT32"))


def test_a_message_that_only_looks_like_a_known_form_is_read_with_care() -> None:
    codec, known = ProtobufCodec(), signature("FP32")
    tensor = np.ones((1, 1), np.float32)
    honest = asking({"x0": ("FP32", tensor)}).SerializeToString()
    hidden = b"\xa2\x06\x06" + honest[-6:]  # an unknown field whose end looks like the tensor's own
    for value in (1.0, 2.0):
        disguised = hidden[:-4] + np.float32(value).tobytes()
        assert read(codec, honest + disguised, known).inputs["x0"].tolist() == [[1.0]]


def one(**changes: Any) -> Any:
    """A request of one FP32 tensor with fields of it changed."""
    asked = asking({"x0": ("FP32", np.ones((1, 2), np.float32))})
    for field, value in changes.items():
        if field == "shape":
            asked.inputs[0].shape[:] = value
        elif field == "raw":
            asked.raw_input_contents[:] = value
        elif field == "contents":
            asked.inputs[0].contents.fp32_contents.extend(value)
        else:
            setattr(asked.inputs[0], field, value)
    return asked


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (one(name="y"), "inputs[0].name 'y' is not an input of the model; it has x0"),
        (one(datatype="FP99"), "inputs[0].datatype 'FP99' is unknown"),
        (one(datatype="INT8"), "inputs[0].datatype is INT8, but input 'x0' takes FP32"),
        (one(shape=[1]), "inputs[0].shape is [1], but input 'x0' takes [-1, -1]"),
        (one(shape=[-1, 2]), "inputs[0].shape is not a list of at most 32 sizes"),
        (one(shape=[1, 3]), "raw_input_contents[0] has 2 values, but inputs[0].shape [1, 3] needs 3"),
        (one(raw=[b"abc"]), "raw_input_contents[0] has 3 bytes, not a multiple of 4 for FP32"),
        (one(raw=[b"", b""]), "raw_input_contents has 2 tensors for 1 inputs; send one for each"),
        (one(contents=[1.0]), "inputs[0].contents is given besides raw_input_contents; send one of them"),
        (one(raw=[]), "inputs[0].contents has 0 values, but inputs[0].shape [1, 2] needs 2"),
        (InferMessage(model_name="m"), "inputs lacks x0; the model takes x0"),
        (b"\xff\xff", "the message is not an inference.ModelInferRequest"),
    ],
)
def test_what_is_wrong_is_named(asked: Any, sentence: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(ProtobufCodec(), asked, signature("FP32"))
    assert caught.value.message.startswith(sentence)


@pytest.mark.parametrize(
    ("datatype", "field", "values", "sentence"),
    [
        ("INT8", "int_contents", [1, 128], "inputs[0].contents[1] is 128, not from -128 to 127 for INT8"),
        ("UINT16", "uint_contents", [65_536, 1], "inputs[0].contents[0] is 65536, not from 0 to 65535 for UINT16"),
        ("FP32", "fp64_contents", [1, 2], "inputs[0].contents has fp64_contents; FP32 is sent as fp32_contents"),
        ("FP16", "fp32_contents", [1, 2], "inputs[0].datatype is FP16, which has no contents; send raw_input_contents"),
        ("BYTES", "bytes_contents", [b"a", b"\xff"], "inputs[0].contents[1] is not UTF-8"),
    ],
)
def test_typed_contents_that_do_not_fit_are_named(datatype: str, field: str, values: Any, sentence: str) -> None:
    asked = InferMessage(model_name="m")
    item = asked.inputs.add(name="x0", datatype=datatype, shape=[1, 2])
    getattr(item.contents, field).extend(values)
    with pytest.raises(RequestError) as caught:
        read(ProtobufCodec(), asked, signature(datatype))
    assert caught.value.message.startswith(sentence)


@seed(4)
@settings(max_examples=150, deadline=None)
@given(WORDS, WORDS, st.integers(0, 20_000), st.booleans())
def test_the_model_of_a_message_of_any_size_is_found(name: str, version: str, size: int, shuffled: bool) -> None:
    asked = InferMessage(model_name=name, model_version=version, raw_input_contents=[bytes(size)])
    body = asked.SerializeToString()
    if shuffled:
        head = InferMessage(model_name=name, model_version=version).SerializeToString()
        body = InferMessage(raw_input_contents=[bytes(size)]).SerializeToString() + head
    assert model_of(body) == (name, version)


@seed(5)
@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_raise_anything_but_a_refusal(body: bytes, large: bool) -> None:
    padded = body + b"\x3a\x80\x80\x01" + bytes(16_384) if large else body
    codec, known = ProtobufCodec(), signature("FP32", "BYTES")
    for step in (lambda: model_of(padded), lambda: read(codec, padded, known)):
        try:
            step()
        except RequestError as error:
            assert error.message
