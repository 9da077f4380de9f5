"""A short run of the fuzzer with a fixed seed. `make fuzz` goes on for longer, with another seed each time."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.campaign import Campaign
from tests.fuzz.servers import attacked
from tests.fuzz.targets import TARGETS
from tests.integration.serving.harness import running

CASES = 2000


def test_no_damaged_request_harms_the_server(tmp_path: Path) -> None:
    servers = attacked(tmp_path / "servers")
    with running(*servers.values()):
        report = Campaign(servers, seed=4, folder=tmp_path / "findings").run(25, 5, most=CASES)
    assert report.findings == [], report.text()
    assert set(report.cases) == set(TARGETS)
