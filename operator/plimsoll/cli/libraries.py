"""Modules that need more than the plugin brings."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from plimsoll.cli.trouble import Trouble


def loaded(module: str, command: str, libraries: Sequence[str]) -> Any:
    """A module that imports `libraries`. Raises Trouble with the remedy when they are missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        *head, last = libraries
        raise Trouble(
            f"{command} needs {', '.join(head)} and {last} ({error}): python3 -m pip install {' '.join(libraries)},"
            " or the package plimsoll[cli]"
        ) from error
