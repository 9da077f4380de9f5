"""Where everything lies: what is kept between clusters (cache) and what one cluster is made of (state)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parent
CHECKOUT = SOURCES.parent


@dataclass(frozen=True)
class Paths:
    """The two roots and the fixed places below them."""

    cache: Path
    state: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Paths":
        """Read PLIMSOLL_CACHE and PLIMSOLL_STATE; empty counts as unset."""
        home = Path(environ.get("HOME") or "/root")
        base = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
        cache = Path(environ.get("PLIMSOLL_CACHE") or base / "plimsoll")
        state = Path(environ.get("PLIMSOLL_STATE") or "/var/lib/plimsoll-devcluster")
        return cls(cache=cache.absolute(), state=state.absolute())

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def etc(self) -> Path:
        return self.state / "etc"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def run(self) -> Path:
        return self.state / "run"

    @property
    def bin(self) -> Path:
        return self.state / "bin"

    @property
    def volumes(self) -> Path:
        return self.state / "volumes"

    @property
    def kubeconfig(self) -> Path:
        return self.etc / "admin.kubeconfig"

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"

    def kubeconfig_of(self, user: str) -> Path:
        return self.etc / f"{user}.kubeconfig"
