"""HTTP as clients in the wild speak it, over real sockets: compression, HEAD, chunks, traces, other origins."""

import gzip
import json
import shutil
import subprocess
import time
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.serving.harness import INFER, RIGHT, Raw, Server, eventually, post, running, v2, write_route
from tests.integration.serving.test_protocol import refusal, split

ROWS = [[row / 2, 2.0, 3.0, 4.0] for row in range(200)]
BODY = json.dumps(v2(*ROWS)).encode()


@pytest.fixture(scope="module")
def plain(server: Server) -> dict[str, Any]:
    """What the server answers to the body as it is."""
    answer: dict[str, Any] = httpx.post(server.url(), content=BODY, headers={"accept-encoding": "identity"}).json()
    return answer


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_compressed_request_is_answered_as_the_plain_one(
    server: Server, plain: dict[str, Any], coding: str, pack: Any
) -> None:
    response = httpx.post(server.url(), content=pack(BODY), headers={"content-encoding": coding})
    assert response.json() == plain


def test_an_answer_is_compressed_for_who_asks(server: Server, plain: dict[str, Any]) -> None:
    with httpx.stream("POST", server.url(), content=BODY, headers={"accept-encoding": "gzip"}) as response:
        raw = b"".join(response.iter_raw())
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["plimsoll-model-version"] == "1"
    assert int(response.headers["content-length"]) == len(raw)
    assert json.loads(gzip.decompress(raw)) == plain
    head = httpx.head(server.url("/docs"), headers={"accept-encoding": "gzip"})
    assert (head.headers["content-encoding"], head.content) == ("gzip", b"")


BAD = [
    (gzip.compress(b" " * 100_001), 413, "the body exceeds 100000 bytes once decompressed"),
    (gzip.compress(b" " * 50_000_000), 413, "the body exceeds 100000 bytes once decompressed"),
    (gzip.compress(BODY)[:-9], 400, "the body is not complete gzip: it ends early"),
    (b"\x1f\x8b" + bytes(50), 400, "the body is not gzip: "),
]


@pytest.mark.parametrize(("body", "status", "sentence"), BAD, ids=[f"{s} {len(b)}" for b, s, _ in BAD])
def test_bad_compressed_bodies_are_refused_and_the_connection_lives_on(
    server: Server, body: bytes, status: int, sentence: str
) -> None:
    with httpx.Client() as client:
        response = client.post(server.url(), content=body, headers={"content-encoding": "gzip"})
        assert (response.status_code, response.json()["error"][: len(sentence)]) == (status, sentence)
        assert "connection" not in response.headers
        assert client.post(server.url(), json=v2([1, 2, 3, 4])).status_code == 200


def test_compressed_requests_in_a_pipeline_keep_their_order(server: Server) -> None:
    """The large one is decompressed in a thread; what follows it must not overtake it."""
    bodies = [json.dumps(v2(*ROWS, id=str(number))).encode() for number in range(6)]
    requests = [
        post(gzip.compress(body, 0) if odd else body, b"content-encoding: gzip" if odd else b"x: y")
        for odd, body in zip([1, 0] * 3, bodies, strict=True)
    ]
    with Raw(server) as raw:
        rest = raw.send(b"".join(requests)).finish().read_all()
    identifiers = []
    while rest:
        status, _, body, rest = split(rest)
        assert status == 200
        identifiers.append(json.loads(body)["id"])
    assert identifiers == list("012345")


GETS = [
    "/v2",
    "/v2/models",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/digits",
    "/v2/models/digits/ready",
    "/v1/models",
    "/v1/models/digits",
    "/ping",
    "/health",
    "/docs",
    "/openapi.json",
    "/docs/examples/digits.json",
]


@pytest.mark.parametrize("path", GETS)
def test_head_is_answered_wherever_get_is(server: Server, path: str) -> None:
    got = server.get(path)
    head = httpx.head(server.url(path))
    assert (got.status_code, head.status_code, head.content) == (200, 200, b"")
    kept = {"content-type", "content-length", "content-encoding"}
    assert {k: v for k, v in head.headers.items() if k in kept} == {k: v for k, v in got.headers.items() if k in kept}
    with Raw(server) as raw:
        for method in (b"HEAD", b"GET"):
            raw.send(method + b" " + path.encode() + b" HTTP/1.1\r\nhost: t\r\n\r\n")
        answer = raw.finish().read_all()
    assert answer.count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/route"])
