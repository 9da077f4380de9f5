"""A model under a name and a version: what its requests share, run together and answered one by one."""

import math
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from plimsoll_serving import memory
from plimsoll_serving.artifact import read_verified
from plimsoll_serving.codec import Answer, InferRequest, Run
from plimsoll_serving.errors import ArtifactError, ModelError, RequestError
from plimsoll_serving.http.message import Header, Request, SharedHeaders
from plimsoll_serving.jobs import Cost, Job, Result
from plimsoll_serving.logs import LOGGER
from plimsoll_serving.model import Model, feature_names, sample_inputs, synthetic_inputs
from plimsoll_serving.providers import CPU, FIELD
from plimsoll_serving.settings import Settings
from plimsoll_serving.startup import Laps
from plimsoll_serving.v2.datatypes import Kind
from plimsoll_serving.v2.decode import decode
from plimsoll_serving.v2.rest import RestCodec

WARM_UP_RUNS = 3
# Rows of the runs that show whether rows can share a run, and what one more row takes.
TRIED_ROWS = 8

Arrays = dict[str, NDArray[Any]]


class Observer(Protocol):
    """Sees every batch that was answered to users, whole. May be called in a worker thread; must not raise."""

    def observe(self, inputs: Arrays, outputs: Arrays, rows: int) -> None: ...


