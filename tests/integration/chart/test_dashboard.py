"""The dashboard by Grafana's own schema, as the models hold it that Grafana Labs generates from it."""

from __future__ import annotations

import copy
import json
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from pydantic import ConfigDict, TypeAdapter, ValidationError

from tests.integration.chart.test_monitoring import DASHBOARD

MODELS = "grafana_foundation_sdk.models."
_CONFIG = ConfigDict(arbitrary_types_allowed=True)
#: An annotation holds what its data source is asked beside its own fields; the schema has no place for this one:
#: https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/annotate-visualizations/
OF_THE_DATA_SOURCE = {".annotations.list[0].titleFormat"}


@pytest.fixture(scope="module", autouse=True)
def plugins() -> None:
    """Options of panels and queries are read as those of their type."""
    register_default_plugins()


def faults(dashboard: dict[str, Any]) -> list[str]:
    """Fields that the schema does not know, and values that are not of their field's type."""
    read = Dashboard.from_json(copy.deepcopy(dashboard))
    written = json.loads(JSONEncoder().encode(read))
    return sorted({*_lost(dashboard, written, ""), *_mistyped(read, "")} - OF_THE_DATA_SOURCE)


def _lost(given: Any, kept: Any, path: str) -> Iterator[str]:
    """What is not the same after it was read and written."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            yield from _lost(value, kept[key], f"{path}.{key}") if key in kept else [f"{path}.{key}"]
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from _lost(one, other, f"{path}[{number}]")
    elif given != kept:
        yield path


def _mistyped(value: Any, path: str) -> Iterator[str]:
    """The models only say what type a field has; they take any."""
    if isinstance(value, list):
        for number, one in enumerate(value):
            yield from _mistyped(one, f"{path}[{number}]")
    elif _is_model(value):
        for name, type_ in typing.get_type_hints(type(value)).items():
            held = getattr(value, name)
            yield from _mistyped(held, f"{path}.{name}")
            if _is_plain(held) and not _is_of(type_, held):
                yield f"{path}.{name}: {held!r}"


def _is_model(value: Any) -> bool:
    return type(value).__module__.startswith(MODELS) and not isinstance(value, (str, int))


def _is_plain(value: Any) -> bool:
    """A scalar, or a list of them."""
    return all(isinstance(one, (str, int, float)) for one in (value if isinstance(value, list) else [value]))


def _is_of(type_: Any, value: Any) -> bool:
    try:
        TypeAdapter(type_, config=_CONFIG).validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    return True


def test_grafana_knows_every_field_of_the_dashboard() -> None:
    assert faults(DASHBOARD) == []


def misspelt(found: dict[str, Any], field: str) -> None:
    found[field[:-2] + field[-1] + field[-2]] = found.pop(field)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda board: misspelt(board, "refresh"), ".refrehs"),
        (lambda board: misspelt(board["panels"][1]["options"], "showHeader"), ".panels[1].options.showHeadre"),
        (
            lambda board: misspelt(board["panels"][3]["targets"][0], "legendFormat"),
            ".panels[3].targets[0].legendFormta",
        ),
        (lambda board: misspelt(board["templating"]["list"][1], "multi"), ".templating.list[1].mulit"),
        (lambda board: board["panels"][1]["gridPos"].update(h="8"), ".panels[1].grid_pos.h: '8'"),
        (lambda board: board.update(graphTooltip=7), ".graph_tooltip: 7"),
        (
            lambda board: board["panels"][3]["options"]["legend"].update(placement="botom"),
            ".panels[3].options.legend.placement: 'botom'",
        ),
    ],
)
def test_a_field_that_is_misspelt_or_of_another_type_is_found(
    damage: Callable[[dict[str, Any]], None], told: str
) -> None:
    board = copy.deepcopy(DASHBOARD)
    damage(board)
    assert told in faults(board)
