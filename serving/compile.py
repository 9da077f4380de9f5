"""Compiles the modules that every request goes through, with mypyc: optional, the server runs without as well.

    python serving/compile.py TARGET [--packages PYTHON]

TARGET becomes a source root: the package as it is, and beside the modules of `MODULES` their compiled forms, which
Python prefers where they are of its version and platform; elsewhere it takes the sources, which are the same program.
Needs mypy, setuptools and a C compiler. PYTHON is one that has the server's dependencies, where this one has not: types
of what they answer are part of what is compiled.

Six things differ from the sources, and tests hold them: a tuple is no object and never the same (``is``) as
itself elsewhere, so that ``==`` has to compare it; a slice of bytes that starts behind its end, or behind the last
byte, is an error and not empty; a parameter declared `float` turns whole numbers to floats;
what a caller sends must be of the declared type before it is an argument, for a call that refuses it leaks it; a name
cannot hold values of two compiled classes, errors of two `except` clauses neither; and functions and constants of a
module cannot be replaced from outside.

Constants that every request reads are `Final`: others are looked up by name each time.

An imported function that is called by its bare name both in a function and in one nested in it makes the compiler keep
the nested one with its variables: a cycle each time, for the collector. By its module's name (``time.monotonic``) it
does not.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).parent / "plimsoll_serving"
# Modules of which a compiled class would be subclassed by one that is not cannot be among them.
MODULES = (
    "arms", "batcher", "breaker", "codec", "delegate", "endpoints", "engine", "evidence", "forwarding", "inference",
    "jobs", "metrics", "route", "routing",
    "counting/counter", "feedback/annotation", "feedback/token",
    "grpc/call", "grpc/connection", "grpc/framing", "grpc/head", "grpc/listener",
    "grpc/services/bridge", "grpc/services/inference", "grpc/services/stream", "grpc/services/unary",
    "http/client", "http/coding", "http/connection", "http/deadlines", "http/forward", "http/heads", "http/limits",
    "http/listener", "http/message", "http/pool", "http/reader",
    "http2/connection", "http2/control", "http2/events", "http2/frames", "http2/headers", "http2/inflow",
    "http2/limits", "http2/outbox", "http2/reader", "http2/streams",
    "pool/local",
    "v2/binary", "v2/encode", "v2/heads", "v2/messages", "v2/protobuf", "v2/rest", "v2/rows",
    "v2/templates", "v2/typed", "v2/values",
)  # fmt: skip
MYPY = "--ignore-missing-imports --follow-imports=silent --explicit-package-bases --config-file= --cache-dir=/dev/null"


def compiled(target: Path, packages: str) -> None:
    """Fill ``target``, which is emptied before."""
    from mypyc.build import mypycify
    from setuptools import setup

    target = target.absolute()
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(PACKAGE, target / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    os.chdir(target)
    sources = [f"{PACKAGE.name}/{module}.py" for module in MODULES]
    with tempfile.TemporaryDirectory() as build:
        # Nearly all of the time is in the interpreter's own functions: a higher level only takes longer to compile.
        options = {"target_dir": build, "group_name": PACKAGE.name, "opt_level": "1", "debug_level": "0"}
        setup(
            name=PACKAGE.name,
            packages=[],
            ext_modules=mypycify([*MYPY.split(), f"--python-executable={packages}", *sources], **options),
            script_args=["--quiet", "build_ext", "--build-lib", str(target), "--build-temp", build],
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("--packages", metavar="PYTHON", default=sys.executable)
    told = parser.parse_args()
    compiled(told.target, str(Path(told.packages).absolute()))
