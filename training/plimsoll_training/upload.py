"""`upload`: hand a trainer's model over to staging. What a user's container wrote is not trusted."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from plimsoll_training.environment import Places
from plimsoll_training.errors import UserError
from plimsoll_training.run import TrainingRun, read_run
from plimsoll_training.steps import step
from plimsoll_training.store import own_store


def staging_key(run: TrainingRun) -> str:
    return f"runs/{run.run.hash}/staging/model.onnx"


def upload(where: Places) -> None:
    """Put `model.onnx` to staging. UserError when it is absent, not a regular file, empty or too large."""
    run = read_run(where.run, TrainingRun)
    store = own_store()
    with open_model(where.model, run.limits.model_bytes) as file:
        size = os.fstat(file.fileno()).st_size
        with step(f"uploaded {size} bytes to {store.uri(staging_key(run))}"):
            store.put(staging_key(run), file)


def open_model(path: Path, limit: int) -> BinaryIO:
    """The file opened for reading, without following a link and without waiting on a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UserError(f"trainer: it ended well and wrote no {path}: write the model there") from None
    except OSError as error:
        raise UserError(f"trainer: {path} must be a regular file ({error.strerror})") from None
    about = os.fstat(descriptor)
    fault = ""
    if not stat.S_ISREG(about.st_mode):
        fault = "must be a regular file"
    elif about.st_size == 0:
        fault = "is empty"
    elif about.st_size > limit:
        fault = f"has {about.st_size} bytes, more than limits.modelBytes {limit}"
    if fault:
        os.close(descriptor)
        raise UserError(f"trainer: {path} {fault}")
    return os.fdopen(descriptor, "rb")
