"""`python -m plugins.krew.build`: the archive that Krew installs, and its manifest, in build/krew.

One executable zip of Python for every platform: the command line, the pure core, click and PyYAML. The same sources
give the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import io
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from plimsoll.cli import __version__

ROOT = Path(__file__).resolve().parents[2]
PROGRAM, COMPLETE = "kubectl-plimsoll", "kubectl_complete-plimsoll"
#: Of the operator what is pure, and so needs nothing else.
PARTS = ("api", "cli", "core", "crdgen", "facts", "names.py", "__init__.py")
LIBRARIES = ("click", "pyyaml")
_SHEBANG = b"#!/usr/bin/env python3\n"
_MAIN = """\
import sys

if sys.version_info < (3, 11):
    sys.exit(f"kubectl plimsoll needs Python 3.11 or newer as python3; this is {sys.version.split()[0]}")

from plimsoll.cli.app import main

sys.exit(main())
"""
_COMPLETE = '#!/bin/sh\nexec kubectl plimsoll __complete "$@"\n'
_EPOCH = (1980, 1, 1, 0, 0, 0)


def program() -> bytes:
    """The executable zip."""
    buffer = io.BytesIO(_SHEBANG)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted({"__main__.py": _MAIN.encode(), **dict(_sources()), **dict(_libraries())}.items()):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _sources() -> Iterator[tuple[str, bytes]]:
    package = ROOT / "operator" / "plimsoll"
    for part in PARTS:
        for path in sorted(package.glob(part) if part.endswith(".py") else (package / part).rglob("*.py")):
            yield f"plimsoll/{path.relative_to(package)}", path.read_bytes()


def _libraries() -> Iterator[tuple[str, bytes]]:
    """Their Python alone, with their licenses and metadata: pydantic reads those of all that is on the path."""
    for library in LIBRARIES:
        for file in importlib.metadata.files(library) or ():
            if file.suffix == ".py" or file.name == "METADATA" or "LICENSE" in file.name.upper():
                yield str(file), Path(str(file.locate())).read_bytes()


def files() -> dict[str, bytes]:
    """What the archive holds, by name."""
    return {PROGRAM: program(), COMPLETE: _COMPLETE.encode(), "LICENSE": (ROOT / "LICENSE").read_bytes()}


def archive(version: str, folder: Path) -> Path:
    """`plimsoll-v{version}.tar.gz` with the programs and the license at its root."""
    path = folder / f"plimsoll-v{version}.tar.gz"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as packed:
        for name, content in files().items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644 if name == "LICENSE" else 0o755
            packed.addfile(info, io.BytesIO(content))
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(buffer.getvalue(), mtime=0))
    return path


def manifest(version: str, url: str, content: bytes) -> str:
    """The plugin's manifest for an index, filled in."""
    filled = (ROOT / "plugins" / "krew" / "plimsoll.yaml").read_text()
    _, _, filled = filled.partition("\n")
    for name, value in {"version": version, "url": url, "sha256": sha256(content).hexdigest()}.items():
        filled = filled.replace(f"{{{name}}}", value)
    return filled


def main() -> int:
    """Build both."""
    parser = argparse.ArgumentParser(prog="python -m plugins.krew.build", description=__doc__)
    parser.add_argument("--url", default="", help="where the archive will be; default: its file on this machine")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "krew")
    given = parser.parse_args()
    path = archive(__version__, given.folder)
    url = given.url or path.resolve().as_uri()
    target = given.folder / "plimsoll.yaml"
    target.write_text(manifest(__version__, url, path.read_bytes()))
    sys.stdout.write(f"{path}\n{target}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
