"""Whatever a page names is there: files, headings, targets of make, flags, values, variables, metrics, reasons."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from typing import Any

import pytest
import yaml

from tests.unit.docs import source
from tests.unit.docs.pages import ROOT, Page, pages, written

EACH_PAGE = pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
EACH_WRITTEN = pytest.mark.parametrize("page", written(), ids=lambda page: page.name)
#: Kinds, reasons and words of Kubernetes, Git and others that the code need not know.
FOREIGN = {
    "AlreadyExists", "Conflict", "ClusterRole", "ValidatingAdmissionPolicy", "SIGTERM", "CONTEXT", "REGISTRY",
}  # fmt: skip
#: Labels with our prefix that are no metrics.
PACKAGES = {"plimsoll_serving", "plimsoll_training"}


@EACH_PAGE
def test_relative_links_and_anchors_lead_somewhere(page: Page) -> None:
    dead = []
    for link in page.links:
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        if not target.exists() or (anchor and anchor not in Page(target).anchors):
            dead.append(link)
    assert dead == []


@EACH_WRITTEN
def test_paths_of_the_checkout_exist(page: Page) -> None:
    roots = tuple(f"{path.name}/" for path in ROOT.iterdir() if path.is_dir() and path.name not in {"build"})
    named = [word for word in page.code if word.startswith(roots) and re.fullmatch(r"[\w./-]+", word)]
    assert [word for word in named if not source.exists(word)] == []


@EACH_PAGE
def test_targets_of_make_exist(page: Page) -> None:
    # Only what is typed: the verb "to make" stands in the prose as well.
    typed = [*page.code, *(block.text for block in page.blocks if block.language == "sh")]
    named = {found for text in typed for found in re.findall(r"\bmake ([a-z][a-z0-9-]*)", text)}
    assert named - source.make_targets() == set()


@EACH_PAGE
def test_a_kubectl_plugin_is_named_only_if_there_is_one(page: Page) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert "kubectl plimsoll" not in page.text or "kubectl-plimsoll" in scripts


@pytest.fixture(scope="module")
def told() -> dict[str, str]:
    """What each command line says of itself."""
    programs = {
        "python -m plimsoll": ["-m", "plimsoll"],
        "python -m plimsoll_serving": ["-m", "plimsoll_serving"],
        "python -m plimsoll_training": ["-m", "plimsoll_training"],
        "python -m demo": ["-m", "demo"],
        "kubectl plimsoll": ["-m", "plimsoll.cli"],
        "python3 devcluster": ["devcluster"],
    }
    environment = {"PYTHONPATH": "operator:serving:training", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}

    def ask(arguments: list[str]) -> str:
        command = [sys.executable, *arguments, "--help"]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout

    return {name: ask(arguments) for name, arguments in programs.items()}


@EACH_WRITTEN
def test_verbs_and_flags_of_our_programs_exist(page: Page, told: dict[str, str]) -> None:
    unknown = []
    for program, text in told.items():
        for rest in re.findall(rf"{re.escape(program)}(?![\w/])([ \w.-]*)", page.text):
            words = [word for word in rest.split() if re.fullmatch(r"--[a-z-]+|[a-z][a-z-]*", word)][:1]
            unknown += [f"{program} {word}" for word in words if not re.search(rf"(?<![\w-]){re.escape(word)}\b", text)]
    assert unknown == []


def _paths(values: Any, prefix: str = "") -> set[str]:
    if not isinstance(values, dict):
        return {prefix}
    return {prefix} | {
        path for key, below in values.items() for path in _paths(below, f"{prefix}.{key}" if prefix else key)
    }


@EACH_WRITTEN
def test_values_of_the_chart_exist(page: Page) -> None:
    known = _paths(yaml.safe_load((ROOT / "charts/plimsoll/values.yaml").read_text()))
    set_ = re.findall(r"--set ([\w.]+)=", page.text)
    tops = {path for path in known if path and "." not in path}
    named = [word.partition("=")[0].partition(":")[0] for word in page.code]
    coded = [
        word
        for word in named
        if re.fullmatch(r"\w+\.[\w.]+", word) and not word.endswith(".json") and word.partition(".")[0] in tops
    ]
    assert {*set_, *coded} - known == set()


@EACH_WRITTEN
def test_variables_exist(page: Page) -> None:
    assert set(re.findall(r"PLIMSOLL_[A-Z0-9_]+", page.text)) - source.variables() == set()


@EACH_WRITTEN
def test_metrics_exist(page: Page) -> None:
    named = set(re.findall(r"\bplimsoll_[a-z_]+[a-z]\b", page.text)) - PACKAGES
    assert named - source.server_metrics() - source.operator_metrics() == set()


@EACH_WRITTEN
def test_words_in_camel_case_are_words_of_the_code(page: Page) -> None:
    named = {word for word in page.code if re.fullmatch(r"[A-Z][A-Za-z]+", word)}
    assert named - source.literals() - FOREIGN == set()


@EACH_WRITTEN
def test_reasons_in_tables_are_reasons_of_the_code(page: Page) -> None:
    assert set(page.first_column("reason")) - source.reasons() == set()


def test_every_reason_that_asks_something_of_people_is_explained() -> None:
    explained = {
        reason
        for name in ("docs/operations.md", "docs/releases.md")
        for reason in Page(ROOT / name).first_column("reason")
    }
    assert source.bad_news() - explained == set()


@pytest.mark.parametrize(
    ("page", "exported"),
    [("docs/serving.md", source.server_metrics()), ("docs/operations.md", source.operator_metrics())],
    ids=["server", "operator"],
)
def test_every_metric_of_ours_is_explained(page: str, exported: frozenset[str]) -> None:
    assert set(Page(ROOT / page).first_column("metric")) == {name for name in exported if name.startswith("plimsoll_")}
