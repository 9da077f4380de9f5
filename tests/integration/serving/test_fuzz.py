"""A short run of the fuzzer with a fixed seed. `make fuzz` goes on for longer, with another seed each time."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.campaign import Campaign
from tests.fuzz.targets import TARGETS
from tests.integration.serving.harness import RIGHT, Server, running

CASES = 2000


def test_no_damaged_request_harms_the_server(tmp_path: Path) -> None:
    with running(Server(tmp_path / "server", RIGHT, "fuzzed", PLIMSOLL_READ_TIMEOUT_SECONDS="2")) as (server,):
        report = Campaign(server, seed=4, folder=tmp_path / "findings").run(20, 5, most=CASES)
    assert report.findings == [], report.text()
    assert set(report.cases) == set(TARGETS)
