"""What is promised about the peers, as far as files can tell."""

from __future__ import annotations

import re

import pytest

from bench.serving import environments
from bench.serving.servers import FORMS, OURS, form_of, servers
from tests.unit.docs.pages import ROOT

PEERS = [server.name for server in servers() if server.name != OURS]


@pytest.mark.parametrize("peer", PEERS)
def test_every_peer_has_exact_versions_with_hashes(peer: str) -> None:
    text = (environments.REQUIREMENTS / f"{peer}.txt").read_text()
    packages = re.findall(r"^(?! )(\S+)", text, re.MULTILINE)
    assert packages
    assert [one for one in packages if "==" not in one] == []
    assert len(re.findall(r"^\S.*\n    --hash=sha256:", text, re.MULTILINE)) == len(packages)


@pytest.mark.parametrize("peer", [*PEERS, "tools"])
def test_no_file_of_versions_names_a_host(peer: str) -> None:
    assert "://" not in (environments.REQUIREMENTS / f"{peer}.txt").read_text()


def test_all_peers_run_the_same_onnxruntime() -> None:
    assert len({environments.pinned(peer, "onnxruntime") for peer in PEERS}) == 1


def test_every_peer_is_in_the_table_of_dependencies_of_no_image() -> None:
    # The benchmark's packages stay out of what is deployed.
    deployed = (ROOT / "requirements/serving.txt").read_text()
    assert [peer for peer in [*PEERS, "matplotlib"] if re.search(rf"^{peer}==", deployed, re.MULTILINE)] == []


def test_a_server_that_is_not_compiled_is_named_so_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert form_of(ROOT / "serving") == "plain"
    monkeypatch.setenv("PLIMSOLL_SERVING", "serving")
    (ours,) = [server for server in servers() if server.name == OURS]
    assert ours.settings.endswith(FORMS["plain"])
