"""A real S3 server (versitygw over a folder) on loopback, for tests. Importable without pytest."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devcluster import build
from devcluster.paths import Paths
from tests.ports import free_port

ACCESS_KEY = "plimsoll-tests"
SECRET_KEY = "plimsoll-tests-secret"
START_SECONDS = 90.0


@dataclass(frozen=True)
class S3Server:
    """A running server; a folder below `root` is a bucket."""

    endpoint: str
    root: Path

    def make_bucket(self, name: str) -> str:
        (self.root / name).mkdir()
        return name

    def environment(self, bucket: str) -> dict[str, str]:
        """What the Secret `plimsoll-store` gives to a container."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "PLIMSOLL_BUCKET": bucket,
        }


@contextlib.contextmanager
def running_s3_server(
    root: Path, accounts: Path | None = None, certificate: tuple[Path, Path] | None = None
) -> Iterator[S3Server]:
    """Start versitygw over `root`, and end it; with a folder for `accounts` it has users besides the root.

    With a `certificate` and its key it speaks TLS.
    """
    root.mkdir(parents=True, exist_ok=True)
    port = free_port()
    environment = {**os.environ, "ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    users = ["--iam-dir", str(accounts)] if accounts else []
    tls = ["--cert", str(certificate[0]), "--key", str(certificate[1])] if certificate else []
    command = [str(binary()), "--quiet", "--port", f"127.0.0.1:{port}", *users, *tls, "posix", str(root)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            _await_port(port, process)
            yield S3Server(f"{'https' if certificate else 'http'}://127.0.0.1:{port}", root)
        finally:
            process.terminate()


def binary() -> Path:
    """`PLIMSOLL_VERSITYGW`, else the development cluster's, built when it is not in the cache (two minutes)."""
    if given := os.environ.get("PLIMSOLL_VERSITYGW"):
        return Path(given)
    return build.binary(Paths.from_environment(), build.STORE)


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            assert process.stderr is not None
            raise RuntimeError(f"versitygw ended at once: {process.stderr.read().decode()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"versitygw did not listen on port {port} within {START_SECONDS:.0f} s")
