"""CloudEvents 1.0 in structured JSON, two for each answer: ``dev.plimsoll.inference.request`` and ``….response``.

``data`` is the request and the answer as the Open Inference Protocol V2 writes them, whatever protocol they came by.
The extension attributes are those of KServe's logger (``inferenceservicename``, ``namespace``, ``component``,
``endpoint``), and ``inferenceid``, which both events share, ``modelversion`` and ``predictionid``. KServe gives both
events one ``id``; here they have their own, for source and id together must be unique (CloudEvents 1.0, ``id``).
"""

import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from plimsoll_serving.errors import SettingsError
from plimsoll_serving.settings import Identity
from plimsoll_serving.v2.datatypes import widened
from plimsoll_serving.v2.signature import Signature, Tensor

REQUEST = "dev.plimsoll.inference.request"
RESPONSE = "dev.plimsoll.inference.response"
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Record:
    """One answered request. ``moment`` is in Unix seconds; the arrays are the record's own."""

    moment: float
    request_id: str | None
    inputs: Arrays
    outputs: Arrays
    prediction_id: str | None

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in (*self.inputs.values(), *self.outputs.values()))


@dataclass(frozen=True, slots=True)
class Mask:
    """Whose values are never written: whole tensors, and columns of tensors ``[rows, width]`` by name and place."""

    tensors: frozenset[str]
    columns: Mapping[str, Mapping[str, int]]


def mask_of(names: tuple[str, ...], signature: Signature, features: Mapping[str, int]) -> Mask:
    """The mask of a model. Raises SettingsError for a name that the model does not have: it might be a slip.

    Args:
        features: columns of the only input, by the names that the profile gives them.
    """
    tensors, columns = set(), {}
    for name in names:
        if name in signature.inputs or name in signature.outputs:
            tensors.add(name)
        elif name in features and len(signature.inputs) == 1:
            columns[name] = features[name]
        else:
            known = [*signature.inputs, *signature.outputs, *features]
            told = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
            raise SettingsError(
                f"PLIMSOLL_PAYLOAD_LOG_MASK names {name!r}, which the model does not have; it has {told}"
            )
    return Mask(frozenset(tensors), {next(iter(signature.inputs)): columns} if columns else {})


class EventWriter:
    """Makes the two events of a record."""

    def __init__(self, identity: Identity, signature: Signature, mask: Mask) -> None:
        self._identity = identity
        self._signature = signature
        self._mask = mask
        self._fixed = {
            "specversion": "1.0",
            "source": f"/{identity.namespace}/{identity.service}/{identity.pod}",
            "subject": identity.model,
            "datacontenttype": "application/json",
            "inferenceservicename": identity.service,
            "namespace": identity.namespace,
            "component": "predictor",
            "endpoint": identity.revision,
            "modelversion": identity.version,
        }

    def events(self, record: Record) -> list[bytes]:
        """Each event as JSON."""
        inference = str(uuid.uuid4())
        named = {} if record.request_id is None else {"id": record.request_id}
        request = {**named, "inputs": self._tensors(record.inputs, self._signature.inputs)}
        answer = {
            "model_name": self._identity.model,
            "model_version": self._identity.version,
            **named,
            "outputs": self._tensors(record.outputs, self._signature.outputs),
        }
        known = {} if record.prediction_id is None else {"predictionid": record.prediction_id}
        common = {**self._fixed, "time": _rfc3339(record.moment), "inferenceid": inference, **known}
        return [
            msgspec.json.encode({**common, "id": f"{inference}-{word}", "type": kind, "data": data})
            for word, kind, data in (("request", REQUEST, request), ("response", RESPONSE, answer))
        ]

    def _tensors(self, arrays: Arrays, tensors: dict[str, Tensor]) -> list[dict[str, Any]]:
        return [self._tensor(name, array, tensors[name].datatype.name) for name, array in arrays.items()]

    def _tensor(self, name: str, array: NDArray[Any], datatype: str) -> dict[str, Any]:
        described = {"name": name, "datatype": datatype, "shape": list(array.shape)}
        if name in self._mask.tensors:
            return {**described, "parameters": {"masked": True}, "data": []}
        values = _values(widened(array) if datatype == "BF16" else array)
        columns = self._mask.columns.get(name)
        if not columns:
            return {**described, "data": values}
        width = math.prod(array.shape[1:])
        for place in columns.values():
            values[place::width] = [None] * len(values[place::width])
        return {**described, "parameters": {"masked": sorted(columns)}, "data": values}


def _values(array: NDArray[Any]) -> list[Any]:
    """Row-major JSON values; what is not finite as the words of the protocol's JSON mapping."""
    values: list[Any] = array.reshape(-1).tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return [value if math.isfinite(value) else _word(value) for value in values]
    if array.dtype.kind in "OS":
        return [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]
    return values


def _word(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _rfc3339(moment: float) -> str:
    whole = int(moment)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int((moment - whole) * 1000):03d}Z"
