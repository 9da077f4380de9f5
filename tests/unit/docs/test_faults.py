"""Each row of the table of faults names a test that is there and is collected by somebody."""

from __future__ import annotations

import ast
import re

import pytest

from tests.unit.docs.pages import ROOT, Page

PAGE = Page(ROOT / "docs/faults.md")
ROWS = [line for line in PAGE.text.splitlines() if line.startswith("| ") and not line.startswith("| fault |")]
#: What is run by hand.
BY_HAND = "".join(re.findall(r"^(?:soak|test-gateway):.*\n(?:\t.*\n)+", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_table_has_the_faults_that_are_promised() -> None:
    assert len(ROWS) >= 40
    assert all(line.count("|") == 4 for line in ROWS)


def test_each_word_for_evidence_that_is_missing_is_a_fault_with_its_row() -> None:
    table = Page(ROOT / "docs/evidence-sources.md").text.partition("| begins with |")[2].partition("\n\n")[0]
    words = set(re.findall(r"^\| (`\w+`) \|", table, re.MULTILINE))
    assert len(words) == 7
    told = {word for row in ROWS for word in re.findall(r"`\w+`", row.split("|")[2])}
    assert words - told == set()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_fault_names_a_test_that_is_run(row: str) -> None:
    found = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", row.split("|")[3].strip())
    assert found, "the last cell names one test as file::name"
    file, name = found.groups()
    tree = ast.parse((ROOT / file).read_text())
    tests = {one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in tests
    collected = file.rsplit("/", 1)[1].startswith("test_")
    assert collected or file in BY_HAND, f"nobody runs {file}"
