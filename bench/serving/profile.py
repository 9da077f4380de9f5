"""Where a request's time goes in this server: a flame graph of one work, C frames included, by py-spy."""

import argparse
import re
import subprocess
import threading
from pathlib import Path

from bench.serving import environments, load, payloads
from bench.serving.models import made
from bench.serving.process import serving
from bench.serving.servers import OURS, servers
from bench.serving.works import WORKS, Protocol

BUILD = Path("build/bench")
SAMPLES_PER_SECOND = 500
SERVER_CORE, CLIENT_CORE = 0, 1
WARM_SECONDS = 1


def main() -> None:
    """Write the graph. Raises Missing when a program is not there."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.serving.profile",
        description=__doc__,
        epilog="example: python -m bench.serving.profile --work v2-binary-32rows-c16 --output build/binary.svg",
    )
    works = {work.name: work for work in WORKS if work.protocol is not Protocol.GRPC}
    parser.add_argument("--work", choices=works, default="v2-json-1row-c16", help="what is sent (%(default)s)")
    parser.add_argument("--seconds", type=int, default=5, help="of sampling (%(default)s)")
    parser.add_argument("--output", type=Path, default=Path("bench/results/profile.svg"), help="(%(default)s)")
    told = parser.parse_args()
    work = works[told.work]
    sampler = environments.python_of("profile", BUILD).with_name("py-spy")
    model = made(work.model, BUILD)
    ours = next(server for server in servers() if server.name == OURS)
    request = payloads.payload(work.protocol, model.rows(work.rows))
    with serving(ours.launch(model, BUILD, BUILD / "run/profile"), SERVER_CORE) as running:
        base, seconds = running.launch.base, told.seconds + 2 * WARM_SECONDS
        client = threading.Thread(target=load.wrk, args=(base, request, work.connections, seconds, CLIENT_CORE))
        client.start()
        command = [sampler, "record", "--native", "--pid", str(running.process.pid), "--output", told.output]
        options = ["--rate", str(SAMPLES_PER_SECOND), "--duration", str(told.seconds), "--threads"]
        subprocess.run([str(part) for part in (*command, *options)], check=True)
        client.join()
    _title(told.output, work.name)
    print(f"{told.output}: open it in a browser; a click goes into a frame")


def _title(graph: Path, work: str) -> None:
    """Say what was measured, where py-spy has its command with the paths of this machine."""
    text = graph.read_text()
    graph.write_text(re.sub(r'(<text id="title"[^>]*>)[^<]*', rf"\g<1>{work}", text, count=1))


if __name__ == "__main__":
    main()
