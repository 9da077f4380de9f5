"""Prometheus as its own programs: from PATH, else unpacked from Debian's package into the cache, without installing."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from devcluster.paths import Paths

PACKAGE = "prometheus"


@functools.cache
def program(name: str) -> str:
    """Path of `prometheus` or `promtool`. Skips the test where there is neither the program nor apt-get."""
    found = shutil.which(name)
    if found is not None:
        return found
    unpacked = Paths.from_environment().cache / PACKAGE
    if not (unpacked / "usr/bin" / name).exists():
        if shutil.which("apt-get") is None:
            pytest.skip(f"{name} is not installed, and there is no apt-get to fetch Debian's package {PACKAGE}")
        _unpack(unpacked)
    return str(unpacked / "usr/bin" / name)


def _unpack(into: Path) -> None:
    """Nothing is installed: a package's scripts would start a server on every address of this machine."""
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent) as folder:
        if not _downloaded(folder):
            subprocess.run(["apt-get", "update"], check=True, capture_output=True)
            assert _downloaded(folder), f"apt-get cannot download {PACKAGE}"
        (package,) = Path(folder).glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), f"{folder}/root"], check=True, capture_output=True)
        if not into.exists():
            Path(folder, "root").rename(into)


def _downloaded(folder: str) -> bool:
    command = ["apt-get", "download", PACKAGE]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
