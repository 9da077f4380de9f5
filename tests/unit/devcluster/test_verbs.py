"""Verbs say what is missing, in one sentence, before they change anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from devcluster.cli import main


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLIMSOLL_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PLIMSOLL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    return tmp_path


def test_down_without_a_cluster_needs_no_root_and_does_nothing(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["down"]) == 0
    assert capsys.readouterr().out == "there is no cluster: nothing to remove\n"
    assert list(folders.iterdir()) == []


@pytest.mark.parametrize("verb", [["up"], ["images"], ["stop", "kubelet"], ["recycle-volumes"]])
def test_what_changes_the_cluster_asks_for_root(
    verb: list[str], folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(verb) == 1
    assert "run it again with sudo" in capsys.readouterr().err
    assert list(folders.iterdir()) == []


def test_down_with_a_cluster_asks_for_root(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folders / "state").mkdir()
    assert main(["down"]) == 1
    assert "run it again with sudo" in capsys.readouterr().err
    assert (folders / "state").is_dir()
