"""What users get is what ONNX Runtime answers to their rows alone, bit for bit, whoever else asks at the same time."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto

from tests.builders import echo_models
from tests.builders.echo_models import ELEMENTS
from tests.integration.serving import grpc_client
from tests.integration.serving.harness import (
    MODEL,
    Server,
    eventually,
    put_route,
    route_document,
    running,
    session,
)
from tests.integration.serving.wire import (
    BFLOAT16,
    Arrays,
    Ask,
    Line,
    Told,
    ask_together,
    datatype_of,
    numpy_type,
    pack,
    unpack,
)

PLAIN = [name for name in ELEMENTS if name != "BF16"]
MODELS: dict[str, Callable[[], bytes]] = {
    "types": lambda: echo_models.of_every_type(PLAIN),
    "bf16": echo_models.of_bf16,
    "text and bf16": echo_models.of_text_and_bf16,
    "ranks": echo_models.of_every_rank,
    "fixed": echo_models.of_fixed_shape,
    "widths": echo_models.of_several_widths,
    "shares": echo_models.column_shares,
    "counts": echo_models.column_counts,
    "numbered classes": lambda: echo_models.of_classes([7, 10, 20]),
    "named classes": lambda: echo_models.of_classes(["blau", "gelb", "Übel"]),
}
#: More by hand: `EQUALITY_EXAMPLES=2000`.
EXAMPLES = int(os.environ.get("EQUALITY_EXAMPLES", "40"))
TYPES = {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(float16)": "FP16",
    "tensor(bfloat16)": "BF16",
    "tensor(string)": "BYTES",
}


class Served:
    """A model behind a real server, and the same model in ONNX Runtime here."""

    def __init__(self, server: Server, data: bytes) -> None:
        self.server = server
        self.session = session(data)
        self.inputs = {node.name: (_datatype(node.type), node.shape) for node in self.session.get_inputs()}
        self.outputs = [node.name for node in self.session.get_outputs()]
        self.bf16 = frozenset(node.name for node in self.session.get_outputs() if _datatype(node.type) == "BF16")

    def expected(self, arrays: Arrays) -> Arrays:
        answers = self._answers(arrays)
        # A list of dictionaries (ZipMap) is served as a matrix, and as wide without rows.
        tables = [_table(answer, arrays["input"].shape) if isinstance(answer, list) else answer for answer in answers]
        return dict(zip(self.outputs, tables, strict=True))

    def _answers(self, arrays: Arrays) -> list[Any]:
        """ONNX Runtime takes and gives BF16, which numpy does not have, as values of its own only."""
        feeds = {name: _value(array) for name, array in arrays.items()}
        if not self.bf16:
            return list(self.session.run(self.outputs, feeds))
        values = {
            name: feed if array.dtype == BFLOAT16 else onnxruntime.OrtValue.ortvalue_from_numpy(array)
            for (name, array), feed in zip(arrays.items(), feeds.values(), strict=True)
        }
        answers = self.session.run_with_ort_values(self.outputs, values)
        return [
            _array(one) if name in self.bf16 else one.numpy() for name, one in zip(self.outputs, answers, strict=True)
        ]

    def check(self, ask: Ask, told: Told) -> None:
        """The answer is to this request and is right."""
        assert told.status == 200, told.document
        assert told.document["id"] == ask.id
        wanted = ask.outputs or dict.fromkeys(self.outputs, False)
        assert list(told.arrays) == list(wanted)
        assert told.binary == {name for name, binary in wanted.items() if binary}
        expected = self.expected(ask.arrays)
        for name, array in told.arrays.items():
            right = expected[name]
            if not (wanted[name] and name.removeprefix("echo_") in ask.binary_inputs):
                # JSON has one NaN only; which one a calculation makes depends on where its operands lie in memory.
                array, right = _with_one_nan(array), _with_one_nan(right)
            assert same(array, right), f"{name}: {array!r} instead of {right!r}"


def _table(rows: list[dict[Any, float]], shape: tuple[int, ...]) -> NDArray[Any]:
    return np.array([list(row.values()) for row in rows], np.float32).reshape(shape)


def _value(array: NDArray[Any]) -> Any:
    if array.dtype != BFLOAT16:
        return array
    bits = np.ascontiguousarray(array).view(np.uint16)
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, TensorProto.BFLOAT16)


def _array(value: Any) -> NDArray[Any]:
    """A copy of a value of BF16."""
    size = int(np.prod(value.shape())) * BFLOAT16.itemsize
    data = ctypes.string_at(value.data_ptr(), size) if size else b""
    return np.frombuffer(data, BFLOAT16).reshape(value.shape())


def _datatype(onnx_type: str) -> str:
    return TYPES.get(onnx_type) or onnx_type.removeprefix("tensor(").removesuffix(")").upper()


def _with_one_nan(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind != "f" and array.dtype != BFLOAT16:
        return array
    return np.where(np.isnan(array), np.array(np.nan, array.dtype), array)


def same(given: NDArray[Any], right: NDArray[Any]) -> bool:
    """Same type, same shape, same bits."""
    if (datatype_of(given), given.shape) != (datatype_of(right), right.shape):
        return False
    return given.tolist() == right.tolist() if right.dtype.kind == "O" else given.tobytes() == right.tobytes()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Served]]:
    folder: Path = tmp_path_factory.mktemp("equality")
    files = {name: build() for name, build in MODELS.items()}
    servers = {name: Server(folder / name, data, f"{name}-aaaa") for name, data in files.items()}
    with running(*servers.values()):
        yield {name: Served(server, files[name]) for name, server in servers.items()}


@st.composite
def elements(draw: st.DrawFn, datatype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Any bits that the type can have."""
    size = int(np.prod(shape))
    if datatype == "BYTES":
        texts = draw(st.lists(st.text(max_size=6), min_size=size, max_size=size))
        return np.array([*texts, None], dtype=object)[:-1].reshape(shape)
    kind = numpy_type(datatype)
    raw = draw(st.binary(min_size=size * kind.itemsize, max_size=size * kind.itemsize))
    if datatype == "BOOL":
        return (np.frombuffer(raw, np.uint8) & 1).astype(bool).reshape(shape)
    return np.frombuffer(raw, kind).reshape(shape)


