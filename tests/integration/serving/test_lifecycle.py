"""Start, refusal to start, connections that end politely, and shutdown without a lost request."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
from onnx import TensorProto, ValueInfoProto, helper

from tests.builders import onnx_models
from tests.builders.s3_server import running_s3_server
from tests.integration.serving.harness import (
    COEFFICIENTS,
    INTERCEPTS,
    PATIENCE,
    RIGHT,
    ROOT,
    SOURCES,
    Load,
    Raw,
    Server,
    eventually,
    post,
    running,
    v2,
)

ROW = v2([1, 2, 3, 4])
SLOW_ROW = v2([1, 2, 3, 4])
QUICK_ROW = v2([0, 2, 3, 4])


def slow_model(rounds: int) -> bytes:
    """Slow for `SLOW_ROW` only; 1,000 rounds are some 60 ms."""
    return onnx_models.slow_classifier(COEFFICIENTS, INTERCEPTS, rounds=rounds, feature=0)


def refused(server: Server) -> str:
    """The last error of a server that ends by itself with exit code 2."""
    server.start()
    assert server.process is not None
    assert server.process.wait(PATIENCE) == 2
    return str(server.log()[-1]["message"])


def test_a_model_with_another_digest_is_refused(tmp_path: Path) -> None:
    server = Server(tmp_path, RIGHT, "digits-aaaa", PLIMSOLL_ARTIFACT_SHA256="ab" * 32)
    actual = onnx_models.digest(RIGHT)
    assert refused(server) == (
        f"{tmp_path}/model.onnx has SHA-256 {actual}, expected {'ab' * 32}: it is not the artifact that was released"
    )


def test_a_model_that_is_not_there_is_missed_by_name(tmp_path: Path) -> None:
    server = Server(tmp_path, RIGHT, "digits-aaaa")
    (tmp_path / "model.onnx").unlink()
    assert refused(server) == f"{tmp_path}/model.onnx does not exist; has the init container `fetch` run?"


def value(name: str, shape: list[int | None]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def external_model() -> bytes:
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 1], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value="weights.bin")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    return onnx_models.model_bytes([node], [value("x", [None, 4])], [value("y", [None, 1])], [weights])


def test_weights_in_other_files_are_refused_even_when_they_are_there(tmp_path: Path) -> None:
    server = Server(tmp_path, external_model(), "digits-aaaa")
    (tmp_path / "weights.bin").write_bytes(np.ones(4, np.float32).tobytes())
    assert refused(server) == "the model keeps weights in other files (ONNX external data); save it as one file"


def test_operators_from_elsewhere_are_refused(tmp_path: Path) -> None:
    node = helper.make_node("Launch", ["x"], ["y"], domain="rockets")
    model = onnx_models.model_bytes([node], [value("x", [None])], [value("y", [None])], domains=["rockets"])
    said = refused(Server(tmp_path, model, "digits-aaaa"))
    assert said.startswith("the model uses operators that ONNX Runtime does not know: ")
    assert "rockets:Launch" in said


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    assert refused(Server(tmp_path, b"junk" * 30, "digits-aaaa")).startswith("the file is not an ONNX model")


def test_an_output_that_is_no_tensor_is_refused_by_name(tmp_path: Path) -> None:
    node = helper.make_node("SequenceConstruct", ["x"], ["y"])
    output = helper.make_value_info("y", helper.make_sequence_type_proto(value("v", [None, 2]).type))
    model = onnx_models.model_bytes([node], [value("x", [None, 2])], [output])
    said = refused(Server(tmp_path, model, "digits-aaaa"))
    assert said == "output 'y' of the model is seq(tensor(float)), not a tensor that the protocol can carry"


def test_a_wrong_setting_is_refused_by_name(tmp_path: Path) -> None:
    server = Server(tmp_path, RIGHT, "digits-aaaa", PLIMSOLL_MAX_BODY_BYTES="many")
    assert refused(server) == "PLIMSOLL_MAX_BODY_BYTES is 'many', not a number"


def with_profile(folder: Path, model: bytes, sample: list[list[float]]) -> Server:
    profile = json.dumps({"formatVersion": 1, "features": [], "outputs": [], "sample": sample}).encode()
    server = Server(folder, model, "digits-aaaa", PLIMSOLL_PROFILE_SHA256=onnx_models.digest(profile))
    (folder / "profile.json").write_bytes(profile)
    return server


def test_the_profiles_sample_warms_the_model_and_is_not_counted(tmp_path: Path) -> None:
    with running(with_profile(tmp_path, RIGHT, [[1, 2, 3, 4], [5, 6, 7, 8]])) as (server,):
        assert server.answered() == 0


def test_a_model_that_fails_on_its_own_sample_never_gets_ready(tmp_path: Path) -> None:
    failing = onnx_models.failing_classifier(COEFFICIENTS, INTERCEPTS, threshold=100)
    said = refused(with_profile(tmp_path, failing, [[101, 2, 3, 4]]))
    assert said.startswith("the model does not answer its profile's sample: ")


def test_it_is_live_at_once_but_ready_only_when_the_model_is_loaded(tmp_path: Path) -> None:
    server = Server(tmp_path, RIGHT, "digits-aaaa")
    model = tmp_path / "model.onnx"
    model.unlink()
    os.mkfifo(model)  # reading it waits until somebody writes
    server.start()
    try:

        def listening() -> bool:
            try:
                return server.get("/healthz", "metrics").status_code == 200
            except httpx.TransportError:
                return False

        eventually(listening, "live")
        waiting = server.get("/readyz", "metrics")
        assert (waiting.status_code, waiting.json()["reason"]) == (503, "the model is being loaded")
        early = server.infer(ROW)
        assert (early.status_code, early.json()) == (503, {"error": "the model is being loaded"})
        assert server.get("/v2/models/digits").status_code == 503
        assert server.get("/v2/health/ready").status_code == 503
        model.write_bytes(RIGHT)
        server.wait_ready()
        assert server.infer(ROW).status_code == 200
    finally:
        server.kill()


def test_a_slow_model_holds_up_neither_probes_nor_metrics_nor_the_route(tmp_path: Path) -> None:
    """One inference that takes minutes beside everything else, and beside quick ones too."""
    with running(Server(tmp_path, slow_model(5_000_000), "digits-aaaa", PLIMSOLL_WORKERS="2")) as (server,):
        body = json.dumps(SLOW_ROW).encode()
        with Raw(server) as endless:
            endless.send(post(body))
            eventually(lambda: server.counts("plimsoll_inflight_requests", "model")["digits"] == 1, "it is under way")
            for path in ("/healthz", "/readyz", "/metrics", "/route"):
                assert server.get(path, "metrics").status_code == 200
            assert server.get("/v2/health/ready").status_code == 200
            assert server.infer(QUICK_ROW).status_code == 200
            assert server.counts("plimsoll_inflight_requests", "model")["digits"] == 1, "it is under way still"


def test_public_connections_end_politely_after_their_life(tmp_path: Path) -> None:
    with (
        running(Server(tmp_path, RIGHT, "digits-aaaa", PLIMSOLL_CONNECTION_SECONDS="3")) as (server,),
        httpx.Client() as public,
        httpx.Client() as direct,
    ):

        def asked_to_close(client: httpx.Client, port: str) -> bool:
            """Asked again and again: a connection that is over and quiet is closed without a word."""
            return client.post(server.url(port=port), json=ROW).headers.get("connection") == "close"

        assert not asked_to_close(public, "public")
        with Load(server) as load:
            while not asked_to_close(public, "public"):
                assert not asked_to_close(direct, "direct")
        assert load.failures == []
        assert not asked_to_close(public, "public")
        assert not asked_to_close(direct, "direct")


def test_idle_connections_are_closed(tmp_path: Path) -> None:
    with (
        running(Server(tmp_path, RIGHT, "digits-aaaa", PLIMSOLL_IDLE_TIMEOUT_SECONDS="1")) as (server,),
        Raw(server) as raw,
    ):
        assert raw.send(post(json.dumps(ROW).encode())).read_until(b"]}]}").startswith(b"HTTP/1.1 200")
        assert raw.read_all() == b""


def test_one_connection_too_many_is_told_so(tmp_path: Path) -> None:
    with running(Server(tmp_path, RIGHT, "digits-aaaa", PLIMSOLL_MAX_CONNECTIONS="3")) as (server,):
        held = [Raw(server) for _ in range(3)]
        time.sleep(0.1)
        with Raw(server) as fourth:
            answer = fourth.read_all()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 1\r\n" in answer
        assert answer.endswith(b'{"error": "the server has 3 connections open; try again"}')
        for _ in range(20):
            with Raw(server) as asking:
                time.sleep(0.01)  # the answer is on its way before the request is
                assert asking.send(post(b"x" * 90_000)).read_all().startswith(b"HTTP/1.1 503 ")
        held.pop().close()
        eventually(
            lambda: Raw(server).send(b"GET /v2 HTTP/1.0\r\n\r\n").read_all().startswith(b"HTTP/1.1 200"), "a place"
        )
        assert server.get("/healthz", "metrics").status_code == 200, "the port of the probes has its own count"


def test_bodies_of_all_clients_together_are_bounded(tmp_path: Path) -> None:
    limits = {"PLIMSOLL_MAX_BODY_BYTES": "100000", "PLIMSOLL_MAX_BUFFERED_BYTES": "150000"}
    with running(Server(tmp_path, RIGHT, "digits-aaaa", **limits)) as (server,):
        with Raw(server) as first:
            first.send(post(b"x" * 90_000, length=95_000)).until_read()
            with Raw(server) as second:
                answer = second.send(post(b"x" * 90_000, length=95_000)).read_all()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"the server holds too many request bytes at the moment; try again" in answer
            assert server.infer(ROW).status_code == 200, "a small one still fits"
        eventually(
            lambda: server.infer(v2([1, 2, 3, 4]) | {"id": "x" * 90_000}).status_code == 200, "the bytes are given back"
        )


def test_sigterm_under_load_loses_nothing(tmp_path: Path) -> None:
    """Two pods behind a balancer that sends new connections only to ready pods, as a Service does."""
    leaving = Server(tmp_path / "leaving", RIGHT, "digits-aaaa", PLIMSOLL_DRAIN_SECONDS="8")
    staying = Server(tmp_path / "staying", RIGHT, "digits-bbbb")
    with running(leaving, staying):
        endpoints = [leaving]
        stop = threading.Event()
        answers: list[tuple[str, bool]] = []
        failures: list[str] = []

        def client() -> None:
            while not stop.is_set():
                target = endpoints[0]
                with httpx.Client(timeout=PATIENCE) as connection:
                    closed = False
                    while not (closed or stop.is_set()):
                        try:
                            response = connection.post(target.url(), json=ROW)
                        except httpx.TransportError as error:
                            failures.append(repr(error))
                            break
                        closed = response.headers.get("connection") == "close"
                        answers.append((response.headers["plimsoll-revision"], closed))
                        if response.status_code != 200:
                            failures.append(response.text)

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(answers) > 100, "traffic")
        assert leaving.process is not None
        start = time.monotonic()
        leaving.process.send_signal(signal.SIGTERM)
        eventually(lambda: leaving.get("/v2/health/ready").status_code == 503, "clients are told")
        told = leaving.get("/readyz", "metrics")
        assert (told.status_code, told.json()["reason"]) == (200, "the server is shutting down")
        assert leaving.infer(ROW).status_code == 200, "it serves on"
        endpoints[0] = staying
        assert leaving.process.wait(PATIENCE) == 0
        assert time.monotonic() - start >= 8
        eventually(lambda: answers[-1][0] == "digits-bbbb", "traffic at the other")
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert ("digits-aaaa", True) in answers, "connections were asked to close"


def test_what_is_in_flight_at_sigterm_is_finished(tmp_path: Path) -> None:
    one_by_one = {"PLIMSOLL_WORKERS": "1", "PLIMSOLL_MAX_QUEUE_SECONDS": "600"}
    with running(Server(tmp_path, slow_model(2_500), "digits-aaaa", **one_by_one)) as (server,):
        answers: list[httpx.Response] = []
        threads = [threading.Thread(target=lambda: answers.append(server.infer(SLOW_ROW))) for _ in range(4)]
        for thread in threads:
            thread.start()

        def received() -> float:
            # In this order: one that is answered between the two is counted late, never twice.
            answered = server.answered()
            return server.counts("plimsoll_inflight_requests", "model")["digits"] + answered

        eventually(lambda: received() >= 4, "all four have come")
        assert server.stop() == 0
        for thread in threads:
            thread.join()
    assert [answer.status_code for answer in answers] == [200] * 4
    assert server.log()[-1]["message"] == "stopped: every request was answered"


def open_files(pid: int) -> list[str]:
    """What the descriptors of a process lead to; one may be closed while they are listed."""
    found: list[str] = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(str(link.readlink()))
    return found


def test_nothing_is_written_outside_the_model_directory(tmp_path: Path) -> None:
    """ONNX Runtime 1.29 and later keep a telemetry database in the home directory, and send it, unless told not to."""
    home = tmp_path / "home"
    home.mkdir()
    with running(Server(tmp_path / "model", RIGHT, "digits-aaaa", HOME=str(home), TMPDIR=str(home))) as (server,):
        assert server.infer(ROW).status_code == 200
        assert server.process is not None
        files = open_files(server.process.pid)
        assert server.stop() == 0
    assert [name for name in files if name.startswith(str(home)) or "onnxruntime" in name] == []
    assert list(home.rglob("*")) == []


def test_the_log_and_the_metrics_say_whether_the_server_is_compiled(tmp_path: Path) -> None:
    form = "compiled" if list(SOURCES.glob("plimsoll_serving/endpoints.*.so")) else "plain"
    with running(Server(tmp_path, RIGHT, "digits-aaaa")) as (server,):
        assert server.log()[0]["code"] == form
        assert server.counts("plimsoll_build_info", "code") == {form: 1}


def test_modules_that_were_compiled_for_another_python_are_left_aside_and_named(tmp_path: Path) -> None:
    package = tmp_path / "image" / "plimsoll_serving"
    shutil.copytree(ROOT / "serving" / "plimsoll_serving", package)
    (package / "endpoints.cpython-399-x86_64-linux-gnu.so").touch()
    with running(Server(tmp_path / "model", RIGHT, "digits-aaaa", PYTHONPATH=str(package.parent))) as (server,):
        assert server.infer(ROW).status_code == 200
        first = server.log()[0]
    assert (first["level"], first["code"]) == ("warning", "plain")
    assert "the compiled modules are for cpython-399-x86_64-linux-gnu" in first["message"]


def test_the_access_log_tells_status_and_trace(tmp_path: Path) -> None:
    with running(Server(tmp_path, RIGHT, "digits-aaaa", "7", PLIMSOLL_ACCESS_LOG="1")) as (server,):
        server.infer(ROW, traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        line = eventually(lambda: [line for line in server.log() if line["message"] == "request"], "a line")[0]
    assert (line["model"], line["version"], line["revision"]) == ("digits", "7", "digits-aaaa")
    assert (line["status"], line["traceId"]) == (200, "4bf92f3577b34da6a3ce929d0e0e4736")


def fetch(folder: Path, source: Path, sha256: str, **env: str) -> tuple[int, str]:
    """Exit code and log of the init container's program."""
    folder.mkdir(exist_ok=True)
    known = {
        "PLIMSOLL_MODEL_DIR": str(folder),
        "PLIMSOLL_ARTIFACT_URI": source.as_uri(),
        "PLIMSOLL_ARTIFACT_SHA256": sha256,
        "PYTHONPATH": str(SOURCES),
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(
        [sys.executable, "-m", "plimsoll_serving", "fetch"],
        env=known | env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stderr


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.onnx"
    path.write_bytes(RIGHT)
    return path


def test_fetch_leaves_verified_files(tmp_path: Path, source: Path) -> None:
    profile = tmp_path / "p.json"
    profile.write_text("{}")
    known = {"PLIMSOLL_PROFILE_URI": profile.as_uri(), "PLIMSOLL_PROFILE_SHA256": onnx_models.digest(b"{}")}
    code, log = fetch(tmp_path / "model", source, onnx_models.digest(RIGHT), **known)
    assert code == 0, log
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == {
        "model.onnx": RIGHT,
        "profile.json": b"{}",
    }
    source.unlink()
    assert fetch(tmp_path / "model", source, onnx_models.digest(RIGHT), **known)[0] == 0, (
        "nothing to do the second time"
    )


def test_fetch_refuses_another_digest_and_keeps_nothing(tmp_path: Path, source: Path) -> None:
    code, log = fetch(tmp_path / "model", source, "ab" * 32)
    assert code == 2
    actual = onnx_models.digest(RIGHT)
    assert json.loads(log)["message"] == f"{source.as_uri()} has SHA-256 {actual}, expected {'ab' * 32}: refused"
    assert list((tmp_path / "model").iterdir()) == []


def test_fetch_of_what_is_not_there_may_be_tried_again(tmp_path: Path) -> None:
    code, log = fetch(tmp_path / "model", tmp_path / "nothing.onnx", "ab" * 32)
    assert code == 1
    uri = (tmp_path / "nothing.onnx").as_uri()
    assert json.loads(log)["message"] == f"{uri} does not exist; put the file back, or release another version"


def test_fetch_reads_the_store_with_the_environment_of_its_secret(tmp_path: Path) -> None:
    with running_s3_server(tmp_path / "s3") as s3:
        bucket = s3.make_bucket("plimsoll-demo")
        key = f"models/digits/sha256/{onnx_models.digest(RIGHT)}/model.onnx"
        (s3.root / bucket / key).parent.mkdir(parents=True)
        (s3.root / bucket / key).write_bytes(RIGHT)
        env = s3.environment(bucket) | {"PLIMSOLL_ARTIFACT_URI": f"s3://{bucket}/{key}"}
        code, log = fetch(tmp_path / "model", tmp_path / "unused", onnx_models.digest(RIGHT), **env)
        assert code == 0, log
        assert s3.environment(bucket)["AWS_SECRET_ACCESS_KEY"] not in log
    assert (tmp_path / "model" / "model.onnx").read_bytes() == RIGHT


def test_fetch_names_an_address_it_cannot_read(tmp_path: Path, source: Path) -> None:
    code, log = fetch(tmp_path / "model", source, "ab" * 32, PLIMSOLL_ARTIFACT_URI="pvc://claim/model.onnx")
    assert code == 2
    assert json.loads(log)["message"] == (
        "'pvc://claim/model.onnx' is not the address of an object; known schemes are s3, gs, az, http, https, file"
    )
