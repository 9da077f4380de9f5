"""HTTP/1.1 as it should be, and as nobody should send it: each refusal in its words, other requests unharmed."""

import gzip
import json
import socket
import time
from typing import Any

import httpx
import pytest

from tests.integration.serving.harness import HOST, INFER, Load, Raw, Server, eventually, post, v2

ROW = v2([1, 2, 3, 4])
BODY = json.dumps(ROW).encode()


def split(answer: bytes) -> tuple[int, dict[str, str], bytes, bytes]:
    """Status, headers, body and what follows."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    length = int(headers["content-length"])
    return int(status.split()[1]), headers, rest[:length], rest[length:]


def refusal(answer: bytes) -> tuple[int, str]:
    status, headers, body, rest = split(answer)
    assert headers["connection"] == "close"
    assert rest == b""
    return status, json.loads(body)["error"]


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models", {"models": ["digits"]}),
        ("/v2/models/digits/ready", {"name": "digits", "ready": True}),
        ("/v2/models/digits/versions/1/ready", {"name": "digits", "ready": True}),
    ],
)
def test_the_protocol_answers_who_and_how_it_is(server: Server, path: str, answer: Any) -> None:
    response = server.get(path)
    assert (response.status_code, response.json()) == (200, answer)
    head = httpx.head(server.url(path))
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(response.content)))


def test_a_model_describes_itself(server: Server) -> None:
    wanted = {
        "name": "digits",
        "versions": ["1"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        ],
        "parameters": {"execution_providers": "CPUExecutionProvider"},
    }
    for path in ("/v2/models/digits", "/v2/models/digits/versions/1", "/v2/models/digits/"):
        assert server.get(path).json() == wanted
    assert server.get("/v2").json()["name"] == "plimsoll"


WRONG = [
    (
        "GET",
        "/",
        404,
        "nothing is served at /; inference is POST /v2/models/digits/infer, and /docs tells everything else",
    ),
    ("POST", "/v2/models/cats/infer", 404, "model 'cats' is not served here; this server serves 'digits'"),
    ("GET", "/v2/models/%63%61ts", 404, "model 'cats' is not served here; this server serves 'digits'"),
    (
        "POST",
        "/v2/models/digits/versions/9/infer",
        404,
        "version '9' of model 'digits' is not served here; this server serves version '1'",
    ),
    (
        "POST",
        "/v2/models/digits/explain",
        404,
        "nothing is served at /v2/models/digits/explain; inference is POST " + INFER,
    ),
    ("GET", INFER, 405, "GET is not allowed on /v2/models/digits/infer; allowed: POST"),
    ("DELETE", "/v2/models/digits", 405, "DELETE is not allowed on /v2/models/digits; allowed: GET, HEAD"),
    ("POST", "/v2/health/ready", 405, "POST is not allowed on /v2/health/ready; allowed: GET, HEAD"),
    ("POST", INFER, 400, "the body is not JSON: Input data was truncated"),
]


@pytest.mark.parametrize(("method", "path", "status", "sentence"), WRONG, ids=[f"{m} {p}" for m, p, _, _ in WRONG])
def test_a_wrong_address_is_told_what_is_right(
    server: Server, method: str, path: str, status: int, sentence: str
) -> None:
    response = httpx.request(method, server.url(path))
    assert (response.status_code, response.json()) == (status, {"error": sentence})
    if status == 405:
        assert response.headers["allow"] in sentence


@pytest.mark.parametrize(("given", "told"), [("x", '"x"'), (True, "true"), (-1, "-1"), ([1], "a list"), (1.5, "1.5")])
def test_a_timeout_that_is_none_is_told_as_it_was_sent(server: Server, given: object, told: str) -> None:
    response = server.infer({**v2([1, 2, 3, 4]), "parameters": {"timeout": given}})
    sentence = f"parameters.timeout is {told}, not a number of microseconds"
    assert (response.status_code, response.json()) == (400, {"error": sentence})


def test_options_of_the_whole_server_are_told(server: Server) -> None:
    with Raw(server) as raw:
        answer = raw.send(b"OPTIONS * HTTP/1.1\r\nhost: t\r\n\r\n").finish().read_all()
    assert answer.startswith(b"HTTP/1.1 204 No Content\r\nallow: GET, HEAD, POST\r\n")
    assert answer.endswith(b"\r\n\r\n")


def test_the_operations_port_has_its_own_pages(server: Server) -> None:
    assert server.get("/healthz", "metrics").json() == {"live": True}
    assert server.get("/readyz", "metrics").json() == {"ready": True, "reason": "ready"}
    assert server.get("/metrics", "metrics").headers["content-type"].startswith("text/plain; version=0.0.4")
    assert server.get("/route", "metrics").json()["role"] == "standalone"
    assert server.get("/v2", "metrics").status_code == 404
    assert httpx.post(server.url("/metrics", "metrics")).status_code == 405


def test_only_inferences_are_counted(server: Server) -> None:
    before = server.answered()
    for path in ("/v2", "/v2/health/ready", "/v2/models/digits", "/v2/models/cats/infer"):
        server.get(path)
    assert server.answered() == before
    server.infer(ROW)
    assert server.answered() == before + 1


NONSENSE = [
    (b"hello\r\n\r\n", 400, "the request is not valid HTTP/1.1: "),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "the request is not valid HTTP/1.1: "),
    (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        400,
        "this port speaks HTTP/1.1; HTTP/2, as gRPC is sent, is spoken on the port of gRPC (8081 of a pod)",
    ),
    (b"GET /v2 HTTP/9.9\r\n\r\n", 400, "the request is not valid HTTP/1.1: "),
    (post(b"", b"transfer-encoding: chunked"), 400, "the request is not valid HTTP/1.1: "),
    (post(b"", b"content-length: 5"), 400, "the request is not valid HTTP/1.1: "),
    (b"GET /v2 HTTP/1.1\r\nbad header\r\n\r\n", 400, "the request is not valid HTTP/1.1: "),
    (
        b"POST /v2 HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
        400,
        "the request is not valid HTTP/1.1: ",
    ),
    (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", 431, "the request line and headers exceed 4096 bytes"),
    (b"GET /v2 HTTP/1.1\r\nx: " + b"a" * 5000, 431, "the request line and headers exceed 4096 bytes"),
    (b"GET /v2 HTTP/1.1\r\n" + b"x: y\r\n" * 900, 431, "the request line and headers exceed 4096 bytes"),
    (post(b"", length=100_001), 413, "the body exceeds 100000 bytes"),
    (
        b"POST /v2 HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n" + b"9c40\r\n" + b"x" * 40000 + b"\r\n"
        b"9c40\r\n" + b"x" * 40000 + b"\r\n9c40\r\n" + b"x" * 40000 + b"\r\n0\r\n\r\n",
        413,
        "the body exceeds 100000 bytes",
    ),
    (post(b"", b"expect: 100-continue", length=100_001), 413, "the body exceeds 100000 bytes"),
    (b"GET /v2 HTTP/1.1\r\nx: a\r\n b: c\r\n\r\n", 400, "the request is not valid HTTP/1.1: "),
    (post(BODY, b"expect: miracles"), 417, "expect: miracles is not supported; only 100-continue is"),
    (post(BODY, length=len(BODY) + 1), 408, "the request was not complete within 2 seconds"),
    (b"GET /v2 HTTP/1.1\r\n\r\n", 400, "the request has 0 Host headers; HTTP/1.1 asks for exactly one"),
    (post(BODY, b"host: other"), 400, "the request has 2 Host headers; HTTP/1.1 asks for exactly one"),
    (b"GET /v2 HTTP/1.1\r\nx", 408, "the request was not complete within 2 seconds"),
]


@pytest.mark.parametrize(("data", "status", "sentence"), NONSENSE, ids=[f"{s} {d[:24]!r}" for d, s, _ in NONSENSE])
def test_nonsense_is_refused_in_words_and_harms_nobody(server: Server, data: bytes, status: int, sentence: str) -> None:
    with Load(server, clients=1) as load, Raw(server) as raw:
        code, said = refusal(raw.send(data).read_all())
        assert (code, said[: len(sentence)]) == (status, sentence)
        load.wait_for(5)
    assert load.failures == []


def test_a_body_that_is_too_large_is_refused_while_the_client_still_sends(server: Server) -> None:
    response = httpx.post(server.url(), content=b"x" * 5_000_000)
    assert (response.status_code, response.json()) == (413, {"error": "the body exceeds 100000 bytes"})


def test_a_client_that_half_closes_after_its_request_is_answered(server: Server) -> None:
    with Raw(server) as raw:
        status, _, body, rest = split(raw.send(post(BODY)).finish().read_all())
    assert (status, rest) == (200, b"")
    assert json.loads(body)["model_name"] == "digits"


def test_a_client_that_half_closes_in_the_middle_is_told(server: Server) -> None:
    with Raw(server) as raw:
        answer = raw.send(post(BODY)[:-5]).finish().read_all()
    assert refusal(answer) == (400, "the connection ended before the request was complete")


def test_a_client_that_vanishes_leaves_nothing_behind(server: Server) -> None:
    for _ in range(20):
        Raw(server).send(post(BODY)).close()
        Raw(server).send(post(BODY)[:50]).close()
    eventually(lambda: server.counts("plimsoll_inflight_requests", "model")["digits"] == 0, "nothing in flight")
    assert server.infer(ROW).status_code == 200


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    numbers = [str(number) for number in range(40)]
    requests = []
    for number in numbers:
        requests.append(post(json.dumps(ROW | {"id": number}).encode()))
        requests.append(b"GET /v2/health/live HTTP/1.1\r\nhost: test\r\n\r\n")
    with Raw(server) as raw:
        rest = raw.send(b"".join(requests)).finish().read_all()
    ids = []
    while rest:
        status, _, body, rest = split(rest)
        assert status == 200
        ids.append(json.loads(body).get("id", "live"))
    assert ids == [item for number in numbers for item in (number, "live")]


def test_what_comes_before_nonsense_is_still_answered(server: Server) -> None:
    with Raw(server) as raw:
        answer = raw.send(post(BODY) + b"rubbish\r\n\r\n").read_all()
    status, _, _, rest = split(answer)
    assert status == 200
    assert refusal(rest)[0] == 400


def test_a_client_may_wait_for_100_continue(server: Server) -> None:
    head, _, _ = post(BODY, b"expect: 100-continue").partition(b"\r\n\r\n")
    with Raw(server) as raw:
        assert raw.send(head + b"\r\n\r\n").read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert split(raw.send(BODY).finish().read_all())[0] == 200


def test_a_chunked_body_is_put_together(server: Server) -> None:
    def pieces() -> Any:
        for start in range(0, len(BODY), 7):
            yield BODY[start : start + 7]

    response = httpx.post(server.url(), content=pieces())
    assert response.json() == server.infer(ROW).json()


def test_a_request_may_arrive_byte_by_byte(server: Server) -> None:
    with Raw(server) as raw:
        for byte in post(BODY):
            raw.send(bytes([byte]))
        assert split(raw.finish().read_all())[0] == 200


def test_headers_within_the_limit_may_come_in_pieces(server: Server) -> None:
    head, _, body = post(BODY, b"x: " + b"a" * 3000).partition(b"\r\n\r\n")
    with Raw(server) as raw:
        for piece in (head[:2500], head[2500:3050], head[3050:], b"\r\n\r\n" + body):
            raw.send(piece)
            time.sleep(0.02)
        assert split(raw.finish().read_all())[0] == 200


def test_http_10_is_closed_unless_it_asks_otherwise(server: Server) -> None:
    with Raw(server) as raw:
        status, headers, _, _ = split(raw.send(b"GET /v2 HTTP/1.0\r\n\r\n").read_all())
    assert (status, headers["connection"]) == (200, "close")
    with Raw(server) as raw:
        answer = raw.send(b"GET /v2 HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").read_until(b"}")
    assert split(answer)[1]["connection"] == "keep-alive"


@pytest.mark.parametrize("message", [post(BODY), b"GET /v2 HTTP/1.1\r\nhost: t\r\n\r\n"], ids=["POST", "GET"])
def test_an_offer_to_upgrade_is_declined_by_a_plain_answer(server: Server, message: bytes) -> None:
    offer = message.replace(
        b"\r\n", b"\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n", 1
    )
    with Raw(server) as raw:
        status, headers, _, rest = split(raw.send(offer + message).finish().read_all())
    assert (status, headers.get("connection"), split(rest)[0]) == (200, None, 200)


def test_nobody_is_asked_for_a_body_that_is_there(server: Server) -> None:
    """The large one is decompressed in a thread, and what comes after it waits."""
    large = post(gzip.compress(json.dumps(v2(*[[1, 2, 3, 4]] * 3000)).encode()), b"content-encoding: gzip")
    expecting = post(json.dumps(ROW | {"id": "second"}).encode(), b"expect: 100-continue")
    with Raw(server) as raw:
        answer = raw.send(large + expecting + post(BODY)[:-1]).read_until(b"second")
        answer += raw.send(b"}").finish().read_all()
    assert (answer.count(b"HTTP/1.1 200 OK"), answer.count(b"100 Continue")) == (3, 0)


def test_http_10_is_never_asked_for_its_body(server: Server) -> None:
    with Raw(server) as raw:
        raw.send(post(BODY, b"expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert split(raw.read_all())[0] == 200


def test_a_body_whose_json_has_another_length_than_announced_is_refused(server: Server) -> None:
    response = server.infer(ROW, **{"inference-header-content-length": "9999"})
    assert response.status_code == 400
    assert response.json()["error"].startswith("inference-header-content-length is '9999', not the number of bytes of")


def test_a_client_that_reads_nothing_is_not_waited_on_by_others(server: Server) -> None:
    with socket.create_connection((HOST, server.ports["public"])) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(0.5)
        flood = b"GET /v2/models/digits HTTP/1.1\r\nhost: t\r\n\r\n" * 2000
        # The kernel's buffers take some megabytes; then the server stops reading, and gives up after a while.
        with pytest.raises((TimeoutError, ConnectionError)):
            for _ in range(2000):
                deaf.sendall(flood)
        assert server.infer(ROW).status_code == 200
