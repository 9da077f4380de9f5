"""Binary requests whose JSON is the same as before: where each tensor lies is known, and only its bytes are new."""

from typing import Any

import orjson
from numpy.typing import NDArray

from plimsoll_serving.codec import InferRequest, Layout, layout
from plimsoll_serving.v2.binary import unpack
from plimsoll_serving.v2.datatypes import Datatype
from plimsoll_serving.v2.signature import Signature

KEPT = 256
LONGEST = 4096


class _Place:
    """Where a tensor lies: ``size`` bytes at ``offset``; ``field`` is what messages call it."""

    __slots__ = ("datatype", "field", "name", "offset", "shape", "size")

    def __init__(self, index: int, item: dict[str, Any], datatype: Datatype, offset: int, size: int) -> None:
        self.name: str = item["name"]
        self.field = f"the binary data of inputs[{index}]"
        self.datatype = datatype
        self.shape: list[int] = item["shape"]
        self.offset = offset
        self.size = size


class _Form:
    """What a JSON says.

    Args:
        head: the JSON.
        places: of the tensors, in the order of the model's inputs.
        request: as it was read the first time.
        only: what the bytes of the one tensor mean, where there is one of numbers.
    """

    __slots__ = ("head", "only", "places", "request", "size")

    def __init__(self, head: bytes, places: list[_Place], request: InferRequest, only: Layout | None) -> None:
        self.head = head
        self.places = places
        self.size = sum(place.size for place in places)
        self.request = request
        self.only = only


class KnownHeads:
    """Remembers the JSON of binary requests that were read the careful way. Bounded: 256 of at most 4 KiB."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Form] = {}
        self._last: _Form | None = None

    def read(self, body: bytes, start: int) -> InferRequest | None:
        """The request whose tensors begin at ``start``; None when its JSON is new. Raises RequestError as decode."""
        form = self._last  # most often it is the one before
        if form is None or len(form.head) != start or not body.startswith(form.head):
            form = self._known.get(body[:start])
            self._last = form
        if form is None or form.size != len(body) - start:
            return None
        request = form.request
        if form.only is not None:
            one = InferRequest(None, None, request.outputs, request.parameters, request.encoding)
            one.layout, one.data = form.only, body[start:]
            return one
        inputs: dict[str, NDArray[Any]] = {}
        for place in form.places:
            array = unpack(body, start + place.offset, place.size, place.datatype, place.field)
            if place.datatype.kind == "bytes" and array.size != request.inputs[place.name].size:
                return None
            inputs[place.name] = array.reshape(place.shape)
        return InferRequest(None, inputs, request.outputs, request.parameters, request.encoding)

    def learn(self, head: bytes, request: InferRequest, signature: Signature) -> None:
        """Remember the JSON of a request that ``decode`` has taken."""
        if request.id is not None or len(head) > LONGEST:
            return
        try:
            places = _places(orjson.loads(head)["inputs"], signature)
        except orjson.JSONDecodeError:  # a number in it is beyond what orjson reads
            return
        if places is None:
            return
        if len(self._known) >= KEPT:
            self._known.clear()
        by_name = {place.name: place for place in places}
        ordered = [by_name[name] for name in request.inputs]
        only = None
        if len(ordered) == 1:
            only = layout(signature.inputs[ordered[0].name], ordered[0].shape, request.outputs)
        self._known[head] = _Form(head, ordered, request, only)


def _places(items: list[dict[str, Any]], signature: Signature) -> list[_Place] | None:
    """None when an input has its data in the JSON."""
    places: list[_Place] = []
    offset = 0
    for index, item in enumerate(items):
        size = item.get("parameters", {}).get("binary_data_size")
        if size is None:
            return None
        datatype = signature.inputs[item["name"]].datatype
        places.append(_Place(index, item, datatype, offset, size))
        offset += size
    return places
