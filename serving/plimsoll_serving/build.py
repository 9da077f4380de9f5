"""Which form of the program runs: its hot modules compiled, or from their sources, which costs more CPU a request."""

import logging
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

from plimsoll_serving import __version__
from plimsoll_serving.families import Family, GaugeFamily
from plimsoll_serving.logs import LOGGER

COMPILED = "compiled"
PLAIN = "plain"
# One of the modules that are compiled; they are so together.
HOT = "endpoints"
FOLDER = Path(__file__).parent


def code() -> str:
    """``compiled`` or ``plain``: what Python takes for the modules that every request goes through."""
    spec = find_spec(f"plimsoll_serving.{HOT}")
    return COMPILED if spec and str(spec.origin).endswith(tuple(EXTENSION_SUFFIXES)) else PLAIN


def unusable(folder: Path) -> list[str]:
    """For what Pythons and platforms there are compiled modules in ``folder`` that this one cannot take."""
    files = (path.name.removeprefix(HOT) for path in folder.glob(f"{HOT}.*.so"))
    return sorted(suffix.strip(".").removesuffix(".so") for suffix in files if suffix not in EXTENSION_SUFFIXES)


def tell() -> None:
    """Log which form runs; a warning where the other one was meant to."""
    form, others = code(), unusable(FOLDER)
    level, message = logging.INFO, f"Plimsoll {__version__}, {form}"
    if form == PLAIN and others:
        level = logging.WARNING
        message = (
            f"{message}: the compiled modules are for {', '.join(others)}, and this is none; requests cost more CPU: "
            "build and run the image with one Python"
        )
    LOGGER.log(level, message, extra={"fields": {"code": form}})


def info() -> Family:
    """`plimsoll_build_info`, always 1."""
    family = GaugeFamily(
        "plimsoll_build_info",
        "The server's version, and whether its hot modules are compiled or plain; always 1.",
        labels=("version", "code"),
    )
    family.add((__version__, code()), 1)
    return family
