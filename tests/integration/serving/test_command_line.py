"""`plimsoll-serve model.onnx` on a laptop: a first screen whose command works, and one sentence for what is wrong."""

import json
import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.fuzz.grpc_targets import sound_call
from tests.integration.serving.harness import HOST, RIGHT, SOURCES, eventually
from tests.ports import free_port

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": str(SOURCES),
    "PYTHONDONTWRITEBYTECODE": "1",
}
COMMAND = [sys.executable, "-m", "plimsoll_serving"]
END = "Ctrl-C stops it."


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "my iris.v2.onnx"
    path.write_bytes(RIGHT)
    return path


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run([*COMMAND, *arguments], env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


@contextmanager
def serving(
    *arguments: str, errors: int = subprocess.DEVNULL, **env: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server at a free port, and its first screen."""
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--port", "0"], env=ENVIRONMENT | env, stdout=subprocess.PIPE, stderr=errors, text=True
    )
    try:
        assert process.stdout is not None
        lines = []
        while END not in (line := process.stdout.readline()):
            assert line, "the server ended"
            lines.append(line)
        yield process, "".join(lines)
    finally:
        process.kill()
        process.wait(60)


def test_the_first_screens_command_works_and_ctrl_c_ends_it(model: Path) -> None:
    with serving(str(model)) as (process, screen):
        assert "my-iris.v2, version 1" in screen
        assert re.search(r"inputs +input +FP32 \[-1, 4\]", screen)
        assert re.search(r"outputs +label +INT64 \[-1\]\n +probabilities +FP32 \[-1, 3\]", screen)
        (shell,) = re.findall(r"^  (curl .*)$", screen, re.MULTILINE)
        answered = subprocess.run(["sh", "-c", shell], capture_output=True, timeout=120, check=True)
        answer = json.loads(answered.stdout)
        assert (answer["model_name"], answer["model_version"], answer["outputs"][0]["shape"]) == (
            "my-iris.v2",
            "1",
            [1],
        )
        for page in re.findall(r"http://\S+(?:docs|json|metrics)$", screen, re.MULTILINE):
            assert httpx.get(page).status_code == 200
        assert shlex.split(shell)[2].startswith(f"http://{HOST}:")
        (grpc,) = re.findall(r"^  gRPC +(\S+)$", screen, re.MULTILINE)
        host, port = grpc.split(":")
        assert (host, sound_call(int(port), "my-iris.v2")["grpc-status"]) == (HOST, "0")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_grpc_listens_where_it_was_asked_to(model: Path) -> None:
    port = free_port()
    with serving(str(model), "--grpc-port", str(port)) as (_, screen):
        assert re.search(rf"^  gRPC +{HOST}:{port}$", screen, re.MULTILINE)
        assert sound_call(port, "my-iris.v2")["grpc-status"] == "0"


def test_a_profile_gives_a_real_row(model: Path, tmp_path: Path) -> None:
    features = [{"name": name, "index": index} for index, name in enumerate("abcd")]
    profile = tmp_path / "reference.json"
    profile.write_text(json.dumps({"features": features, "sample": [{"input": [5.1, 3.5, 1.4, 0.2]}]}))
    with serving(str(model), "--name", "iris", "--model-version", "7", "--profile", str(profile)) as (_, screen):
        assert "iris, version 7" in screen
        assert "Ask it (a row of its profile)" in screen
        assert '"data": [5.1, 3.5, 1.4, 0.2]' in screen
        (base,) = re.findall(r"serves at (\S+)", screen)
        rows = {"instances": [dict(zip("dcba", [0.2, 1.4, 3.5, 5.1], strict=True))]}
        assert httpx.post(f"{base}/v1/models/iris:predict", json=rows).status_code == 200


def log_of(model: Path, terminal: bool) -> str:
    """What a server that was asked to say more writes to standard error."""
    reader, writer = pty.openpty() if terminal else os.pipe()
    with serving(str(model), errors=writer, PLIMSOLL_LOG_LEVEL="info") as (process, _):
        os.close(writer)
        process.send_signal(signal.SIGINT)
        process.wait(60)
        pieces = []
        try:
            while piece := os.read(reader, 65536):
                pieces.append(piece)
        except OSError:  # how a terminal ends
            pass
    os.close(reader)
    return b"".join(pieces).decode()


def test_a_terminal_gets_lines_for_people_and_a_pipe_json(model: Path) -> None:
    text = log_of(model, terminal=True)
    assert re.search(r"^\d\d:\d\d:\d\d INFO listening public=\d+ ", text, re.MULTILINE)
    lines = [json.loads(line) for line in log_of(model, terminal=False).splitlines()]
    (ready,) = [line for line in lines if line["message"] == "ready"]
    assert set(ready["seconds"]) == {"imports", "verify", "load", "warmUp", "total"}
    assert 0 < ready["seconds"]["imports"] <= ready["seconds"]["total"]


def test_what_cannot_be_served_is_one_sentence(model: Path, tmp_path: Path) -> None:
    other = tmp_path / "notes.onnx"
    other.write_text("not a model")
    empty = tmp_path / "empty.onnx"
    empty.touch()
    missing = tmp_path / "missing.onnx"
    cases = [
        (str(missing), f"{missing} does not exist"),
        (str(tmp_path), f"{tmp_path} cannot be read: Is a directory"),
        (str(other), f"{other}: the file is not an ONNX model"),
        (str(empty), f"{empty}: the file is not an ONNX model"),
    ]
    for path, sentence in cases:
        assert run(path, "--port", "0") == (2, "", f"plimsoll-serve: {sentence}\n")
    odd = tmp_path / "profile.json"
    odd.write_text("[]")
    code, _, said = run(str(model), "--port", "0", "--profile", str(odd))
    assert (code, said[: len(f"plimsoll-serve: {odd} is ")], said.count("\n")) == (2, f"plimsoll-serve: {odd} is ", 1)


def test_a_person_who_names_no_file_is_shown_how() -> None:
    reader, writer = pty.openpty()
    done = subprocess.run(COMMAND, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=writer, timeout=120)
    os.close(writer)
    said = os.read(reader, 65536).decode().splitlines()
    os.close(reader)
    assert (done.returncode, done.stdout, said[0][:7]) == (2, b"", "usage: ")
    assert said[-1].endswith("name the model's file, as in `plimsoll-serve iris.onnx`; --help tells the rest")
    code, _, log = run()  # elsewhere it is a pod, whose log is JSON
    assert (code, json.loads(log)["message"][:19]) == (2, "PLIMSOLL_MODEL_NAME")


def test_a_port_in_use_is_one_sentence(model: Path) -> None:
    with socket.create_server((HOST, 0)) as busy:
        port = busy.getsockname()[1]
        sentence = f"plimsoll-serve: port {port} of {HOST} is in use; choose another one\n"
        assert run(str(model), "--port", str(port)) == (2, "", sentence)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a.onnx", "b.onnx"], "one model: 2 files were given; start one server for each, with its own --port"),
        (["fetch", "a.onnx"], "fetch takes no file: the environment says what to fetch"),
        (["a.onnx", "--port", "99999"], "argument --port: '99999' is not a port: 0 to 65535"),
        (["a.onnx", "--grpc-port", "x"], "argument --grpc-port: 'x' is not a port: 0 to 65535"),
        (["serve", "--port", "1"], "the options belong to a file; without one the environment says everything"),
    ],
)
def test_a_command_that_is_not_meant_is_refused(arguments: list[str], sentence: str) -> None:
    code, _, said = run(*arguments)
    assert (code, said.splitlines()[-1]) == (2, f"plimsoll-serve: error: {sentence}")


def test_help_has_an_example(model: Path) -> None:
    code, said, _ = run("--help")
    assert code == 0
    assert "plimsoll-serve iris.onnx " in said


def test_serve_may_stand_before_the_file(model: Path) -> None:
    with serving("serve", str(model)) as (_, screen):
        (base,) = re.findall(r"serves at (\S+)", screen)
        eventually(lambda: httpx.get(f"{base}/ping").status_code == 200, "an answer")
