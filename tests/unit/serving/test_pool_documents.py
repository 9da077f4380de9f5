"""The documents of a pool, as kubelet mounts them."""

from __future__ import annotations

import json
import random
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from plimsoll_serving.pool.document import parse
from plimsoll_serving.pool.documents import Documents
from plimsoll_serving.route import RouteError

from tests.fuzz.mutate import altered, damaged
from tests.integration.serving.pool_harness import document


class Mount:
    """A ConfigMap as kubelet swaps it: a new folder, a link that is moved onto it, and then the links of new files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._swaps = 0

    def swap(self, *services: str) -> None:
        self._swaps += 1
        fresh = self.folder / f"..{self._swaps}"
        fresh.mkdir()
        for service in services:
            document = {"service": service, "model": service, "epoch": 1, "revisions": {}}
            (fresh / f"{service}.json").write_text(json.dumps(document))
        link = self.folder / "..data_tmp"
        link.symlink_to(fresh.name)
        link.rename(self.folder / "..data")

    def link(self, service: str) -> None:
        (self.folder / f"{service}.json").symlink_to(Path("..data") / f"{service}.json")


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path)


def test_a_new_document_is_seen_before_its_own_link_is_there(mount: Mount) -> None:
    documents = Documents(mount.folder)
    mount.swap("a")
    assert set(documents.changed() or {}) == {"a"}
    mount.link("a")
    mount.swap("a", "b")
    assert set(documents.changed() or {}) == {"a", "b"}
    mount.link("b")
    assert documents.changed() is None


def test_a_document_that_is_gone_is_gone_although_its_link_is_there(mount: Mount) -> None:
    documents = Documents(mount.folder)
    mount.swap("a", "b")
    for service in "ab":
        mount.link(service)
    assert set(documents.changed() or {}) == {"a", "b"}
    mount.swap("a")
    assert set(documents.changed() or {}) == {"a"}


def test_a_folder_that_is_swapped_while_it_is_listed_is_listed_again(
    mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are deleted under the list: what is missing there was taken from no service."""
    documents = Documents(mount.folder)
    mount.swap("a", "b")
    assert set(documents.changed() or {}) == {"a", "b"}
    mount.swap("a", "b", "c")
    listed = Path.glob

    def swapped(path: Path, pattern: str) -> list[Path]:
        monkeypatch.undo()
        mount.swap("a", "b", "d")
        shutil.rmtree(mount.folder / "..2")
        return list(listed(path, pattern))[:1]

    monkeypatch.setattr(Path, "glob", swapped)
    assert documents.changed() is None
    assert set(documents.changed() or {}) == {"a", "b", "d"}


CASES = 5000


def test_whatever_a_document_says_it_is_followed_or_refused() -> None:
    """Anything else that is raised would end the following of every service's document."""
    file = {"uri": "file:///model.onnx", "sha256": "0" * 64}
    whole = document("a", {"1": file, "2": file}, weights={"1": 50, "2": 50}, sticky={"header": "x-user"})
    whole["revisions"]["a-00000001"] |= {
        "profile": file,
        "batching": {"maxBatchSize": 4, "maxDelayMilliseconds": 2},
        "payloadLog": {"samplePercent": 3, "sink": "http://logs/", "mask": ["age"]},
    }
    refused = 0
    for number in range(CASES):
        chance = random.Random(number)
        text = json.dumps(altered(whole, chance)).encode()
        with suppress(RouteError):
            parse(damaged(text, chance) if chance.random() < 0.3 else text)
            continue
        refused += 1
    assert CASES / 2 < refused < CASES
