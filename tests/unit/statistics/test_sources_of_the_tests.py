"""Each function of the statistics names where it comes from."""

from __future__ import annotations

import importlib
import inspect
import re
from types import ModuleType

import plimsoll.core.statistics
import pytest

#: An author and a year, such as `(Hoeffding 1963)` or `Lindon & Malek, "…" (NeurIPS 2022)`.
CITATION = re.compile(r"[A-Z]\w+[^\n]*(?:\n[^\n]*)?\b(?:19|20)\d\d\b")
#: The modules that the package's docstring lists, a line each.
LISTED = re.findall(r"^    (\w+)  ", plimsoll.core.statistics.__doc__ or "", re.MULTILINE)


def lacking(module: ModuleType) -> list[str]:
    """The public functions that name no source, neither themselves nor by their module."""
    if CITATION.search(module.__doc__ or ""):
        return []
    return [
        name
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and not name.startswith("_")
        and not CITATION.search(inspect.getdoc(function) or "")
    ]


def test_the_package_lists_its_modules() -> None:
    assert {"beta_binomial", "wealth", "labels", "disagreement"} <= set(LISTED)


@pytest.mark.parametrize("name", LISTED)
def test_each_function_names_its_source(name: str) -> None:
    assert lacking(importlib.import_module(f"plimsoll.core.statistics.{name}")) == []
