"""A real Prometheus (Debian's package 2.42, unpacked and not installed, so that no daemon starts), for tests."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from devcluster.commands import run
from devcluster.paths import Paths
from devcluster.reporting import DevclusterError
from tests.ports import free_port

START_SECONDS = 90.0
SCRAPE_SECONDS = 1


@dataclass(frozen=True)
class PrometheusServer:
    """A running one. `targets` writes what it scrapes; it is followed within a second."""

    url: str
    targets_file: Path
    process: subprocess.Popen[bytes]

    def targets(self, groups: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        """Pairs of address and labels."""
        listed = [{"targets": [address], "labels": dict(labels)} for address, labels in groups]
        fresh = self.targets_file.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(listed))
        fresh.rename(self.targets_file)

    def values(self, query: str) -> list[dict[str, object]]:
        """Rows of an instant query."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=60).json()
        assert answer["status"] == "success", answer
        rows: list[dict[str, object]] = answer["data"]["result"]
        return rows


@contextlib.contextmanager
def running_prometheus(folder: Path) -> Iterator[PrometheusServer]:
    """Start one that scrapes every second what `targets` names, and end it."""
    folder.mkdir(parents=True, exist_ok=True)
    targets, port = folder / "targets.yml", free_port()
    targets.write_text("[]\n")
    discovery = [{"files": [str(targets)], "refresh_interval": "1s"}]
    every = {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s"}
    (folder / "prometheus.yml").write_text(
        yaml.safe_dump({"global": every, "scrape_configs": [{"job_name": "pods", "file_sd_configs": discovery}]})
    )
    command = [
        str(program("prometheus")),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-lifecycle",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _await_ready(url, process, folder / "log")
            yield PrometheusServer(url, targets, process)
        finally:
            process.kill()


def program(name: str) -> Path:
    """`prometheus` or `promtool`: one of the path, else Debian's, fetched into the cache when it is not there.

    Raises DevclusterError where it cannot be fetched; put it on the path then.
    """
    if given := shutil.which(name):
        return Path(given)
    root = Paths.from_environment().cache / "prometheus"
    found = root / "usr" / "bin" / name
    if not found.exists():
        _fetch(root)
    return found


def _fetch(root: Path) -> None:
    work = root.with_suffix(f".{os.getpid()}")
    work.mkdir(parents=True)
    try:
        try:
            run(["apt-get", "download", "prometheus"], cwd=work)
        except DevclusterError:
            run(["apt-get", "update"])
            run(["apt-get", "download", "prometheus"], cwd=work)
        (package,) = work.glob("prometheus_*.deb")
        run(["dpkg-deb", "--extract", str(package), str(work / "root")])
        try:
            (work / "root").rename(root)
        except OSError:
            if not root.exists():  # else another run was faster
                raise
    finally:
        shutil.rmtree(work)


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/-/ready", timeout=5).status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"Prometheus is not ready within {START_SECONDS} s: {log.read_text()}")
