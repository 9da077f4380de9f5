"""Running other programs: their output is kept for the error message, and a failure is never silent."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from devcluster.reporting import DevclusterError

Argv = list[str | Path]
TAIL_LINES = 15


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run ``argv`` to its end and return what it wrote to stdout.

    ``env`` is added to the environment. Raises DevclusterError with the last lines of the output on a non-zero exit.
    """
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            input=stdin,
            cwd=cwd,
            env={**os.environ, **env} if env else None,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise DevclusterError(f"`{argv[0]}` is not installed; run `python3 devcluster up`.") from error
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-TAIL_LINES:])
        shown = " ".join(str(word) for word in argv)
        raise DevclusterError(f"`{shown}` ended with {done.returncode}:\n{tail}")
    return done.stdout


def succeeds(argv: Sequence[str | Path]) -> bool:
    """Say whether ``argv`` exits with 0; its output is dropped."""
    words = [str(word) for word in argv]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0
