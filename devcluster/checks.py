"""What must hold before anything is started. Missing packages of the distribution are installed."""

import os
import shutil
from pathlib import Path

from devcluster.commands import run, succeeds
from devcluster.reporting import DevclusterError, step

PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "iptables": "iptables-save",
    "conntrack": "conntrack",
    "buildah": "buildah",
    "curl": "curl",
    "mmdebstrap": "mmdebstrap",
    "iproute2": "ip",
    "openssl": "openssl",
}
DISK_BYTES = 8 * 1024**3


def root() -> None:
    if os.geteuid() != 0:
        raise DevclusterError("a cluster needs root for namespaces and the firewall; run it again with sudo.")


def disk(folder: Path) -> None:
    """Raise unless the file system that holds ``folder`` has 8 GiB free."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < DISK_BYTES:
        raise DevclusterError(
            f"{folder} has {free / 1024**3:.1f} GiB free and 8 GiB are needed; free some, or point "
            "PLIMSOLL_CACHE and PLIMSOLL_STATE elsewhere."
        )


def missing_packages() -> list[str]:
    return [name for name, proof in PACKAGES.items() if not _found(proof)]


def _found(proof: str) -> bool:
    # /usr/sbin is not on everybody's path, and the packages put tools there.
    return Path(proof).exists() or shutil.which(proof, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def packages() -> None:
    """Install the distribution's packages that are missing."""
    missing = missing_packages()
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise DevclusterError(f"{', '.join(missing)} are missing and there is no apt-get; use Debian 12, or kind.")
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    with step(f"apt-get install {' '.join(missing)}"):
        if not succeeds([*install, "--simulate"]):
            run(["apt-get", "update"])
        try:
            run(install, env=environment)
        except DevclusterError:
            run(["apt-get", "update"])  # the list may name versions that the mirror no longer has
            run(install, env=environment)


def everything(cache: Path, state: Path) -> None:
    root()
    for folder in (cache, state):
        disk(folder)
    packages()
