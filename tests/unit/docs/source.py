"""What the code knows: reasons, words, variables, metrics, targets of make."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from plimsoll.edge.telemetry import REGISTRY
from plimsoll_serving.counting.counter import BinCounter
from plimsoll_serving.counting.plan import Plan
from plimsoll_serving.feedback.counts import FeedbackCounts
from plimsoll_serving.metrics import ServingMetrics
from plimsoll_serving.payload.log import PayloadCounts
from plimsoll_serving.pool.operations import PoolMetrics
from plimsoll_serving.settings import Identity

from tests.unit.docs.pages import ROOT

PACKAGES = ("operator/plimsoll", "serving/plimsoll_serving", "training/plimsoll_training")
#: Where a reason stands among the arguments of what is called so.
_PLACES = {
    "Finding": 2, "Report": 1, "Trouble": 0, "hold": 2, "Choice": 1, "Refusal": 0, "_invalid": 1, "failed": 1,
    "_progress": 1,
}  # fmt: skip
#: Never seen by anybody: `status.held_reason or "Held"`.
_FALLBACKS = {"Held"}
_WORD = re.compile(r"^[A-Z][A-Za-z0-9]+$")
Node = TypeVar("Node", bound=ast.AST)


@cache
def _trees() -> tuple[ast.Module, ...]:
    found = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return tuple(ast.parse(path.read_text()) for path in found)


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _words(node: ast.expr) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and _WORD.match(part.value):
            yield part.value


def _nodes(kind: type[Node]) -> Iterator[Node]:
    return (node for tree in _trees() for node in ast.walk(tree) if isinstance(node, kind))


def _given(call: ast.Call) -> Iterator[str]:
    """The reasons among the arguments of a call."""
    place = _PLACES.get(_called(call))
    if place is not None and len(call.args) > place:
        yield from _words(call.args[place])
    for keyword in call.keywords:
        if keyword.arg in ("reason", "hold"):
            yield from _words(keyword.value)


@cache
def bad_news() -> frozenset[str]:
    """Reasons of conditions that are not True, and of holds: what a person may have to act on."""
    calls = (
        call for call in _nodes(ast.Call)
        if not (_called(call) == "Finding" and len(call.args) > 1 and "True" in _words(call.args[1]))
    )  # fmt: skip
    return frozenset(word for call in calls for word in _given(call)) - _FALLBACKS


@cache
def reasons() -> frozenset[str]:
    """All reasons that the code names: given to a call, defaults of parameters called reason, or compared with one."""
    found = {word for call in _nodes(ast.Call) for word in _given(call)}
    for arguments in _nodes(ast.arguments):
        defaults = zip(reversed(arguments.args), reversed(arguments.defaults), strict=False)
        found |= {word for one, default in defaults if one.arg == "reason" for word in _words(default)}
    for compared in _nodes(ast.Compare):
        if isinstance(compared.left, ast.Name) and compared.left.id == "reason":
            found |= {word for one in compared.comparators for word in _words(one)}
    return frozenset(found)


@cache
def literals() -> frozenset[str]:
    """Every CamelCase string of the code: kinds, phases, values of fields, types of conditions."""
    return frozenset(
        node.value
        for tree in _trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _WORD.match(node.value)
    )


@cache
def variables() -> frozenset[str]:
    """Names of PLIMSOLL_ variables in the code, the benchmarks and the chart."""
    text = "\n".join(path.read_text() for package in (*PACKAGES, "bench") for path in (ROOT / package).rglob("*.py"))
    text += "\n".join(path.read_text() for path in (ROOT / "charts").rglob("*.yaml"))
    return frozenset(re.findall(r"PLIMSOLL_[A-Z0-9_]+", text))


def _names(families: Iterable[Any]) -> frozenset[str]:
    """As the contracts and dashboards call them: counters with their ending, histograms without."""
    return frozenset(f"{one.name}_total" if one.type == "counter" else one.name for one in families)


def server_metrics() -> frozenset[str]:
    """What a server exports, of one model or of many."""
    identity = Identity("digits", "1", "digits-1", "digits", "demo", "pod")
    metrics = ServingMetrics(identity)
    bins = BinCounter(identity, Plan("input"), 10000, asyncio.new_event_loop())
    metrics.others += [bins, FeedbackCounts("digits", "1"), PayloadCounts(identity)]
    empty: Any = SimpleNamespace(
        services={}, residents=SimpleNamespace(used=0, budget=0, loads=0, evictions=0), hosts=lambda: ()
    )
    return _names(metrics.collect()) | _names(PoolMetrics(empty).collect())


def operator_metrics() -> frozenset[str]:
    """What the operator exports, also what has no series yet."""
    return _names(REGISTRY.collect())


@cache
def make_targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def exists(path: str) -> bool:
    return Path(ROOT, path).exists()
