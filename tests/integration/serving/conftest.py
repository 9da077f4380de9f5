"""Servers that several tests share."""

from collections.abc import Iterator

import plimsoll_serving  # noqa: F401 - before any test loads ONNX Runtime: it turns its telemetry off
import pytest

from tests.builders import onnx_models
from tests.integration.serving.harness import COEFFICIENTS, INTERCEPTS, RIGHT, Server, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with tight limits and without a route."""
    limits = {
        "PLIMSOLL_MAX_BODY_BYTES": "100000",
        "PLIMSOLL_MAX_HEADER_BYTES": "4096",
        "PLIMSOLL_READ_TIMEOUT_SECONDS": "2",
    }
    folder = tmp_path_factory.mktemp("alone")
    with running(Server(folder, RIGHT, "digits-alone", **limits)) as (alone,):
        yield alone


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """A stable and a candidate whose graph raises when the first feature is above 100."""
    folder = tmp_path_factory.mktemp("pair")
    stable = Server(folder / "stable", RIGHT, "digits-aaaa", "1")
    failing = onnx_models.failing_classifier(COEFFICIENTS, INTERCEPTS, feature=0, threshold=100)
    candidate = Server(folder / "candidate", failing, "digits-bbbb", "2")
    with running(stable, candidate):
        yield stable, candidate
