"""The route document: parsed and validated into frozen values. Pure: no file, no clock."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from plimsoll_serving.shadow.compare import Tolerance

FORMAT_VERSION = 1
DEFAULT_TIMEOUT_SECONDS = 1.0
DEFAULT_MAX_BLIND_SECONDS = 900.0
SERVE = "Serve"
MIRROR = "Mirror"


class RouteError(ValueError):
    """The document cannot be followed; the message names the field."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One revision of the route.

    ``weight`` is whole percents: of users' requests with mode ``Serve``; with mode ``Mirror`` of those that are copied
    to it once they have been answered.
    """

    revision: str
    version: str
    weight: int
    mode: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Route:
    """A valid route document. ``blind_after`` is when, unrenewed, the primary keeps all (Unix seconds; None: never)."""

    epoch: int
    primary: str
    arms: tuple[Arm, ...]
    sticky_header: bytes | None
    delegate_timeout: float
    tolerance: Tolerance
    blind_after: float | None
    document: dict[str, Any]

    @property
    def serving(self) -> tuple[Arm, ...]:
        """The arms that take traffic, weights summing to 100."""
        return tuple(arm for arm in self.arms if arm.mode == SERVE and arm.weight > 0)

    @property
    def shadows(self) -> tuple[Arm, ...]:
        """The arms that get copies of requests."""
        return tuple(arm for arm in self.arms if arm.mode == MIRROR and arm.weight > 0)

    def arm(self, revision: str) -> Arm | None:
        return next((arm for arm in self.arms if arm.revision == revision), None)


def parse(text: bytes) -> Route:
    """Read a route document. Raises RouteError naming the field at fault."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RouteError(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise RouteError("not an object")
    return of_document(document)


def of_document(document: dict[str, Any], local: bool = False) -> Route:
    """The route in a document. Raises RouteError naming the field at fault.

    Args:
        local: every arm is in this process, so that none has an address.
    """
    if document.get("formatVersion") != FORMAT_VERSION:
        raise RouteError(f"formatVersion is {document.get('formatVersion')!r}, this server reads {FORMAT_VERSION}")
    arms = _arms(_field(document, "arms", list, ""), local)
    primary = _field(document, "primary", str, "")
    if primary not in {arm.revision for arm in arms}:
        raise RouteError(f"primary {primary!r} is not the revision of an arm")
    if primary in {arm.revision for arm in arms if arm.mode == MIRROR}:
        raise RouteError(f"primary {primary!r} is an arm with mode Mirror, which answers no user")
    return Route(
        epoch=_whole(document, "epoch", ""),
        primary=primary,
        arms=arms,
        sticky_header=_sticky(document),
        delegate_timeout=_seconds(document, "delegateTimeoutSeconds", DEFAULT_TIMEOUT_SECONDS),
        tolerance=_tolerance(document),
        blind_after=_blind_after(document),
        document=document,
    )


def _field(holder: dict[str, Any], key: str, kind: type, where: str) -> Any:
    value = holder.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise RouteError(f"{where}{key} is {value!r}, not of type {kind.__name__}")
    return value


def _whole(holder: dict[str, Any], key: str, where: str) -> int:
    value: int = _field(holder, key, int, where)
    if value < 0:
        raise RouteError(f"{where}{key} is {value}, below 0")
    return value


def _arms(items: list[Any], local: bool) -> tuple[Arm, ...]:
    arms = tuple(_arm(item, f"arms[{index}].", local) for index, item in enumerate(items))
    revisions = [arm.revision for arm in arms]
    if len(set(revisions)) != len(revisions):
        raise RouteError("arms names a revision twice")
    total = sum(arm.weight for arm in arms if arm.mode == SERVE)
    if total != 100:
        raise RouteError(f"the weights of the arms with mode Serve sum to {total}, not 100")
    return arms


def _arm(item: Any, where: str, local: bool) -> Arm:
    if not isinstance(item, dict):
        raise RouteError(f"{where.rstrip('.')} is not an object")
    host, _, port = ("local", "", "1") if local else _field(item, "address", str, where).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise RouteError(f"{where}address is {item['address']!r}, not host:port")
    weight = _whole(item, "weight", where)
    if weight > 100:
        raise RouteError(f"{where}weight is {weight}, above 100")
    return Arm(
        revision=_field(item, "revision", str, where),
        version=_field(item, "version", str, where),
        weight=weight,
        mode=_field(item, "mode", str, where),
        host=host.strip("[]"),
        port=int(port),
    )


def _sticky(document: dict[str, Any]) -> bytes | None:
    if document.get("sticky") is None:
        return None
    header: str = _field(_field(document, "sticky", dict, ""), "header", str, "sticky.")
    if not header.isascii() or not header:
        raise RouteError(f"sticky.header is {header!r}, not the name of a header")
    return header.lower().encode()


def _seconds(document: dict[str, Any], key: str, default: float) -> float:
    value = document.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise RouteError(f"{key} is {value!r}, not a number of seconds above 0")
    return float(value)


def _tolerance(document: dict[str, Any]) -> Tolerance:
    if document.get("tolerance") is None:
        return Tolerance()
    holder = _field(document, "tolerance", dict, "")
    default = Tolerance()
    return Tolerance(
        relative=_at_least_zero(holder, "relative", default.relative),
        absolute=_at_least_zero(holder, "absolute", default.absolute),
    )


def _at_least_zero(holder: dict[str, Any], key: str, default: float) -> float:
    value = holder.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise RouteError(f"tolerance.{key} is {value!r}, not a number of at least 0")
    return float(value)


def _blind_after(document: dict[str, Any]) -> float | None:
    until = document.get("validUntil")
    blind = _seconds(document, "maxBlindSeconds", DEFAULT_MAX_BLIND_SECONDS)
    if until is None:
        return None
    try:
        moment = datetime.fromisoformat(until)
    except (TypeError, ValueError):
        raise RouteError(f"validUntil is {until!r}, not a time such as 2030-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        raise RouteError(f"validUntil is {until!r}, without a time zone; write Z for UTC")
    return moment.timestamp() + blind
