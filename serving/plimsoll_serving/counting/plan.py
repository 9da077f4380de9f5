"""Which tensors of a model are counted, and by which bins."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from plimsoll_serving.counting.bins import Bins, FiniteBins, HighestBins, NumberBins, ValueBins
from plimsoll_serving.counting.reference import Entry, Reference
from plimsoll_serving.v2.signature import Signature, Tensor

#: Outputs beyond these have no series.
MAX_OUTPUTS = 16


@dataclass(slots=True)
class Plan:
    """Bins by the tensor that they count, and the features of the profile that are left out.

    ``lead`` is the input whose first size is the number of rows; ``profile`` says how many rows of the profile were in
    which bin of the features: ``(feature, bin, rows)``.
    """

    lead: str
    features: list[tuple[str, Bins]] = field(default_factory=list)
    outputs: list[tuple[str, Bins]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    beyond: int = 0
    profile: list[tuple[str, str, int]] = field(default_factory=list)


def plan(reference: Reference, signature: Signature, limit: int) -> Plan | None:
    """The bins of a model; None when its inputs have no rows.

    Args:
        limit: the first so many features of the profile are counted; 0 for none.
    """
    lead = next((name for name, tensor in signature.inputs.items() if tensor.shape), None)
    if lead is None:
        return None
    made = Plan(lead, beyond=max(0, len(reference.features) - limit))
    matrices: dict[str, list[tuple[Entry, int]]] = {}
    for entry in reference.features[:limit]:
        place = _column(entry, signature)
        if place is None:
            made.unknown.append(entry.name)
            continue
        made.profile += [(entry.name, label, rows) for label, rows in entry.reference()]
        if entry.values is not None:
            made.features.append((place[0], ValueBins(entry, place[1], missing=True)))
        else:
            matrices.setdefault(place[0], []).append((entry, place[1]))
    for name, columns in matrices.items():
        entries, places = zip(*columns, strict=True)
        made.features.append((name, NumberBins(entries, places, "missing")))
    made.outputs = list(_outputs(reference, signature))
    return made


def _column(entry: Entry, signature: Signature) -> tuple[str, int] | None:
    """Input and column of a feature: an input of its name, or its column of the only input; None without either."""
    own = signature.inputs.get(entry.name)
    if own is not None and own.one_value:
        return (entry.name, 0) if _fits(entry, own) else None
    if len(signature.inputs) > 1:
        return None
    (only,) = signature.inputs.values()
    within = len(only.shape) == 2 and (only.shape[1] < 0 or entry.index < only.shape[1])
    return (only.name, entry.index) if within and _fits(entry, only) else None


def _fits(entry: Entry, tensor: Tensor) -> bool:
    """Text has no edges, and what has no type in numpy is not counted."""
    return tensor.datatype.kind != "raw" and (entry.edges is None or tensor.datatype.kind != "bytes")


def _outputs(reference: Reference, signature: Signature) -> Iterable[tuple[str, Bins]]:
    profiled = {entry.name: entry for entry in reference.outputs}
    for name, tensor in list(signature.outputs.items())[:MAX_OUTPUTS]:
        entry = profiled.get(name)
        if entry is not None and entry.values is not None and tensor.one_value:
            yield name, ValueBins(entry, 0, missing=False)
        elif entry is not None and entry.edges is not None and tensor.shape and _fits(entry, tensor):
            yield name, HighestBins(entry)
        elif tensor.shape and tensor.datatype.kind == "float":
            yield name, FiniteBins(name)
