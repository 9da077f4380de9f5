"""One Python environment for each peer, made once from its committed file of exact versions."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements"
# The Makefile names it; without it pip does the same, more slowly.
UV = Path(os.environ.get("UV", "uv"))


class Missing(Exception):
    """Something that the benchmark needs is not there; says what to do."""


def python_of(name: str, build: Path) -> Path:
    """The interpreter of the environment, made if it is absent or was made from other versions."""
    folder = build / "env" / name
    python, mark = folder / "bin/python", folder / ".complete"
    file = REQUIREMENTS / f"{name}.txt"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if not (mark.is_file() and mark.read_text() == digest):
        print(f"  environment of {name}: exact versions from {file.relative_to(Path.cwd())}", flush=True)
        _install(folder, python, file)
        mark.write_text(digest)
    return python.absolute()


def _install(folder: Path, python: Path, file: Path) -> None:
    installer = [str(UV), "pip", "install", "--quiet", "--python", str(python)]
    if not UV.is_file():
        installer = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    done = subprocess.run([*installer, "--require-hashes", "-r", str(file)], env=os.environ, check=False)
    if done.returncode != 0:
        raise Missing(f"{file} could not be installed; what the installer said stands above")


def pinned(name: str, package: str) -> str:
    """The version of a package that a peer's file names."""
    found = re.search(rf"^{re.escape(package)}==(\S+)", (REQUIREMENTS / f"{name}.txt").read_text(), re.MULTILINE)
    if found is None:
        raise Missing(f"{package} is not in {name}.txt")
    return found[1]