def test_head_is_answered_on_the_operations_port(server: Server, path: str) -> None:
    assert (httpx.head(server.url(path, "metrics")).status_code, httpx.head(server.url(path, "metrics")).content) == (
        200,
        b"",
    )


def chunked(body: bytes, size: int, trailer: bytes = b"", *headers: bytes) -> bytes:
    head = [b"POST %s HTTP/1.1" % INFER.encode(), b"host: t", b"transfer-encoding: chunked", *headers]
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = b"".join(b"%x;note=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"\r\n".join(head) + b"\r\n\r\n" + chunks + b"0\r\n" + trailer + b"\r\n"


def test_chunks_with_extensions_and_trailers_are_one_body(server: Server, plain: dict[str, Any]) -> None:
    with Raw(server) as raw:
        answer = raw.send(chunked(BODY, 999, b"x-checksum: 1\r\n")).finish().read_all()
    status, _, body, rest = split(answer)
    assert (status, json.loads(body), rest) == (200, plain, b"")


def test_what_a_trailer_says_is_no_header(server: Server, plain: dict[str, Any]) -> None:
    with Raw(server) as raw:
        answer = raw.send(chunked(BODY, 999, b"inference-header-content-length: 3\r\n")).finish().read_all()
    assert (split(answer)[0], json.loads(split(answer)[2])) == (200, plain)


def test_a_trailer_without_end_is_refused(server: Server) -> None:
    with Raw(server) as raw:
        raw.send(chunked(BODY, 999)[:-2]).send(b"x: " + b"a" * 1_000_000)
        assert refusal(raw.read_all()) == (431, "trailers or a chunk's extensions exceed 4096 bytes")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_offers_http_2_and_is_answered(server: Server, plain: dict[str, Any]) -> None:
    command = ["curl", "--silent", "--fail", "--max-time", "10", "--http2", "--data-binary", "@-", server.url()]
    done = subprocess.run(command, input=BODY, capture_output=True, check=True)
    assert json.loads(done.stdout) == plain


def test_chunks_may_be_compressed_and_expected(server: Server, plain: dict[str, Any]) -> None:
    message = chunked(gzip.compress(BODY), 100, b"", b"content-encoding: gzip", b"expect: 100-continue")
    head, _, rest = message.partition(b"\r\n\r\n")
    with Raw(server) as raw:
        assert raw.send(head + b"\r\n\r\n").read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        status, _, body, left = split(raw.send(rest).finish().read_all())
    assert (status, json.loads(body), left) == (200, plain, b"")


def test_a_client_that_sends_its_body_slowly_is_timed_out(server: Server) -> None:
    with Raw(server) as raw:
        started = time.monotonic()
        raw.send(post(BODY)[:200])
        for _ in range(8):
            time.sleep(0.4)
            try:
                raw.send(b" ")
            except OSError:
                break
        status, said = refusal(raw.read_all())
    assert (status, said) == (408, "the request was not complete within 2 seconds")
    assert time.monotonic() - started >= 1.5


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_trace_is_carried_on_to_the_arm_and_is_in_both_logs(pair: tuple[Server, Server], tmp_path: Any) -> None:
    stable, candidate = (
        Server(tmp_path / name, RIGHT, f"digits-{name}", version, PLIMSOLL_ACCESS_LOG="1")
        for name, version in (("stable", "1"), ("candidate", "2"))
    )
    with running(stable, candidate):
        write_route([stable, candidate], stable, 1, [0, 100])
        parent = f"00-{TRACE}-00f067aa0ba902b7-01"
        response = stable.infer(v2([1, 2, 3, 4]), traceparent=parent, tracestate="vendor=1")
        assert response.headers["plimsoll-model-version"] == "2"
        for server in (stable, candidate):
            eventually(lambda server=server: traces(server) == [TRACE], "the trace in the log")


def traces(server: Server) -> list[str]:
    """Those of the requests in its access log."""
    return [line["traceId"] for line in server.log() if line["message"] == "request"]


def test_compressed_requests_reach_an_arm_and_its_answers_are_compressed(pair: tuple[Server, Server]) -> None:
    stable, candidate = pair
    epoch = stable.get("/route", "metrics").json()["epoch"] + 1
    write_route([stable, candidate], stable, epoch, [0, 100])
    headers = {"content-encoding": "gzip", "accept-encoding": "gzip"}
    response = httpx.post(stable.url(), content=gzip.compress(BODY), headers=headers)
    assert (response.status_code, response.headers["plimsoll-model-version"]) == (200, "2")
    assert response.headers["content-encoding"] == "gzip"
    assert len(response.json()["outputs"][0]["data"]) == len(ROWS)
    frame = {"dataframe_split": {"data": ROWS}}
    for path, body in (("/v1/models/digits:predict", {"instances": ROWS}), ("/invocations", frame)):
        answer = httpx.post(stable.url(path), json=body)
        assert answer.headers["plimsoll-model-version"] == "2"
        assert len(answer.json()["predictions"]) == len(ROWS)
    write_route([stable, candidate], stable, epoch + 1, [100, 0])


ORIGIN = "https://app.example.com"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that one other origin may read, and that would load and unload."""
    settings = {"PLIMSOLL_CORS_ORIGINS": ORIGIN, "PLIMSOLL_MODEL_CONTROL": "explicit"}
    with running(Server(tmp_path_factory.mktemp("shared"), RIGHT, "digits-shared", **settings)) as (server,):
        yield server


def test_another_origin_reads_answers_only_where_the_setting_names_it(server: Server, shared: Server) -> None:
    asked = {
        "origin": ORIGIN,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    preflight = httpx.options(shared.url(), headers=asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, ORIGIN)
    answer = shared.infer(v2([1, 2, 3, 4]), origin=ORIGIN)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert "access-control-allow-origin" not in shared.infer(v2([1, 2, 3, 4]), origin="https://x.example").headers
    assert httpx.options(server.url(), headers=asked).status_code == 405
    assert "access-control-allow-origin" not in server.infer(v2([1, 2, 3, 4]), origin=ORIGIN).headers


def ask_repository(server: Server, path: str, body: Any = None) -> tuple[int, Any]:
    response = httpx.post(server.url(f"/v2/repository/{path}"), json=body)
    return response.status_code, response.json()


def test_the_repository_is_listed_and_closed_by_default(server: Server) -> None:
    entry = {"name": "digits", "version": "1", "state": "READY", "reason": ""}
    assert httpx.post(server.url("/v2/repository/index")).json() == [entry]
    assert ask_repository(server, "index", {"ready": True}) == (200, [entry])
    off = {"error": "loading and unloading is off; PLIMSOLL_MODEL_CONTROL=explicit turns it on"}
    assert ask_repository(server, "models/digits/load") == (403, off)
    assert ask_repository(server, "models/digits/unload") == (403, off)
    assert "model_repository" in server.get("/v2").json()["extensions"]


def test_what_the_repository_refuses_is_told(server: Server, shared: Server) -> None:
    assert ask_repository(shared, "models/digits/load", {}) == (200, {})
    assert ask_repository(shared, "models/cats/load")[0] == 404
    assert ask_repository(shared, "models/digits/load", {"parameters": {"config": "{}"}})[0] == 400
    status, answer = ask_repository(shared, "models/digits/unload")
    assert (status, answer) == (400, {"error": "'digits' is the only model of this server: stop the server instead"})
    assert shared.infer(v2([1, 2, 3, 4])).status_code == 200
    assert ask_repository(server, "index", {"ready": 1}) == (400, {"error": "ready is not true or false"})
    assert ask_repository(server, "index", [1]) == (400, {"error": "the body is not a JSON object"})
    assert ask_repository(server, "elsewhere")[0] == 404
    assert httpx.get(server.url("/v2/repository/index")).status_code == 405


def test_a_bad_setting_is_named(tmp_path: Any) -> None:
    for name, value in (("PLIMSOLL_CORS_ORIGINS", "app.example"), ("PLIMSOLL_MODEL_CONTROL", "yes")):
        server = Server(tmp_path / name, RIGHT, "digits-bad", **{name: value}).start()
        assert server.process is not None
        assert server.process.wait(60) == 2
        assert name in server.log()[-1]["message"]
