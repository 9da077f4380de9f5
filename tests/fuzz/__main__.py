"""python -m tests.fuzz [--seconds 600] [--seed N] [--case N]"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import plimsoll_serving  # noqa: F401 - before ONNX Runtime is loaded: it turns its telemetry off

from tests.fuzz.campaign import Campaign
from tests.fuzz.servers import attacked
from tests.integration.serving.harness import running

SETTLE_SECONDS = 60.0


def main() -> int:
    """Attack a server of our own for a while; 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Damaged requests to a real server")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32, help="default: another one each time")
    parser.add_argument("--case", type=int, help="only this case of the seed")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = attacked(Path(folder))
        stack.enter_context(running(*servers.values()))
        campaign = Campaign(servers, options.seed)
        if options.case is None:
            report = campaign.run(options.seconds, min(SETTLE_SECONDS, options.seconds / 2))
        else:
            print(campaign.case(options.case))
            report = campaign.run(options.seconds, options.seconds, options.case, 1)
    print(report.text(), flush=True)
    return 1 if report.findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
