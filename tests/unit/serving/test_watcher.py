"""The watcher on a real folder that changes as a mounted ConfigMap does."""

import json
import os
from pathlib import Path

import pytest
from plimsoll_serving.route import Route
from plimsoll_serving.watcher import POLL_SECONDS, RouteWatcher

ARM = {"revision": "m-aaaa", "version": "1", "weight": 100, "mode": "Serve", "address": "localhost:1"}


def text(epoch: int) -> str:
    return json.dumps({"formatVersion": 1, "epoch": epoch, "primary": "m-aaaa", "arms": [ARM]})


def mount(folder: Path, generation: int, content: str) -> Path:
    """Write as kubelet does: a new folder, then the symlink ``..data`` swapped to it."""
    fresh = folder / f"..{generation}"
    fresh.mkdir()
    (fresh / "route.json").write_text(content)
    (folder / "..data_tmp").symlink_to(fresh.name)
    (folder / "..data_tmp").replace(folder / "..data")
    path = folder / "route.json"
    if not path.is_symlink():
        path.symlink_to("..data/route.json")
    return path


class Seen(list[int]):
    def take(self, route: Route) -> None:
        self.append(route.epoch)


@pytest.fixture
def seen() -> Seen:
    return Seen()


def test_a_change_waits_a_tenth_of_a_second_at_most() -> None:
    assert POLL_SECONDS <= 0.1


def test_each_swap_is_noticed_once(tmp_path: Path, seen: Seen) -> None:
    watcher = RouteWatcher(mount(tmp_path, 1, text(1)), seen.take)
    watcher.check()
    watcher.check()
    mount(tmp_path, 2, text(2))
    watcher.check()
    watcher.check()
    assert seen == [1, 2]


def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path: Path, seen: Seen) -> None:
    watcher = RouteWatcher(tmp_path / "route.json", seen.take)
    watcher.check()
    mount(tmp_path, 1, text(1))
    watcher.check()
    assert seen == [1]


def test_a_malformed_document_is_logged_once_and_the_next_is_taken(
    tmp_path: Path, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = RouteWatcher(mount(tmp_path, 1, text(1)), seen.take)
    watcher.check()
    mount(tmp_path, 2, "{")
    watcher.check()
    watcher.check()
    assert len(caplog.records) == 1
    assert "route document ignored, the old one stays: not JSON" in caplog.text
    mount(tmp_path, 3, text(3))
    watcher.check()
    assert seen == [1, 3]


def test_a_document_that_vanishes_stays_in_force(tmp_path: Path, seen: Seen) -> None:
    path = mount(tmp_path, 1, text(1))
    watcher = RouteWatcher(path, seen.take)
    watcher.check()
    path.unlink()
    watcher.check()
    assert seen == [1]


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_document_that_may_not_be_read_is_logged(
    tmp_path: Path, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    path = mount(tmp_path, 1, text(1))
    path.chmod(0)
    RouteWatcher(path, seen.take).check()
    assert "Permission denied" in caplog.text
