"""What every protocol has in common: requests as arrays, answers as arrays, and who writes them as bytes."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plimsoll_serving.http.message import Request, Response
from plimsoll_serving.v2.binary import RawRows
from plimsoll_serving.v2.rows import JsonRows
from plimsoll_serving.v2.signature import Signature, Tensor


class Layout:
    """What the bytes of a request's only input mean: the same object for all requests of one form.

    Args:
        outputs: names of the outputs asked for.

    Attributes:
        rows: the first size of the shape; 0 without one.
        key: what requests have in common that may share a run of the model.
    """

    __slots__ = ("_dtype", "_name", "_shape", "key", "rows")

    def __init__(self, name: str, dtype: np.dtype[Any], shape: Sequence[int], outputs: list[str]) -> None:
        self._name = name
        self._dtype = dtype
        self._shape = tuple(shape)
        self.rows: int = shape[0] if shape else 0
        self.key: Any = (self._shape[1:], outputs)

    def arrays(self, data: bytes) -> dict[str, NDArray[Any]]:
        """The input of one request."""
        return {self._name: np.ndarray(self._shape, self._dtype, data)}

    def joined(self, data: list[bytes], rows: int) -> dict[str, NDArray[Any]]:
        """The inputs of several requests of ``rows`` together; they may differ in their rows only."""
        return {self._name: np.ndarray((rows, *self._shape[1:]), self._dtype, b"".join(data))}


def layout(tensor: Tensor, shape: Sequence[int], outputs: list[str]) -> Layout | None:
    """Of an only input; None where its bytes are not its elements as they are."""
    plain = tensor.datatype.kind in ("int", "float")
    return Layout(tensor.name, tensor.datatype.dtype, shape, outputs) if plain else None


class InferRequest:
    """A decoded request.

    Attributes:
        id: the caller's own, given back.
        outputs: names of the outputs asked for, in their order.
        parameters: of the request, as the protocol has them.
        encoding: the codec's own note of how the answer is to be written.
        layout, data: of a request with one input of numbers its bytes and what they mean; None and empty of any other.
    """

    __slots__ = ("_inputs", "data", "encoding", "id", "layout", "outputs", "parameters")

    def __init__(
        self,
        id: str | None,  # noqa: A002
        inputs: dict[str, NDArray[Any]] | None,
        outputs: list[str],
        parameters: dict[str, Any] | None = None,
        encoding: Any = None,
    ) -> None:
        self.id = id
        self._inputs = inputs
        self.layout: Layout | None = None
        self.data = b""
        self.outputs = outputs
        self.parameters: dict[str, Any] = {} if parameters is None else parameters
        self.encoding = encoding

    @property
    def inputs(self) -> dict[str, NDArray[Any]]:
        """Arrays by input name; every input of the model, in its order."""
        if self._inputs is None:
            self._inputs = {} if self.layout is None else self.layout.arrays(self.data)
        return self._inputs


class Served(Protocol):
    """The model that answers."""

    name: str
    version: str
    signature: Signature


class Run:
    """One run of the model, which the requests of a batch share.

    Attributes:
        outputs: arrays by output name, of all rows.
        rows: how many each output has; None where they cannot be told apart.
        texts: the same as JSON.
        raw: the same as raw bytes.
        columns: outputs of one number a row in another form, kept by whoever needs them row by row.
        head: what every answer of the run begins with, kept by who writes them.
        served: the model.
    """

    __slots__ = ("columns", "head", "outputs", "raw", "rows", "served", "texts")

    def __init__(self, outputs: dict[str, NDArray[Any]], rows: int | None, served: Served) -> None:
        self.outputs = outputs
        self.rows = rows
        self.texts = JsonRows(outputs, rows, served.signature)
        self.raw = RawRows(outputs, rows)
        self.columns: dict[str, Any] = {}
        self.served = served
        self.head = b""


class Answer:
    """What the model answered to one request.

    Attributes:
        request: what it answers.
        run: the run that it comes from.
        start, stop: the rows of this request; of a run of its own, which may have no rows, 0 and what it counts as.
    """

    __slots__ = ("_outputs", "request", "run", "start", "stop")

    def __init__(self, request: InferRequest, run: Run, rows: tuple[int, int], alone: bool) -> None:
        self.request = request
        self.run = run
        self.start, self.stop = rows
        self._outputs = run.outputs if alone else None

    @property
    def model(self) -> str:
        return self.run.served.name

    @property
    def version(self) -> str:
        return self.run.served.version

    @property
    def signature(self) -> Signature:
        return self.run.served.signature

    @property
    def outputs(self) -> dict[str, NDArray[Any]]:
        """Arrays by output name, the rows of this request only; those asked for, in their order."""
        if self._outputs is None:
            self._outputs = {name: array[self.start : self.stop] for name, array in self.run.outputs.items()}
        return self._outputs

    def json(self, name: str) -> bytes:
        """An output as a flat JSON list in row-major order, floats by their shortest text that reads back the same.

        Raises UnicodeError when the model answered text that is not UTF-8.
        """
        return self.run.texts.text(name, self.outputs[name], self.start, self.stop)


class Codec(Protocol):
    """How one protocol writes requests and answers.

    Pure and without state of a request: called on the event loop, and in worker threads for what is large.
    """

    def decode(self, request: Request, signature: Signature) -> InferRequest:
        """Read a request. Raises RequestError naming the field at fault and what is expected."""
        ...

    def encode(self, answer: Answer) -> Response:
        """Write an answer. Raises UnicodeError when the model answered text that is not UTF-8."""
        ...

    def refuse(self, status: int, message: str) -> Response:
        """Write an error. ``status`` is HTTP's."""
        ...
