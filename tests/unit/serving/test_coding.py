"""gzip both ways, with bombs, broken bodies and budgets."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.coding import MEMBERS, ContentCoding, Inflater
from plimsoll_serving.http.cors import Cors
from plimsoll_serving.http.limits import Budget, Limits
from plimsoll_serving.http.message import Kept, Request, Respond, Response

LIMIT = 100_000
LIMITS = Limits(body_bytes=LIMIT)
LARGE = json.dumps({"data": list(range(20_000))}).encode()


def request(body: bytes = b"", method: str = "POST", **headers: str) -> Request:
    found = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request(method, "/", "", found, body, True)


async def ask(asked: Request, answer: Response | None = None, budget: Budget | None = None) -> tuple[Response, Request]:
    """The answer through the coding, and the request as its handler saw it."""
    seen: list[Request] = []
    answered: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def handler(inner: Request, respond: Respond) -> None:
        seen.append(inner)
        respond(answer or Response(200, inner.body))

    ContentCoding(handler, LIMITS, budget or Budget(1 << 30)).handle(asked, answered.set_result)
    response = await asyncio.wait_for(answered, 60)
    return response, seen[0] if seen else asked


BODIES = [b"{}", b"x" * 50_000, LARGE[:LIMIT]]


@pytest.mark.parametrize("body", BODIES, ids=len)
async def test_a_compressed_body_arrives_as_it_was(body: bytes) -> None:
    for coding, packed in (
        ("gzip", gzip.compress(body)),
        ("deflate", zlib.compress(body)),
        ("X-Gzip", gzip.compress(body)),
    ):
        response, seen = await ask(request(packed, content_encoding=coding))
        assert (response.status, seen.body) == (200, body)
        assert seen.header(b"content-encoding") is None


async def test_what_is_kept_with_a_head_stays_known_when_the_codings_are_left_out_and_not_with_another_body() -> None:
    def came(body: bytes, **headers: str) -> Request:
        again = request(body, accept_encoding="gzip", host="t", **headers)
        again.kept = kept
        return again

    kept = Kept()
    seen = [(await ask(came(b"{}")))[1] for _ in range(2)]
    assert seen[0].kept is not None and seen[0].kept is seen[1].kept and seen[0].kept is not kept
    assert [one.headers for one in seen] == [[(b"host", b"t")]] * 2
    assert seen[1].header(b"accept-encoding") is None and seen[1].header(b"host") == b"t"
    kept = Kept()
    packed = (await ask(came(gzip.compress(b"{}"), content_encoding="gzip")))[1]
    assert packed.kept is None and packed.headers == [(b"host", b"t")]


@given(parts=st.lists(st.binary(max_size=3000), min_size=1, max_size=MEMBERS), step=st.integers(1, 5000))
def test_members_in_a_row_are_one_body_whatever_the_steps(parts: list[bytes], step: int) -> None:
    inflater = Inflater(b"gzip", b"".join(map(gzip.compress, parts)))
    pieces = []
    while not inflater.done:
        pieces.append(inflater.read(step))
        assert len(pieces[-1]) <= step
    assert b"".join(pieces) == b"".join(parts)


WRONG = [
    (gzip.compress(b"x" * (LIMIT + 1)), 413, "the body exceeds 100000 bytes once decompressed"),
    (gzip.compress(b"\0" * 20_000_000), 413, "the body exceeds 100000 bytes once decompressed"),
    (gzip.compress(LARGE)[:-20], 400, "the body is not complete gzip: it ends early"),
    (gzip.compress(b"{}")[:5], 400, "the body is not complete gzip: it ends early"),
    (b"{}", 400, "the body is not gzip: "),
    (gzip.compress(b"{}") + b"rubbish", 400, "the body is not gzip: "),
    (gzip.compress(b"{}")[:-4] + b"\0\0\0\1", 400, "the body is not gzip: "),
    (gzip.compress(b"") * (MEMBERS + 1), 400, "the body has more than 16 gzip members; send it as one"),
]


@pytest.mark.parametrize(("body", "status", "sentence"), WRONG, ids=[f"{s} {len(b)}" for b, s, _ in WRONG])
async def test_bombs_and_broken_bodies_are_refused_and_cost_nothing(body: bytes, status: int, sentence: str) -> None:
    budget = Budget(1 << 20)
    assert budget.take(len(body))
    response, seen = await ask(request(body, content_encoding="gzip"), budget=budget)
    assert (response.status, json.loads(response.body)["error"][: len(sentence)]) == (status, sentence)
    assert budget.held == len(seen.body)  # the connection gives that back


async def test_the_budget_holds_what_a_body_is_once_decompressed() -> None:
    packed = gzip.compress(b"x" * 90_000)
    budget = Budget(200_000)
    assert budget.take(len(packed))
    response, seen = await ask(request(packed, content_encoding="gzip"), budget=budget)
    assert (response.status, budget.held, len(seen.body)) == (200, 90_000, 90_000)

    short = Budget(50_000)
    assert short.take(len(packed))
    response, _ = await ask(request(packed, content_encoding="gzip"), budget=short)
    assert (response.status, short.held) == (503, len(packed))


async def test_another_coding_is_refused_with_what_is_served() -> None:
    response, _ = await ask(request(b"x", content_encoding="br"))
    assert (response.status, response.headers) == (415, [(b"accept-encoding", b"gzip, deflate")])


@pytest.mark.parametrize("body", [LARGE[:2000], LARGE], ids=len)
async def test_an_answer_worth_it_is_compressed_for_who_asks(body: bytes) -> None:
    answer = Response(200, body, headers=[(b"x", b"y")])
    response, seen = await ask(request(accept_encoding="br, gzip"), answer)
    assert gzip.decompress(response.body) == body
    assert response.headers == [(b"x", b"y"), (b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
    assert len(response.body) < len(body) / 2
    assert answer.headers == [(b"x", b"y")]
    assert seen.header(b"accept-encoding") is None


@pytest.mark.parametrize(
    ("accepted", "answer"),
    [
        ("gzip;q=0", Response(200, LARGE)),
        ("identity", Response(200, LARGE)),
        ("gzip", Response(200, b"{}")),
        ("gzip", Response(200, LARGE, b"application/octet-stream")),
        ("gzip", Response(200, LARGE, headers=[(b"content-encoding", b"br")])),
    ],
)
async def test_other_answers_are_left_as_they_are(accepted: str, answer: Response) -> None:
    response, _ = await ask(request(accept_encoding=accepted), answer)
    assert response is answer


def cross(asked: Request, *origins: str) -> Response:
    answers: list[Response] = []
    Cors(lambda _, respond: respond(Response(200, b"{}")), origins).handle(asked, answers.append)
    return answers[0]


HOME = "https://app.example.com"


def test_an_origin_of_the_setting_may_read_answers() -> None:
    headers = dict(cross(request(origin=HOME), HOME, "https://other.example.com").headers)
    assert headers[b"access-control-allow-origin"] == HOME.encode()
    assert headers[b"vary"] == b"origin"
    assert b"plimsoll-prediction-id" in headers[b"access-control-expose-headers"]
    assert dict(cross(request(origin="https://x.example"), "*").headers)[b"access-control-allow-origin"] == b"*"


def test_other_origins_are_answered_without_a_permission() -> None:
    for asked in (request(origin="https://evil.example"), request()):
        response = cross(asked, HOME)
        assert (response.status, response.headers) == (200, [])


def test_a_preflight_is_answered_without_the_handler() -> None:
    preflight = request(
        method="OPTIONS",
        origin=HOME,
        access_control_request_method="POST",
        access_control_request_headers="content-type",
    )
    response = cross(preflight, HOME)
    headers = dict(response.headers)
    assert (response.status, response.body) == (204, b"")
    assert headers[b"access-control-allow-methods"] == b"GET, HEAD, POST"
    assert headers[b"access-control-allow-headers"] == b"content-type"
    assert cross(preflight, "https://other.example").status == 200


def test_a_bomb_of_one_step_is_never_larger_than_the_step() -> None:
    inflater = Inflater(b"gzip", gzip.compress(b"\0" * 10_000_000))
    assert len(inflater.read(1000)) == 1000
    with pytest.raises(RequestError, match="is not deflate"):
        Inflater(b"deflate", gzip.compress(b"x")).read(1000)


@pytest.mark.parametrize("size", [100, 200_000])
async def test_what_waits_for_the_answer_is_called_once_it_has_been_handed_on(size: int) -> None:
    """Copies for a shadow, above all: they may not leave before an answer that is compressed in a thread."""
    order: list[str] = []
    done = asyncio.get_running_loop().create_future()

    def handler(asked: Request, respond: Respond) -> None:
        respond(Response(200, b"1" * size))
        if asked.delayed is None:
            order.append("copied")
        else:
            asked.delayed.append(lambda: order.append("copied"))

    def answered(_: Response) -> None:
        order.append("answered")
        asyncio.get_running_loop().call_soon(done.set_result, None)

    ContentCoding(handler, LIMITS, Budget(1 << 30)).handle(request(accept_encoding="gzip"), answered)
    await asyncio.wait_for(done, 60)
    assert order == ["answered", "copied"]