@st.composite
def asks(
    draw: st.DrawFn, inputs: dict[str, tuple[str, list[Any]]], outputs: list[str], bf16: frozenset[str] = frozenset()
) -> Ask:
    """A request of any sizes the model allows, each tensor in any form, and some or all of the outputs.

    Args:
        bf16: outputs that JSON cannot carry.
    """
    named: dict[str, int] = {}
    arrays = {}
    for name, (datatype, shape) in inputs.items():
        sizes = tuple(_size(draw, size, named) for size in shape)
        arrays[name] = draw(elements(datatype, sizes))
    always = {name for name, (datatype, _) in inputs.items() if datatype == "BF16"}
    binary = draw(st.frozensets(st.sampled_from(list(inputs)))) | always
    some = st.lists(st.sampled_from(outputs), unique=True, min_size=1)
    wanted = draw(some if bf16 else st.none() | some)
    forms = None if wanted is None else {name: name in bf16 or draw(st.booleans()) for name in wanted}
    return Ask(arrays, binary_inputs=binary, outputs=forms)


def _size(draw: st.DrawFn, size: int | str | None, named: dict[str, int]) -> int:
    if isinstance(size, int):
        return size
    if size is None:
        return draw(st.integers(0, 3))
    if size not in named:
        named[size] = draw(st.integers(0, 4))
    return named[size]


@pytest.mark.parametrize("model", MODELS)
def test_any_mix_of_requests_is_answered_as_onnxruntime_answers_each(served: dict[str, Served], model: str) -> None:
    one = served[model]

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(asks(one.inputs, one.outputs, one.bf16), st.booleans()), min_size=1, max_size=8))
    def together(mix: list[tuple[Ask, bool]]) -> None:
        note(f"{mix}")
        named = [(replace(ask, id=str(i)), over_grpc) for i, (ask, over_grpc) in enumerate(mix)]
        _each_over_its_protocol(one, call, named)

    with grpc_client.channel(one.server) as opened:
        call = grpc_client.infer(opened)
        together()


LINES, ROUNDS = 64, 12


def test_no_row_ever_reaches_another_requester(served: dict[str, Served]) -> None:
    """Every value of every row says whose it is, on many connections that all have requests under way."""
    one = served["widths"]
    _each_gets_its_own(one, one.server, ROUNDS)
    rows = one.server.counts("plimsoll_batch_size_sum", "model")
    assert sum(rows.values()) >= LINES * ROUNDS


def test_no_row_ever_reaches_another_requester_when_requests_are_sent_on_together(
    served: dict[str, Served], tmp_path: Path
) -> None:
    one = served["widths"]
    with running(Server(tmp_path, MODELS["widths"](), "digits-first")) as (first,):
        put_route(first, route_document([first, one.server], first, 1, [0, 100], delegateTimeoutSeconds=20.0))
        eventually(lambda: first.get("/route", "metrics").json()["epoch"] == 1, "the route")
        _each_gets_its_own(one, first, ROUNDS)
        counts = first.counts("plimsoll_arm_requests_total", "revision", "outcome")
    assert counts[f"{one.server.revision} ok"] == LINES * ROUNDS


