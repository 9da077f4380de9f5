"""Which form of the server says that it runs."""

from __future__ import annotations

import ast
import logging
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import plimsoll_serving.endpoints
import pytest
from plimsoll_serving import build
from plimsoll_serving.metrics import ServingMetrics

from tests.unit.serving.test_metrics import IDENTITY, samples

OWN, OTHER = f"endpoints{EXTENSION_SUFFIXES[0]}", "endpoints.cpython-399-x86_64-linux-gnu.so"


def test_the_form_is_that_of_the_file_that_the_modules_were_taken_from() -> None:
    source = str(plimsoll_serving.endpoints.__file__).endswith(".py")
    assert build.code() == ("plain" if source else "compiled")


def test_the_form_is_exported() -> None:
    assert samples(ServingMetrics(IDENTITY), "plimsoll_build_info") == {
        ("plimsoll_build_info", build.code(), plimsoll_serving.__version__): 1
    }


@pytest.mark.parametrize(("files", "found"), [([], []), ([OWN], []), ([OWN, OTHER], ["cpython-399-x86_64-linux-gnu"])])
def test_modules_compiled_for_another_python_are_named(tmp_path: Path, files: list[str], found: list[str]) -> None:
    for name in files:
        (tmp_path / name).touch()
    assert build.unusable(tmp_path) == found


@pytest.mark.parametrize(
    ("code", "there", "level"), [("plain", OTHER, "WARNING"), ("plain", "", "INFO"), ("compiled", OTHER, "INFO")]
)
def test_only_who_was_meant_to_run_compiled_and_does_not_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: str, there: str, level: str
) -> None:
    monkeypatch.setattr(build, "code", lambda: code)
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    if there:
        (tmp_path / there).touch()
    with caplog.at_level(logging.INFO):
        build.tell()
    (line,) = caplog.records
    assert (line.levelname, line.fields) == (level, {"code": code})
    assert ("build and run the image with one Python" in line.message) == (level == "WARNING")


def test_nothing_that_must_hold_is_an_assert_and_nothing_reads_a_docstring() -> None:
    """The image runs without either (``PYTHONOPTIMIZE=2``)."""
    for path in sorted(build.FOLDER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, ast.Assert), path
            assert not (isinstance(node, ast.Attribute) and node.attr == "__doc__"), path