class Engine:
    """Computes batches. Safe from several threads.

    Attributes:
        classes: see `Model`.
        batches: whether several requests may share a run, found out by `warm_up`.
        cost, run_cost: what an answer takes, and the part of it in the model; found out by `warm_up`. The last is None
            where it depends on the values.
        clock: see `Computing`.
        columns: names of the model's columns in order, as the profile has them.
        sample: rows of the profile.
        seconds: what each part of loading took.
        observers: see every batch of users' requests.
        shared: headers of each answer.
        annotate: make further ones of each.
        profile: of the version, verified; None without one.
    """

    def __init__(self, model: Model, name: str, version: str) -> None:
        self._model = model
        self.name = name
        self.version = version
        self.signature = model.signature
        self.providers = model.providers
        self.classes = model.classes
        self.codec = RestCodec(model.signature)
        self.batches = False
        self.cost = Cost()
        self.run_cost = Cost() if model.steady else None
        # Other processors than the CPU work while the thread waits for them.
        self.clock = time.thread_time if model.providers == [CPU] else time.perf_counter
        self.columns: list[str] = []
        self.sample: list[Any] = []
        self.seconds: dict[str, float] = {}
        self.shared = SharedHeaders([])
        self.observers: list[Observer] = []
        self.annotate: list[Callable[[Answer], Header | None]] = []
        self.profile: bytes | None = None

    def job(self, request: Request, infer: InferRequest, codec: Any, done: Callable[[Result], None]) -> Job:
        """A decoded request as the batcher takes it."""
        job = Job(request, infer, codec, done)
        layout = infer.layout
        if layout is not None and self.batches:
            job.size = len(infer.data)
            if layout.rows:
                job.rows, job.key = layout.rows, layout.key
            return job
        arrays = infer.inputs
        if self.batches and len(arrays) == 1:
            (array,) = arrays.values()
            shape = array.shape
            job.size = array.nbytes
            if shape[0]:
                job.rows, job.key = shape[0], (shape[1:], infer.outputs)
            return job
        job.size = sum([array.nbytes for array in arrays.values()])
        lengths = {array.shape[0] for array in arrays.values()} if self.batches else set()
        job.rows = max(lengths, default=1) or 1
        if len(lengths) == 1 and lengths != {0}:
            job.key = ([array.shape[1:] for array in arrays.values()], infer.outputs)
        return job

    def execute(self, batch: list[Job]) -> list[Result]:
        """Answers to a batch of one key. What fails together is tried alone: a bad row harms its own request only."""
        try:
            outputs = self._run(batch)
        except (ModelError, RequestError) as error:
            if len(batch) > 1:
                return [result for job in batch for result in self.execute([job])]
            return [self._failed(batch[0], error)]
        except Exception as error:  # nothing that a request brings may take its neighbours along
            LOGGER.exception("a batch could not be computed")
            return [self._failed(job, ModelError(f"the server failed: {type(error).__name__}")) for job in batch]
        return self._answers(batch, outputs)

    def _run(self, batch: list[Job]) -> Arrays:
        names = batch[0].infer.outputs
        rows = sum([job.rows for job in batch])
        inputs = _inputs(batch, rows)
        start = self.clock()
        outputs = dict(zip(names, self._model.run(inputs, names), strict=True))
        if self.run_cost is not None:
            self.run_cost.saw(rows, self.clock() - start)
        if len(batch) > 1:
            odd = [name for name, array in outputs.items() if not array.ndim or array.shape[0] != rows]
            if odd:
                self.batches = False  # the warm-up was misled
                raise ModelError(f"output {odd[0]!r} does not have a row for each row of the input")
        for observer in self.observers:
            observer.observe(inputs, outputs, rows)
        return outputs

    def _answers(self, batch: list[Job], outputs: Arrays) -> list[Result]:
        alone = len(batch) == 1
        rows = sum([job.rows for job in batch]) if self.batches or not alone else None
        run = Run(outputs, rows, self)
        results: list[Result] = []
        start = 0
        for job in batch:
            stop = start + job.rows
            results.append(self._result(job, Answer(job.infer, run, (start, stop), alone)))
            start = stop
        return results

    def _result(self, job: Job, answer: Answer) -> Result:
        try:
            response = job.codec.encode(answer)
        except RequestError as error:
            return self._failed(job, error)
        except UnicodeError as error:
            return self._failed(job, ModelError(f"its strings are not UTF-8: {error}"))
        response.shared = self.shared
        for annotate in self.annotate:
            header = annotate(answer)
            if header is not None:
                response.own.append(header)
        return Result(response, job.rows)

    def _failed(self, job: Job, error: ModelError | RequestError) -> Result:
        if isinstance(error, RequestError):
            return Result(self._marked(job, error.status, error.message), 0)
        message = f"model {self.name!r} version {self.version!r} failed on this input: {error}"
        return Result(self._marked(job, 500, message), 0, failure=str(error))

    def _marked(self, job: Job, status: int, message: str) -> Any:
        response = job.codec.refuse(status, message)
        response.shared = self.shared
        return response

    # Warm-up

    def warm_up(self, sample: list[Any]) -> None:
        """Run the model on the profile's sample, or on zeros without one; find out whether rows can share a run.

        Raises ArtifactError when the model fails on rows of its own training data. Zeros prove less: a model may
        rightly refuse them (an unknown category), so that is only logged; but not where it may be the execution
        provider that fails, as OpenVINO does on some models that it has taken.
        """
        body = sample_request(sample, self)
        try:
            inputs = synthetic_inputs(self.signature) if body is None else decode(body, self.signature).inputs
            for _ in range(WARM_UP_RUNS):
                answers = self._model.run(inputs, list(self.signature.outputs))
        except (ModelError, RequestError) as error:
            tried = "zeros" if body is None else "its profile's sample"
            if self.providers != [CPU]:
                raise ArtifactError(
                    f"on {' and '.join(self.providers)} the model does not answer {tried}; leave {FIELD} out: {error}"
                ) from None
            if body is not None:
                raise ArtifactError(f"the model does not answer {tried}: {error}") from None
            LOGGER.warning("the model does not answer zeros, and no profile gives a sample: %s", error)
            return
        self._learn_no_rows(inputs, answers)
        self._measure(inputs)

    def _learn_no_rows(self, inputs: Arrays, answers: list[NDArray[Any]]) -> None:
        """What answers without rows are, from answers with some."""
        lengths = {len(array) if array.ndim else None for array in [*inputs.values(), *answers]}
        if self._may_share_rows() and len(lengths) == 1:
            self._model.without_rows = {
                name: array[:0].copy() for name, array in zip(self.signature.outputs, answers, strict=True)
            }

    def _measure(self, inputs: Arrays) -> None:
        names = list(self.signature.outputs)
        rows = self._trial_rows(inputs)
        self.batches = rows is not None and self._rows_are_independent(rows, names)
        if rows is None or not self.batches:
            self._costs(self._seconds(inputs, names), 0.0)
            return
        few = self._seconds({name: array[:1] for name, array in rows.items()}, names)
        more = self._seconds(rows, names)
        self._costs(few, max(0.0, more - few) / (TRIED_ROWS - 1))

    def _costs(self, fixed: float, row: float) -> None:
        self.cost = Cost(fixed, row)
        if self.run_cost is not None:
            self.run_cost = Cost(fixed, row)

    def _trial_rows(self, inputs: Arrays) -> Arrays | None:
        """Rows that differ; None where rows had better not share a run."""
        if self._model.loops or not self._may_share_rows() or any(len(array) == 0 for array in inputs.values()):
            return None
        return {
            name: _varied(np.resize(array, (TRIED_ROWS, *array.shape[1:])), self.signature.inputs[name].datatype.kind)
            for name, array in inputs.items()
        }

    def _rows_are_independent(self, rows: Arrays, names: list[str]) -> bool:
        """Whether each row is answered the same alone and among others."""
        try:
            together = self._model.run(rows, names)
            for index in range(TRIED_ROWS):
                alone = self._model.run({name: array[index : index + 1] for name, array in rows.items()}, names)
                if not all(_same_row(one, many, index) for one, many in zip(alone, together, strict=True)):
                    return False
        except (ModelError, RequestError):
            return False
        return True

    def _may_share_rows(self) -> bool:
        """Whether the first size of every tensor is free."""
        tensors = [*self.signature.inputs.values(), *self.signature.outputs.values()]
        return bool(self.signature.inputs) and all(tensor.shape and tensor.shape[0] == -1 for tensor in tensors)

    def _seconds(self, inputs: Arrays, names: list[str]) -> float:
        """The quickest of a few runs."""
        best = math.inf
        for _ in range(WARM_UP_RUNS):
            start = self.clock()
            self._model.run(inputs, names)
            best = min(best, self.clock() - start)
        return best


