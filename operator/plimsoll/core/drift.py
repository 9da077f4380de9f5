"""Whether an object in the cluster already is what we would apply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

_SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


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

    Lists are compared item by item in order. Requests and limits are compared as quantities.
    """
    if isinstance(desired, Mapping):
        if not isinstance(observed, Mapping):
            return not desired and observed is None
        return all(covers(observed.get(key), value, path=(*path, key)) for key, value in desired.items())
    if isinstance(desired, Sequence) and not isinstance(desired, str):
        if not isinstance(observed, Sequence) or isinstance(observed, str) or len(observed) != len(desired):
            return not desired and observed is None
        return all(covers(have, want, path=path) for have, want in zip(observed, desired, strict=True))
    if observed is not None and path[-2:-1] in (("requests",), ("limits",)):
        return quantity(observed) == quantity(desired)
    return bool(observed == desired)
