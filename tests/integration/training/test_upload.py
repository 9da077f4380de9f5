"""What a user's container may leave behind as its model."""

import os
from collections.abc import Callable

import pytest

from tests.integration.training.conftest import Job
from tests.integration.training.runs import RUN_HASH, digits_run

STAGING = f"runs/{RUN_HASH}/staging/model.onnx"


def test_a_regular_file_is_handed_over_as_it_is(job: Job) -> None:
    content = os.urandom(20 << 20)
    job.asks(digits_run())
    job.model.write_bytes(content)
    assert job.process("upload").code == 0
    assert job.get(STAGING) == content


def test_a_second_upload_replaces_the_first(job: Job) -> None:
    job.asks(digits_run())
    for content in (b"first", b"second"):
        job.model.write_bytes(content)
        assert job.call("upload").code == 0
    assert job.get(STAGING) == b"second"


def _symlink(job: Job) -> None:
    target = job.folder / "secret"
    target.write_bytes(b"not yours")
    job.model.symlink_to(target)


def _fifo(job: Job) -> None:
    os.mkfifo(job.model)


def _folder(job: Job) -> None:
    job.model.mkdir()


def _empty(job: Job) -> None:
    job.model.touch()


def _too_large(job: Job) -> None:
    job.model.write_bytes(b"x" * 101)


def _absent(job: Job) -> None:
    job.model.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("leave", "fault"),
    [
        (_symlink, "must be a regular file"),
        (_fifo, "must be a regular file"),
        (_folder, "must be a regular file"),
        (_empty, "is empty"),
        (_too_large, "has 101 bytes, more than limits.modelBytes 100"),
        (_absent, "it ended well and wrote no"),
    ],
)
def test_anything_but_a_regular_file_of_fair_size_is_refused(
    job: Job, leave: Callable[[Job], None], fault: str
) -> None:
    job.asks(digits_run(limits={"modelBytes": 100}))
    leave(job)
    outcome = job.process("upload")
    assert outcome.code == 2, outcome.log
    assert fault in outcome.message["error"]["message"]
    assert job.stored() == set()
