"""The verbs as they run in a Job: real folders, a real S3 server, a bucket of its own for each test."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import S3Store
from plimsoll_training.__main__ import main

from tests.builders.s3_server import S3Server, running_s3_server
from tests.integration.training.runs import RUN_HASH

SOURCES = Path(__file__).resolve().parents[3] / "training"


@dataclass(frozen=True)
class Outcome:
    """How a verb ended: exit code, termination message, log."""

    code: int
    message: Any
    raw: bytes
    log: str


class Job:
    """The mounts and the store of one run."""

    def __init__(self, folder: Path, server: S3Server, bucket: str, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.server, self.bucket, self._patch = folder, server, bucket, patch
        self.termination = folder / "termination-log"
        for name in ("inputs", "output"):
            (folder / name).mkdir()
        self._store = S3Store(
            bucket,
            endpoint=server.endpoint,
            region="us-east-1",
            access_key_id=server.environment(bucket)["AWS_ACCESS_KEY_ID"],
            secret_access_key=server.environment(bucket)["AWS_SECRET_ACCESS_KEY"],
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )

    @property
    def model(self) -> Path:
        return self.folder / "output" / "model.onnx"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **self.server.environment(self.bucket),
            "PLIMSOLL_RUN": str(self.folder / "run.json"),
            "PLIMSOLL_INPUTS": str(self.folder / "inputs"),
            "PLIMSOLL_OUTPUT": str(self.folder / "output"),
            "PLIMSOLL_TERMINATION_LOG": str(self.termination),
        }

    def asks(self, run: dict[str, Any]) -> "Job":
        (self.folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
        return self

    def put(self, key: str, content: bytes) -> str:
        obstore.put(self._store, key, content)
        return f"s3://{self.bucket}/{key}"

    def get(self, key_or_uri: str) -> bytes:
        return bytes(obstore.get(self._store, key_or_uri.removeprefix(f"s3://{self.bucket}/")).bytes())

    def stored(self) -> set[str]:
        return {str(one["path"]) for page in obstore.list(self._store) for one in page}

    def stages(self, model: bytes) -> "Job":
        self.put(f"runs/{RUN_HASH}/staging/model.onnx", model)
        return self

    def result(self) -> Any:
        return json.loads(self.get(f"runs/{RUN_HASH}/result.json"))

    def start(self, verb: str, **extra: str) -> subprocess.Popen[str]:
        """The verb as a process of its own, with nothing in its environment that a container has not."""
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(SOURCES), **self.environment, **extra}
        self.termination.touch()
        return subprocess.Popen(
            [sys.executable, "-m", "plimsoll_training", verb],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def process(self, verb: str, **extra: str) -> Outcome:
        """The verb in a process of its own, to its end."""
        self.termination.write_bytes(b"")
        with self.start(verb, **extra) as process:
            log, _ = process.communicate()
        return self._outcome(process.returncode, log)

    def call(self, verb: str, capture: pytest.CaptureFixture[str] | None = None) -> Outcome:
        """The verb inside this process: the same code without the seconds of start."""
        self.termination.write_bytes(b"")
        for name, value in self.environment.items():
            self._patch.setenv(name, value)
        code = main([verb])
        return self._outcome(code, capture.readouterr().out if capture else "")

    def _outcome(self, code: int, log: str) -> Outcome:
        raw = self.termination.read_bytes()
        return Outcome(code, json.loads(raw) if raw else None, raw, log)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3_server(tmp_path_factory.mktemp("s3") / "buckets") as server:
        yield server


@pytest.fixture
def job(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    bucket = s3_server.make_bucket(f"plimsoll-t{len(list(s3_server.root.iterdir()))}")
    return Job(tmp_path, s3_server, bucket, monkeypatch)
