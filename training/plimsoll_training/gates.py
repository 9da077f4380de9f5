"""Gates: whether measured metrics are good enough. Pure. What was not measured never passes."""

from dataclasses import dataclass

from plimsoll_training.metric_names import LOWER_IS_BETTER
from plimsoll_training.run import Gate


@dataclass(frozen=True)
class Measurement:
    """Of one gate, on its rows. `measured` None: no finite value, `why` says why. `champion` likewise."""

    measured: float | None
    why: str = ""
    champion: float | None = None
    champion_absent: str = ""


@dataclass(frozen=True)
class Bound:
    """`measured` must be on the right side of `limit` (inclusive)."""

    limit: float
    at_least: bool
    origin: str

    def holds(self, measured: float) -> bool:
        return measured >= self.limit if self.at_least else measured <= self.limit

    def sentence(self, measured: float) -> str:
        value, limit = shown(measured, self.limit)
        if self.holds(measured):
            return f"{value} {'≥' if self.at_least else '≤'} {limit}{self.origin}"
        return f"{value} {'<' if self.at_least else '>'} required {limit}{self.origin}"


def judge(gate: Gate, measurement: Measurement) -> dict[str, object]:
    """The entry of `result.json` for one gate."""
    name = gate.metric if gate.slice is None else f"{gate.metric} where {gate.slice.column} = {gate.slice.value}"
    passed, message = _verdict(gate, measurement)
    return {
        "metric": gate.metric,
        "requirement": requirement(gate),
        "measured": measurement.measured,
        "passed": passed,
        "message": f"{name} {message}",
    }


def requirement(gate: Gate) -> str:
    """The gate in words, without measured values: `min 0.9 and no worse than digits by more than 0.01`."""
    parts = []
    if gate.min is not None:
        parts.append(f"min {gate.min:g}")
    if gate.max is not None:
        parts.append(f"max {gate.max:g}")
    if gate.compared_to is not None:
        parts.append(
            f"no worse than {gate.compared_to}" + (f" by more than {gate.tolerance:g}" if gate.tolerance else "")
        )
    return " and ".join(parts) + ("" if gate.slice is None else f" where {gate.slice.column} = {gate.slice.value}")


def shown(measured: float, limit: float) -> tuple[str, str]:
    """Four decimals, and more only where four would make the two look alike."""
    for digits in range(4, 17):
        value = f"{measured:.{digits}f}"
        if measured == limit or float(value) != float(f"{limit:.{digits}f}"):
            return value, f"{limit:.{digits}f}".rstrip("0").rstrip(".")
    return repr(measured), repr(limit)


def _verdict(gate: Gate, measurement: Measurement) -> tuple[bool, str]:
    if measurement.measured is None:
        return False, f"was not measured: {measurement.why}"
    measured = measurement.measured
    bounds = _own_bounds(gate)
    if measurement.champion is not None:
        bounds.append(_champion_bound(gate, measurement.champion))
    elif gate.compared_to is not None and measurement.champion_absent:
        return False, f"{measured:.4f} was not compared to {gate.compared_to}: {measurement.champion_absent}"
    failed = [bound for bound in bounds if not bound.holds(measured)]
    sentences = [bound.sentence(measured) for bound in failed or bounds]
    if gate.compared_to is not None and measurement.champion is None and not failed:
        sentences.append(f"{measured:.4f}, the first: {gate.compared_to} serves no version to compare to")
    return not failed, " and ".join(sentences)


def _own_bounds(gate: Gate) -> list[Bound]:
    bounds = []
    if gate.min is not None:
        bounds.append(Bound(gate.min, True, ""))
    if gate.max is not None:
        bounds.append(Bound(gate.max, False, ""))
    return bounds


def _champion_bound(gate: Gate, champion: float) -> Bound:
    tolerance = gate.tolerance or 0.0
    higher = gate.metric not in LOWER_IS_BETTER
    sign = "−" if higher else "+"
    origin = f" ({gate.compared_to} {champion:.4f}" + (f" {sign} {tolerance:g})" if tolerance else ")")
    return Bound(champion - tolerance if higher else champion + tolerance, higher, origin)
