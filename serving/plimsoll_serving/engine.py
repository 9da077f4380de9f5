"""From the bytes of an inference request to the bytes of its answer, wholly in one worker thread."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from plimsoll_serving.artifact import MODEL_FILE, PROFILE_FILE, read_verified
from plimsoll_serving.errors import ArtifactError, ModelError, RequestError
from plimsoll_serving.logs import LOGGER
from plimsoll_serving.model import Model, sample_inputs, synthetic_inputs
from plimsoll_serving.settings import Settings
from plimsoll_serving.v2.decode import InferRequest, decode
from plimsoll_serving.v2.encode import encode

WARM_UP_RUNS = 3
LARGE_BODY = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, JSON body and the rows that went through the model (0 when it did not answer)."""

    status: int
    body: bytes
    rows: int
    failure: str | None = None


class Engine:
    """A model under a name and a version."""

    def __init__(self, model: Model, name: str, version: str) -> None:
        self._model = model
        self._name = name
        self._version = version
        # Reading JSON takes many times its bytes, and no two threads can do it at once anyway.
        self._one_large = threading.Lock()
        self.signature = model.signature

    def answer(self, body: bytes) -> Answer:
        """Decode, run, encode. Errors become answers: 4xx names the field, 5xx tells what the model said."""
        try:
            request = self._decoded(body)
            arrays = self._model.run(request.inputs, request.outputs)
            outputs = [
                (self.signature.outputs[name], array) for name, array in zip(request.outputs, arrays, strict=True)
            ]
            encoded = encode(self._name, self._version, request.id, outputs)
        except RequestError as error:
            return Answer(error.status, _error(error.message), 0)
        except ModelError as error:
            return self._failed(str(error))
        except UnicodeError as error:
            return self._failed(f"its strings are not UTF-8: {error}")
        first = next(iter(request.inputs.values()), None)
        return Answer(200, encoded, first.shape[0] if first is not None and first.ndim else 1)

    def _decoded(self, body: bytes) -> InferRequest:
        if len(body) <= LARGE_BODY:
            return decode(body, self.signature)
        with self._one_large:
            return decode(body, self.signature)

    def _failed(self, detail: str) -> Answer:
        message = f"model {self._name!r} version {self._version!r} failed on this input: {detail}"
        return Answer(500, _error(message), 0, failure=detail)

    def warm_up(self, sample: list[Any]) -> None:
        """Run the model on the profile's sample, or on zeros without one.

        Raises ArtifactError when the model fails on rows of its own training data. Zeros prove less: a model may
        rightly refuse them (an unknown category), so that is only logged.
        """
        body = sample_request(sample, self)
        for _ in range(WARM_UP_RUNS):
            if body is not None:
                answer = self.answer(body)
                if answer.status != 200:
                    raise ArtifactError(f"the model does not answer its profile's sample: {answer.body.decode()}")
                continue
            try:
                self._model.run(synthetic_inputs(self.signature), list(self.signature.outputs))
            except ModelError as error:
                LOGGER.warning("the model does not answer zeros, and no profile gives a sample: %s", error)


def sample_request(sample: list[Any], engine: Engine) -> bytes | None:
    """A V2 request of a profile's sample; None when there is none.

    A row is an object of input name and that input's values, a list of values (models of one tensor), or a whole V2
    request.
    """
    if not sample:
        return None
    inputs = engine.signature.inputs
    if isinstance(sample[0], dict) and "inputs" in sample[0]:
        return msgspec.json.encode(sample[0])
    if isinstance(sample[0], dict):
        columns = {name: [value for row in sample for value in _cells(row.get(name))] for name in inputs}
    else:
        columns = {name: [value for row in sample for value in row] for name in list(inputs)[:1]}
    shapes = {name: [len(sample), *inputs[name].shape[1:]] for name in columns}
    return msgspec.json.encode(
        {
            "inputs": [
                {
                    "name": name,
                    "datatype": inputs[name].datatype.name,
                    "data": columns[name],
                    "shape": [len(sample) if size < 0 else size for size in shapes[name]],
                }
                for name in columns
            ]
        }
    )


def _cells(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def load(settings: Settings) -> Engine:
    """Verify, load and warm the model of the settings. Raises ArtifactError."""
    folder: Path = settings.model_dir
    model = Model(read_verified(folder / MODEL_FILE, settings.sha256), settings.intra_op_threads)
    engine = Engine(model, settings.identity.model, settings.identity.version)
    sample: list[Any] = []
    if settings.profile_sha256 is not None:
        sample = sample_inputs(read_verified(folder / PROFILE_FILE, settings.profile_sha256))
    engine.warm_up(sample)
    return engine


def _error(message: str) -> bytes:
    return msgspec.json.encode({"error": message})