def _inputs(batch: list[Job], rows: int) -> Arrays:
    """The inputs of all jobs of a batch together."""
    first = batch[0].infer
    if len(batch) == 1:
        return first.inputs
    if first.layout is not None:
        pieces = [job.infer.data for job in batch if job.infer.layout is not None]
        if len(pieces) == len(batch):  # one copy, where an array for each would take longer than the run
            return first.layout.joined(pieces, rows)
    return {name: np.concatenate([job.infer.inputs[name] for job in batch]) for name in first.inputs}


def _varied(rows: NDArray[Any], kind: Kind) -> NDArray[Any]:
    """Rows that differ from one another: equal ones would hide that they have a part in each other's answers.

    Whole numbers and text that differ already are left as they are: they may be the categories that a model knows.
    """
    steps = np.arange(len(rows)).reshape(-1, *[1] * (rows.ndim - 1))
    if kind == "float":
        return np.asarray(rows + (steps / 8).astype(rows.dtype))
    if kind == "raw":
        floats = (rows.astype(np.uint32) << 16).view(np.float32) + (steps / 8).astype(np.float32)
        return np.asarray(floats.view(np.uint32) >> 16, rows.dtype)
    if not (rows == rows[:1]).all():
        return rows
    if kind == "bytes":
        return np.asarray(rows + np.vectorize(str, otypes=[object])(steps))
    return np.asarray(rows ^ (steps % 2 == 1) if kind == "bool" else rows + steps.astype(rows.dtype))


def _same_row(alone: NDArray[Any], together: NDArray[Any], index: int) -> bool:
    """Floats nearly: ONNX Runtime may sum in another order for another number of rows."""
    if alone.ndim == 0 or len(alone) != 1 or len(together) != TRIED_ROWS or alone.shape[1:] != together.shape[1:]:
        return False
    if alone.dtype.kind == "f":
        return bool(np.allclose(alone[0], together[index], rtol=1e-2, atol=1e-4, equal_nan=True))
    return bool(np.array_equal(alone[0], together[index]))


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
    laps = Laps()
    data = read_verified(settings.model_dir / settings.model_file, settings.sha256)
    laps.lap("verify")
    model = Model(data, settings.intra_op_threads, settings.execution_providers)
    del data
    laps.lap("load")
    engine = Engine(model, settings.identity.model, settings.identity.version)
    engine.shared = SharedHeaders(
        [
            (b"plimsoll-model-version", settings.identity.version.encode()),
            (b"plimsoll-revision", settings.identity.revision.encode()),
        ]
    )
    if settings.profile_sha256 is not None:
        engine.profile = read_verified(settings.model_dir / settings.profile_file, settings.profile_sha256)
        engine.sample = sample_inputs(engine.profile)
        engine.columns = feature_names(engine.profile)
    engine.warm_up(engine.sample)
    memory.give_back()
    laps.lap("warmUp")
    engine.seconds = laps.seconds
    return engine
