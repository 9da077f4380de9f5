"""What every protocol has in common: requests as arrays, answers as arrays, and who writes them as bytes."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from plimsoll_serving.http.message import Request, Response
from plimsoll_serving.v2.rows import JsonRows
from plimsoll_serving.v2.signature import Signature


@dataclass(slots=True)
class InferRequest:
    """A decoded request.

    Attributes:
        id: the caller's own, given back.
        inputs: arrays by input name; every input of the model, in its order.
        outputs: names of the outputs asked for, in their order.
        parameters: of the request, as the protocol has them.
        encoding: the codec's own note of how the answer is to be written.
    """

    id: str | None
    inputs: dict[str, NDArray[Any]]
    outputs: list[str]
    parameters: dict[str, Any] = field(default_factory=dict)
    encoding: Any = None


class Answer:
    """What the model answered to one request.

    Attributes:
        request: what it answers.
        model, version: who answered.
        outputs: arrays by output name, the rows of this request only; those asked for, in their order.
        signature: of the model.
    """

    __slots__ = ("_rows", "model", "outputs", "request", "signature", "version")

    def __init__(
        self, request: InferRequest, outputs: dict[str, NDArray[Any]], rows: "JsonSlice", served: "Served"
    ) -> None:
        self.request = request
        self.outputs = outputs
        self._rows = rows
        self.model = served.name
        self.version = served.version
        self.signature = served.signature

    def json(self, name: str) -> bytes:
        """An output as a flat JSON list in row-major order, floats by their shortest text that reads back the same.

        Raises UnicodeError when the model answered text that is not UTF-8.
        """
        return self._rows.text(name, self.outputs[name])


class Served(Protocol):
    """The model that answers."""

    name: str
    version: str
    signature: Signature


@dataclass(slots=True)
class JsonSlice:
    """The rows of one request in the text of a whole batch."""

    batch: JsonRows
    start: int
    stop: int

    def text(self, name: str, array: NDArray[Any]) -> bytes:
        return self.batch.text(name, array, self.start, self.stop)


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
