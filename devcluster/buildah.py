"""buildah with its storage below our cache: it sees no image of the user's, and leaves none among them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devcluster.commands import Argv, run, succeeds
from devcluster.paths import Paths

CA_IN_BUILD = "/run/host-ca.crt"
PIP_CACHE_IN_BUILD = "/root/.cache/pip"


@dataclass(frozen=True)
class Recipe:
    """One build: a Containerfile, the folder it copies from, build arguments, and the stage wanted (last if empty)."""

    containerfile: Path
    context: Path
    arguments: Mapping[str, str] = field(default_factory=dict)
    volumes: Sequence[str] = ()
    stage: str = ""


def command(paths: Paths, *words: str | Path) -> Argv:
    """The command line of one buildah call, in a mount namespace of its own: no overlay mount outlives it."""
    storage = paths.cache / "containers"
    return ["unshare", "--mount", "buildah", "--root", storage / "storage", "--runroot", storage / "run", *words]


def has(paths: Paths, image: str) -> bool:
    return succeeds(command(paths, "inspect", "--type", "image", image))


def push(paths: Paths, image: str, archive: Path) -> None:
    """Write an image to a docker archive."""
    run(command(paths, "push", image, f"docker-archive:{archive}:{image}"))


def build(paths: Paths, image: str, recipe: Recipe) -> None:
    """Build ``image``; a layer whose instruction and inputs did not change is taken from an earlier build."""
    arguments = [word for name, value in recipe.arguments.items() for word in ("--build-arg", f"{name}={value}")]
    volumes = [word for volume in recipe.volumes for word in ("--volume", volume)]
    stage = ["--target", recipe.stage] if recipe.stage else []
    how = ["build", "--layers", "--isolation", "chroot", "--pull-never", "--timestamp", "0", "--format", "docker"]
    what: Argv = ["--tag", image, "--file", recipe.containerfile, recipe.context]
    run(command(paths, *how, *arguments, *volumes, *stage, *what))


def download_settings(paths: Paths, environ: Mapping[str, str] = os.environ) -> tuple[dict[str, str], list[str]]:
    """Build arguments and volumes that let pip in a build reach what pip on this host reaches; none end in the image.

    The host's certificate bundle (PIP_CERT, or else SSL_CERT_FILE) and index (PIP_INDEX_URL) are handed in when set.
    """
    cache = paths.cache / "pip"
    cache.mkdir(parents=True, exist_ok=True)
    arguments, volumes = {}, [f"{cache}:{PIP_CACHE_IN_BUILD}:rw"]
    bundle = environ.get("PIP_CERT") or environ.get("SSL_CERT_FILE")
    if bundle:
        arguments["PIP_CERT"] = CA_IN_BUILD
        volumes.append(f"{Path(bundle).resolve()}:{CA_IN_BUILD}:ro")
    if environ.get("PIP_INDEX_URL"):
        arguments["PIP_INDEX_URL"] = environ["PIP_INDEX_URL"]
    return arguments, volumes
