"""Building the Go programs, each once for each digest of its sources."""

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from devcluster import toolchain
from devcluster.paths import SOURCES, Paths
from devcluster.reporting import DevclusterError, say, step

KUBERNETES = "1.35.4"
HELM = "4.1.4"
_STAMP = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Program:
    """A Go program: ``folder`` holds its module, ``package`` is what to build there."""

    name: str
    folder: Path
    package: str = "."
    linker: str = "-s -w"
    static: bool = False


KUBE = Program(
    name="kube",
    folder=SOURCES / "kube",
    linker=" ".join(
        [
            "-s -w",
            f"-X {_STAMP}.gitVersion=v{KUBERNETES}",
            f"-X {_STAMP}.gitMajor={KUBERNETES.split('.')[0]}",
            f"-X {_STAMP}.gitMinor={KUBERNETES.split('.')[1]}",
            f"-X {_STAMP}.gitTreeState=clean",
            f"-X {_STAMP}.gitCommit=v{KUBERNETES}",
            f"-X helm.sh/helm/v4/internal/version.version=v{HELM}",
        ]
    ),
)
PAUSE = Program(name="pause", folder=SOURCES / "pause", static=True)
STORE = Program(
    name="versitygw",
    folder=SOURCES / "store",
    package="github.com/versity/versitygw/cmd/versitygw",
    static=True,
)
GATEWAY = Program(
    name="envoy-gateway",
    folder=SOURCES / "gateway",
    package="github.com/envoyproxy/gateway/cmd/envoy-gateway",
)
KINDCHECK = Program(name="kindcheck", folder=SOURCES / "kindcheck", static=True)


def digest_of(files: Iterable[Path], root: Path, *words: str) -> str:
    """SHA-256 over names relative to ``root``, contents and ``words``, as 64 hex digits; order does not matter."""
    whole = hashlib.sha256("\0".join(words).encode())
    for path in sorted(files):
        whole.update(f"\0{path.relative_to(root)}\0".encode())
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def binary(paths: Paths, program: Program) -> Path:
    """The built program; builds it when these sources were not built before."""
    sources = [path for path in program.folder.iterdir() if path.suffix in {".go", ".mod", ".sum"}]
    key = digest_of(sources, program.folder, program.package, program.linker, str(program.static))[:16]
    target = paths.cache / "bin" / f"{program.name}-{key}" / program.name
    if not target.exists():
        _build(paths, program, target)
    return target


def module(paths: Paths, program: Program, name: str) -> Path:
    """The folder of one of the modules that a program is made from, in the version that it is built with."""
    environment = {**os.environ, **toolchain.environment(paths)}
    version = "{{.Path}}@{{.Version}}"
    go = str(toolchain.go(paths))

    def run(*words: str) -> str:
        done = subprocess.run(
            [go, *words], cwd=program.folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise DevclusterError(f"`go {' '.join(words)}` in {program.folder} failed; it said:\n{done.stderr[-3000:]}")
        return done.stdout

    wanted = run("list", "-m", "-f", version, name).strip()
    return Path(json.loads(run("mod", "download", "-json", wanted))["Dir"])


def _build(paths: Paths, program: Program, target: Path) -> None:
    go = toolchain.go(paths)
    environment = toolchain.environment(paths) | ({"CGO_ENABLED": "0"} if program.static else {})
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    target.parent.mkdir(parents=True, exist_ok=True)
    objects = Path(environment["GOCACHE"])
    started = time.time()
    if program is KUBE:
        say("building Kubernetes: about 7 minutes on 2 cores the first time, seconds after a small change")
    argv = [str(go), "build", "-ldflags", program.linker, "-o", str(unfinished), program.package]
    with step(f"go build {program.name}", lambda: f"{_compiled_since(objects, started)} files compiled or linked"):
        _run_in(program.folder, argv, environment)
        unfinished.rename(target)


def _run_in(folder: Path, argv: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        argv, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise DevclusterError(f"`go build` in {folder} failed; it said:\n{done.stderr.strip()[-3000:]}")


def _compiled_since(objects: Path, started: float) -> int:
    """Compiled outputs in Go's build cache (names ending in -d) that appeared since ``started``."""
    count = 0
    for folder in objects.glob("??"):
        with os.scandir(folder) as entries:
            count += sum(entry.name.endswith("-d") and entry.stat().st_mtime >= started for entry in entries)
    return count
