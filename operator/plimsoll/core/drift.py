"""Whether an object in the cluster already is what we would apply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_SUFFIXES = {suffix: Decimal(10) ** power for suffix, power in _DECIMAL.items()} | {
    suffix: Decimal(2) ** power for suffix, power in _BINARY.items()
}


def quantity(text: str | int | float) -> Decimal:
    """A Kubernetes quantity as a number: `500m` and `0.5` are equal. Raises ValueError for anything else."""
    written = str(text)
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if written.endswith(suffix):
            return _number(written.removesuffix(suffix), written) * _SUFFIXES[suffix]
    return _number(written, written)


def _number(digits: str, written: str) -> Decimal:
    try:
        return Decimal(digits)
    except ArithmeticError as error:
        raise ValueError(f"{written!r} is not a quantity") from error


def covers(observed: Any, desired: Any, *, path: tuple[str, ...] = ()) -> bool:
    """Whether every field of `desired` has the same value in `observed`; what only the server knows is ignored.

    Lists are compared item by item in order. Requests, limits and sizes of volumes are compared as quantities.
    """
    if isinstance(desired, Mapping):
        if not isinstance(observed, Mapping):
            return not desired and observed is None
        return all(covers(observed.get(key), value, path=(*path, key)) for key, value in desired.items())
    if isinstance(desired, Sequence) and not isinstance(desired, str):
        if not isinstance(observed, Sequence) or isinstance(observed, str) or len(observed) != len(desired):
            return not desired and observed is None
        return all(covers(have, want, path=path) for have, want in zip(observed, desired, strict=True))
    if observed is not None and (path[-2:-1] in (("requests",), ("limits",)) or path[-1:] == ("sizeLimit",)):
        return quantity(observed) == quantity(desired)
    return bool(observed == desired)
