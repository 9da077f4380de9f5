"""The pages that people read, taken apart: fenced blocks, links, anchors, words in code type, tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is where its fence stands."""

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Page:
    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def prose(self) -> str:
        """Without fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def blocks(self) -> Iterator[Block]:
        for found in _FENCE.finditer(self.text):
            line = self.text.count("\n", 0, found.start()) + 1
            yield Block(self.name, line, found["language"], found["text"])

    @property
    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    @property
    def code(self) -> list[str]:
        """Words in code type."""
        return [found.replace("\\|", "|") for found in _CODE.findall(self.prose)]

    @property
    def anchors(self) -> set[str]:
        """What GitHub makes of the headings."""
        return {_slug(line.lstrip("#").strip()) for line in self.prose.splitlines() if line.startswith("#")}

    def first_column(self, heading: str) -> list[str]:
        """The words in code type of the first cells of every table whose first column is called `heading`."""
        found: list[str] = []
        inside = False
        for line in self.prose.splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
            inside = bool(cells) and (inside or cells[0] == heading)
            found += _CODE.findall(cells[0]) if inside else []
        return found


def _slug(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return kept.replace(" ", "-")


def pages() -> list[Page]:
    """README, CONTRIBUTING, CHANGELOG and everything in docs/."""
    return [Page(path) for path in (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")))]


def written() -> list[Page]:
    """Those that are not generated."""
    return [page for page in pages() if "/reference/" not in page.name]


def blocks(language: str) -> list[Block]:
    return [block for page in written() for block in page.blocks if block.language == language]
