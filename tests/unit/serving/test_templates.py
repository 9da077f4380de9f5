"""Numbers between text that is known are read as the careful way reads the whole, bit for bit."""

import json
import random

import pytest
from plimsoll_serving.codec import InferRequest
from plimsoll_serving.errors import RequestError
from plimsoll_serving.v2.decode import decode
from plimsoll_serving.v2.signature import Signature
from plimsoll_serving.v2.templates import KEPT, Fit, Templates
from plimsoll_serving.v2.typed import LONG_BODY, TypedReader

from tests.unit.serving.test_decode import signature, tensor

FORMS = (
    '{"inputs":[{"name":"x","datatype":"%s","shape":[2,3],"data":[%s]}]}',
    '{"id": null, "inputs": [{"datatype": "%s", "data": [%s], "shape": [2, 3], "name": "x"}]}',
)
# Numbers at the edges of the datatypes and of what parsers hold, what is no number, and what would end the list early.
TOKENS = [
    "0", "-0", "0.0", "-0.0", "1E5", "1e+5", "5e-324", "1e-400", "0.1", "65504", "65519.9", "65520", "3.4028235e38",
    "3.4028236e38", "1e39", "1e308", "1e309", "1e400", "-1e400", "9007199254740993", "18446744073709551615",
    "18446744073709551616", "-9223372036854775809", "123456789012345678901234567890",
    "1.00000017881393432617187500001", "true", "false", "null", '"1"', '"NaN"', "NaN", "Infinity", "[1]", "[]", "{}",
    "01", "1.", "+1", ".5", "1e", "--1", "1,", ",1", "1]", "[1", "/", "\\", "1]]}", '],"data":[1', '1],"data":[1',
    '1]}],"id":"x', "t", "s", "é",
]  # fmt: skip


def model(datatype: str) -> Signature:
    return signature(tensor("x", datatype, (-1, 3)))


def careful(body: bytes, of: Signature) -> InferRequest | None:
    try:
        return decode(body, of)
    except RequestError:
        return None


def numbers(chance: random.Random) -> list[str]:
    values = [f"{chance.uniform(-10, 10):.{chance.randint(1, 18)}g}" for _ in range(chance.choice([5, 6, 6, 6, 6, 7]))]
    for _ in range(chance.choice([0, 1, 1, 2])):
        values[chance.randrange(len(values))] = chance.choice(TOKENS)
    return values


@pytest.mark.parametrize("separator", [", ", ",\n" + " " * LONG_BODY], ids=["short", "long"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
@pytest.mark.filterwarnings("ignore:overflow encountered in dot")
def test_numbers_are_read_as_the_careful_way_reads_them(datatype: str, form: str, separator: str) -> None:
    of, chance, read = model(datatype), random.Random(len(separator)), 0
    reader = TypedReader(of)
    assert reader.read((form % (datatype, separator.join(["1"] * 6))).encode()) is not None
    for _ in range(300):
        body = (form % (datatype, separator.join(numbers(chance)))).encode()
        quick = reader.read(body)
        if quick is None:
            continue
        read += 1
        slow = careful(body, of)
        assert slow is not None, body
        assert quick.layout is not None, "the text around the numbers is not known"
        ours, right = quick.inputs["x"], slow.inputs["x"]
        assert (ours.dtype, ours.shape, ours.tobytes()) == (right.dtype, right.shape, right.tobytes()), body
    assert read > 50


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3],"data":[1,2,3]}]}',
        b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3],"d\\u0061ta":[1,2,3]}]}',
        b'{"id":"a","inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]}',
    ],
    ids=["a list given twice", "a list under another spelling", "an id, which is another one each time"],
)
def test_text_that_could_mean_something_else_the_next_time_is_not_remembered(body: bytes) -> None:
    reader = TypedReader(model("FP32"))
    for _ in range(2):
        read = reader.read(body)
        assert read is None or read.layout is None


def test_of_a_name_that_looks_like_the_key_nothing_is_remembered() -> None:
    reader = TypedReader(signature(tensor("data", "FP32", (-1,))))
    item = {"name": "data", "datatype": "FP32", "shape": [1], "data": [1]}
    for _ in range(2):
        read = reader.read(json.dumps({"inputs": [item]}).encode())
        assert read is not None
        assert read.layout is None


def test_templates_are_bounded() -> None:
    templates, fit = Templates(), Fit(tensor("x", "FP32", (-1,)), [1], 1, ["y"])
    bodies = [b'{"n":%d,"data":[1]}' % number for number in range(KEPT + 1)]
    for body in bodies:
        templates.learn(body, fit)
    assert templates.match(bodies[-1]) is not None
    assert templates.match(bodies[0]) is None
    templates.learn(b'{"data":[1],"text":"' + b"x" * 2000 + b'"}', fit)
    assert templates.match(b'{"data":[1],"text":"' + b"x" * 2000 + b'"}') is None