def _each_gets_its_own(one: Served, server: Server, rounds: int) -> None:
    random = np.random.default_rng(4)
    lines = [Line(server) for _ in range(LINES)]
    for turn in range(rounds):
        asked = [_signed(turn * LINES + number, random) for number in range(LINES)]
        for line, ask in zip(lines, asked, strict=True):
            line.send(ask.bytes())
        for line, ask in zip(lines, asked, strict=True):
            one.check(ask, line.answer())
    for line in lines:
        line.close()


def _signed(number: int, random: np.random.Generator) -> Ask:
    """A request of 1 to 5 rows, all of whose values are made of its number and of the row."""
    rows, width = int(random.integers(1, 6)), int(random.integers(1, 3))
    key = number * 8 + np.arange(rows)
    values = np.repeat(key.astype(np.float32)[:, None], width, axis=1)
    arrays: Arrays = {
        "values": values,
        "key": key,
        "text": np.array([f"row {k}" for k in key], dtype=object)[:, None],
        "cube": np.repeat(key.astype(np.float64), 2 * width).reshape(rows, 2, width),
    }
    binary = [name for name in arrays if random.random() < 0.5]
    outputs = {name: bool(random.random() < 0.5) for name in ("keyed", "doubled", "echo_text", "echo_cube")}
    return Ask(arrays, f"request {number}", frozenset(binary), outputs)


def test_no_row_ever_reaches_another_requester_over_grpc_and_rest_together(served: dict[str, Served]) -> None:
    one = served["widths"]
    random = np.random.default_rng(5)
    with grpc_client.channel(one.server) as opened:
        call = grpc_client.infer(opened)
        for turn in range(ROUNDS):
            asked = [(_signed(turn * LINES + number, random), number % 2 == 0) for number in range(LINES)]
            _each_over_its_protocol(one, call, asked)


def _each_over_its_protocol(one: Served, call: Callable[..., Any], asked: list[tuple[Ask, bool]]) -> None:
    """Send all before the first answer is read; each is with whether it goes over gRPC."""
    pending = [(ask, call.future(grpc_request(ask), timeout=120)) for ask, over_grpc in asked if over_grpc]
    over_rest = [ask for ask, over_grpc in asked if not over_grpc]
    for ask, told in zip(over_rest, ask_together(one.server, over_rest), strict=True):
        one.check(ask, told)
    for ask, future in pending:
        everything = dict.fromkeys(ask.outputs or one.outputs, True)
        raw = replace(ask, binary_inputs=frozenset(ask.arrays), outputs=everything)
        one.check(raw, grpc_answer(future.result()))


def grpc_request(ask: Ask) -> Any:
    """The same request with raw contents."""
    request = grpc_client.InferRequest(model_name=MODEL, id=ask.id)
    for name, array in ask.arrays.items():
        request.inputs.add(name=name, datatype=datatype_of(array), shape=array.shape)
        request.raw_input_contents.append(pack(array))
    for name in ask.outputs or ():
        request.outputs.add(name=name)
    return request


def grpc_answer(answer: Any) -> Told:
    """An answer with raw contents, as one over REST."""
    arrays = {
        output.name: unpack(raw, output.datatype).reshape(list(output.shape))
        for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }
    return Told(200, {"id": answer.id}, arrays, frozenset(arrays))


EXTREMES: dict[str, list[Any]] = {
    "FP16": [65504.0, 6e-8, 0.1, -0.0, np.nan, np.inf, -np.inf],
    "FP32": [3.4028235e38, 1.4e-45, 1.1754942e-38, 0.1, 16777217.0, -0.0, np.nan, np.inf, -np.inf],
    "FP64": [1.7976931348623157e308, 5e-324, 2.225073858507201e-308, 0.1, 9007199254740993.0, -0.0, np.nan, -np.inf],
    "INT64": [-(2**63), 2**63 - 1, 2**53 + 1, -(2**53) - 1, 0],
    "UINT64": [2**64 - 1, 2**63, 2**53 + 1, 0],
    "BYTES": ["", "\x00", "\u2028 \u2029", '"\\/', "\x1f\x7f", "\N{PILE OF POO}", "\ufeff", "ü" * 300],
}


@pytest.mark.parametrize("datatype", EXTREMES)
def test_extreme_values_survive_json_both_ways(served: dict[str, Served], datatype: str) -> None:
    one = served["types"]
    values = np.array(EXTREMES[datatype], dtype=numpy_type(datatype))[:, None].repeat(2, axis=1)
    arrays: Arrays = {
        name: values if kind == datatype else np.full(values.shape, "" if kind == "BYTES" else 0, numpy_type(kind))
        for name, (kind, _) in one.inputs.items()
    }
    asked = [Ask(arrays, "json"), Ask(arrays, "mixed", frozenset(arrays), {f"echo_{datatype.lower()}": False})]
    for ask, told in zip(asked, ask_together(one.server, asked), strict=True):
        one.check(ask, told)
