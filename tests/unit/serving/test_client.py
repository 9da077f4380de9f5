"""The client's side of a connection: answers whole, in pieces, malformed or unasked for."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plimsoll_serving.http.client import AnswerHeads, ClientConnection, Failure, Reason
from plimsoll_serving.http.deadlines import Deadlines
from plimsoll_serving.http.forward import CACHED_HEADS, ForwardedHeads
from plimsoll_serving.http.message import Kept, Request, Response, render

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\nplimsoll-name: a\r\n\r\nbody"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nplimsoll-name: a\r\n\r\n4\r\nbody\r\n0\r\n\r\n"


class Transport:
    """Notes what is written and whether the connection was ended."""

    def __init__(self) -> None:
        self.written = b""
        self.ended = False
        self.unsent = 0

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, pieces: list[bytes]) -> None:
        self.written += b"".join(pieces)

    def abort(self) -> None:
        self.ended = True


class Asker:
    def __init__(self, max_bytes: int = 1000) -> None:
        self.max_bytes = max_bytes
        self.answers: list[Response] = []
        self.failures: list[tuple[Reason, bool]] = []
        self.over = False

    def on_answer(self, response: Response) -> None:
        self.answers.append(response)

    def on_broken(self, failure: Failure, answered: bool) -> None:
        self.failures.append((failure.reason, answered))


class Talk:
    """A connection, and what is asked on it."""

    def __init__(self) -> None:
        self.heads = AnswerHeads()
        self.connection = ClientConnection(self.heads)
        self.transport: Any = Transport()
        self.connection.connection_made(self.transport)

    def ask(self, max_bytes: int = 1000) -> Asker:
        asker = Asker(max_bytes)
        self.connection.ask([b"head", b"body"], [asker])
        return asker

    def ask_together(self, count: int) -> list[Asker]:
        askers = [Asker() for _ in range(count)]
        self.connection.ask([b"head", b"body"] * count, [*askers])
        return askers

    def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.connection.data_received(piece)


@pytest.fixture
async def talk() -> Talk:
    return Talk()


def parts(response: Response) -> tuple[object, ...]:
    return response.status, response.body, response.content_type, response.headers, response.close


async def test_the_same_head_is_read_alike_the_first_and_the_second_time(talk: Talk) -> None:
    for _ in range(3):
        asker = talk.ask()
        talk.feed(ANSWER)
        assert list(map(parts, asker.answers)) == [(200, b"body", b"text/plain", [(b"plimsoll-name", b"a")], False)]
        assert talk.connection.usable
    assert talk.transport.written == b"headbody" * 3


@settings(max_examples=60)
@given(st.lists(st.integers(1, len(ANSWER) - 1), max_size=4), st.sampled_from([ANSWER, CHUNKED]), st.booleans())
def test_an_answer_may_come_in_any_pieces(cuts: list[int], answer: bytes, known: bool) -> None:
    async def talked() -> None:
        talk = Talk()
        if known:
            talk.ask()
            talk.feed(answer)
        asker = talk.ask()
        edges = [0, *sorted({cut for cut in cuts if cut < len(answer)}), len(answer)]
        talk.feed(*[answer[start:end] for start, end in pairwise(edges)])
        assert [(response.status, response.body) for response in asker.answers] == [(200, b"body")]
        assert asker.answers[0].headers == [(b"plimsoll-name", b"a")]
        assert talk.connection.usable

    asyncio.run(talked())


async def test_a_head_is_known_whatever_its_prediction_id_which_each_answer_keeps(talk: Talk) -> None:
    for token in (b"1.a.b", b"1.a.c", b"1.a.d"):
        asker = talk.ask()
        talk.feed(ANSWER.replace(b"\r\n\r\n", b"\r\nplimsoll-prediction-id: %b\r\n\r\n" % token, 1))
        headers = [(b"plimsoll-name", b"a"), (b"plimsoll-prediction-id", token)]
        assert list(map(parts, asker.answers)) == [(200, b"body", b"text/plain", headers, False)]
    assert len(talk.heads) == 1, "one head for all"


IDENTIFIED = ANSWER.replace(b"\r\n\r\n", b"\r\nplimsoll-prediction-id: 1.abc.%b\r\nplimsoll-together: 1\r\n\r\n", 1)


def passed_on(response: Response, method: str = "POST", close: bool = False) -> bytes:
    return render(response, close, request([], method))


@pytest.mark.parametrize("looked_at", [False, True])
async def test_an_answer_is_passed_on_alike_whether_its_head_is_known_or_not(talk: Talk, looked_at: bool) -> None:
    expected = IDENTIFIED.replace(b"plimsoll-together: 1\r\n", b"")
    for token in (b"a-_9", b"bbbb", b"CCCC"):
        asker = talk.ask()
        talk.feed(IDENTIFIED % token)
        (response,) = asker.answers
        if looked_at:
            assert response.headers[-1] == (b"plimsoll-prediction-id", b"1.abc.%b" % token)
        assert passed_on(response) == expected % token
        assert passed_on(response, "HEAD") == (expected % token).removesuffix(b"body")
        assert b"connection: close\r\n\r\nbody" in passed_on(response, close=True)


@pytest.mark.parametrize("before", [b"", ANSWER])
async def test_an_answer_with_a_known_head_may_be_cut_anywhere(before: bytes) -> None:
    answer = IDENTIFIED % b"abcd"
    for cut in range(1, len(answer)):
        talk = Talk()
        for known in (answer, ANSWER):
            talk.ask()
            talk.feed(known)
        talk.connection.together = True
        askers = talk.ask_together(1 + bool(before))
        talk.feed(before + answer[:cut], answer[cut:])
        assert [response.body for asker in askers for response in asker.answers] == [b"body"] * len(askers)
        assert not talk.connection.busy


async def test_a_header_that_somebody_adds_to_an_answer_with_a_known_head_is_passed_on_too(talk: Talk) -> None:
    for _ in range(2):
        asker = talk.ask()
        talk.feed(ANSWER)
        (response,) = asker.answers
        response.headers = [*response.headers, (b"vary", b"origin")]
        assert passed_on(response).endswith(b"plimsoll-name: a\r\nvary: origin\r\n\r\nbody")


@pytest.mark.parametrize(
    "told", [b"a\r\nx-y:z", b"a\r\n\r\nrest", b"\x00\x01\x02\x03\x04\x05\x06\x07", b"a b;c,d=", b"12345678"]
)
async def test_what_an_id_may_not_have_is_read_by_the_parser_though_the_head_is_known(talk: Talk, told: bytes) -> None:
    """Known or not, it comes to the same."""
    seen = []
    for known in (False, True):
        fresh = Talk()
        if known:
            fresh.ask()
            fresh.feed(IDENTIFIED % b"12345678")
        asker = fresh.ask()
        fresh.feed(IDENTIFIED % told)
        seen.append((list(map(parts, asker.answers)), asker.failures, fresh.connection.usable))
    assert seen[0] == seen[1]


async def test_an_answer_of_another_length_is_not_mistaken_for_the_known_one(talk: Talk) -> None:
    talk.ask()
    talk.feed(ANSWER)
    asker = talk.ask()
    talk.feed(ANSWER.replace(b"content-length: 4", b"content-length: 6") + b"..")
    assert asker.answers[0].body == b"body.."


async def test_interim_answers_are_skipped(talk: Talk) -> None:
    for _ in range(2):
        asker = talk.ask()
        talk.feed(b"HTTP/1.1 100 Continue\r\nx-interim: 1\r\n\r\n" + ANSWER)
        assert [(response.status, response.headers) for response in asker.answers] == [
            (200, [(b"plimsoll-name", b"a")])
        ]


async def test_an_answer_of_somebody_else_than_a_server_of_models_ends_the_connection(talk: Talk) -> None:
    """What a proxy says that stands outside of the cluster."""
    asker = talk.ask()
    talk.feed(b"HTTP/1.1 404 Not Found\r\nserver: proxy\r\ncontent-length: 0\r\n\r\n")
    assert (asker.answers, asker.failures) == ([], [(Reason.STRANGER, True)])
    assert not talk.connection.usable


async def test_a_connection_that_the_peer_will_close_is_not_used_again(talk: Talk) -> None:
    asker = talk.ask()
    talk.feed(ANSWER.replace(b"plimsoll-name: a", b"plimsoll-name: a\r\nconnection: close"))
    assert len(asker.answers) == 1
    assert not talk.connection.usable


async def test_a_peer_that_answers_before_it_has_read_the_request_is_not_asked_again(talk: Talk) -> None:
    asker = talk.ask()
    talk.transport.unsent = 5
    talk.feed(ANSWER)
    assert len(asker.answers) == 1
    assert not talk.connection.usable


@pytest.mark.parametrize("surplus", [b"H", ANSWER, b"\0garbage"])
async def test_bytes_beyond_the_answer_end_the_connection_but_not_the_answer(talk: Talk, surplus: bytes) -> None:
    for _ in range(2):  # unknown, then known if it were ever learned
        fresh = Talk()
        asker = fresh.ask()
        fresh.feed(ANSWER + surplus)
        assert [response.body for response in asker.answers] == [b"body"]
        assert asker.failures == []
        assert not fresh.connection.usable


async def test_bytes_that_nobody_asked_for_end_the_connection(talk: Talk) -> None:
    talk.feed(ANSWER)
    assert talk.transport.ended
    assert not talk.connection.usable


@pytest.mark.parametrize("broken", [b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"])
async def test_what_is_not_http_is_told_once(talk: Talk, broken: bytes) -> None:
    asker = talk.ask()
    talk.feed(broken, broken)
    talk.connection.connection_lost(None)
    assert asker.failures == [(Reason.BROKEN, True)]
    assert talk.transport.ended


async def test_a_switch_of_protocols_is_an_end(talk: Talk) -> None:
    asker = talk.ask()
    talk.feed(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nraw")
    talk.connection.connection_lost(None)
    assert [answered for _, answered in asker.failures] == [True]
    assert asker.answers == []


@pytest.mark.parametrize(("received", "answered"), [(b"", False), (b"H", True), (ANSWER[:-1], True)])
async def test_a_lost_connection_tells_whether_an_answer_had_begun(talk: Talk, received: bytes, answered: bool) -> None:
    asker = talk.ask()
    if received:
        talk.feed(received)
    talk.connection.connection_lost(ConnectionResetError("reset"))
    assert asker.failures == [(Reason.BROKEN, answered)]


@pytest.mark.parametrize("answer", [ANSWER, CHUNKED])
async def test_an_answer_beyond_the_bound_is_given_up(talk: Talk, answer: bytes) -> None:
    asker = talk.ask(max_bytes=3)
    talk.feed(answer)
    assert asker.failures == [(Reason.TOO_LARGE, True)]
    assert asker.answers == []
    assert talk.transport.ended


def numbered(number: int, chunked: bool = False) -> bytes:
    """An answer of its own length, as a pod gives it that takes several requests at once."""
    body = b"answer" + b"." * number
    if chunked:
        return CHUNKED.replace(b"4\r\nbody", b"%x\r\n%b" % (len(body), body))
    return render(Response(200, body, headers=[(b"plimsoll-together", b"1")]), False, None)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=8),
    st.lists(st.integers(1, 600), max_size=4),
    st.booleans(),
)
def test_answers_that_come_together_in_any_pieces_are_told_in_order(
    answers: list[tuple[int, bool]], cuts: list[int], known: bool
) -> None:
    async def talked() -> None:
        talk = Talk()
        if known:
            talk.ask()
            talk.feed(numbered(1))
        askers = talk.ask_together(len(answers))
        data = b"".join(numbered(*one) for one in answers)
        edges = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
        talk.feed(*[data[start:end] for start, end in pairwise(edges)])
        told = [[response.body for response in asker.answers] for asker in askers]
        assert told == [[b"answer" + b"." * number] for number, _ in answers]
        assert all(asker.failures == [] for asker in askers)
        assert talk.connection.usable
        assert not talk.connection.busy

    asyncio.run(talked())


async def test_that_a_peer_takes_requests_together_is_noted_and_not_passed_on(talk: Talk) -> None:
    for _ in range(2):  # read by the parser, then known
        asker = talk.ask()
        talk.feed(numbered(0))
        assert asker.answers[0].headers == []
        assert talk.connection.together
    talk.ask()
    talk.feed(ANSWER)
    assert not talk.connection.together


@pytest.mark.parametrize("begun", [b"", ANSWER[:9], ANSWER[:-1]])
async def test_of_several_that_wait_on_a_lost_connection_only_the_first_can_have_been_answered(
    talk: Talk, begun: bytes
) -> None:
    askers = talk.ask_together(4)
    talk.feed(ANSWER + begun)
    talk.connection.connection_lost(None)
    assert [len(asker.answers) for asker in askers] == [1, 0, 0, 0]
    told = [(Reason.BROKEN, bool(begun)), (Reason.BROKEN, False), (Reason.BROKEN, False)]
    assert [asker.failures for asker in askers] == [[], *([one] for one in told)]


async def test_those_behind_an_answer_that_ends_the_connection_are_told_that_none_came(talk: Talk) -> None:
    first, second = talk.ask_together(2)
    talk.feed(ANSWER.replace(b"plimsoll-name: a", b"plimsoll-name: a\r\nconnection: close"))
    assert (len(first.answers), second.failures) == (1, [(Reason.BROKEN, False)])
    assert talk.transport.ended


async def test_one_answer_too_many_ends_the_connection(talk: Talk) -> None:
    askers = talk.ask_together(2)
    talk.feed(ANSWER * 3)
    assert [len(asker.answers) for asker in askers] == [1, 1]
    assert talk.transport.ended


async def test_an_answer_beyond_the_bound_is_given_up_though_its_head_is_known(talk: Talk) -> None:
    talk.ask()
    talk.feed(ANSWER)
    asker = talk.ask(max_bytes=3)
    talk.feed(ANSWER)
    assert (asker.answers, asker.failures) == ([], [(Reason.TOO_LARGE, True)])


async def test_a_connection_outlives_one_who_waits_no_more_but_not_all(talk: Talk) -> None:
    first, second, third = talk.ask_together(3)
    first.over = True
    talk.connection.left()
    talk.feed(ANSWER * 2)
    assert len(second.answers) == 1
    assert not talk.transport.ended
    third.over = True
    talk.connection.left()
    assert talk.transport.ended


def request(headers: list[tuple[bytes, bytes]], method: str = "POST", body: bytes = b"{}") -> Request:
    return Request(method, "/v2/models/digits/infer", "a=b", headers, body, keep_alive=True)


def test_a_request_is_sent_on_with_its_end_to_end_headers_and_its_own_length() -> None:
    heads = ForwardedHeads("arm:8083", [(b"plimsoll-delegated", b"1")], frozenset({b"accept-encoding"}))
    headers = [
        (b"host", b"public"),
        (b"content-length", b"999"),
        (b"connection", b"keep-alive"),
        (b"accept-encoding", b"gzip"),
        (b"plimsoll-delegated", b"0"),
        (b"x-user-id", b"7"),
    ]
    expected = (
        b"POST /v2/models/digits/infer?a=b HTTP/1.1\r\nhost: arm:8083\r\nx-user-id: 7\r\nplimsoll-delegated: 1\r\n"
        b"content-length: %d\r\n\r\n"
    )
    assert heads.head(request(headers)) == expected % 2
    assert heads.head(request(headers, body=b"12345")) == expected % 5
    assert heads.head(request(headers[:-1])) == (expected % 2).replace(b"x-user-id: 7\r\n", b"")


def test_what_is_kept_with_a_known_head_is_sent_to_nobody_else() -> None:
    asked = request([(b"x-user-id", b"7"), (b"accept-encoding", b"gzip")])
    asked.kept = Kept()
    one, other = ForwardedHeads("one", [(b"plimsoll-delegated", b"1")]), ForwardedHeads("other", [])
    plain = request(asked.headers)
    for _ in range(2):
        for heads in (one, other):
            assert heads.head(asked) == heads.head(asked) == heads.head(plain)
    asked.drop(b"accept-encoding")
    assert b"accept-encoding" not in one.head(asked)


def test_headers_of_the_connection_and_unsafe_ones_stay_behind() -> None:
    headers = [(b"connection", b"close, X-Hop"), (b"x-hop", b"1"), (b"x-a", b"1\r\nx-b: 2"), (b"x-c", b"3")]
    head = ForwardedHeads("arm", []).head(request(headers))
    assert head == b"POST /v2/models/digits/infer?a=b HTTP/1.1\r\nhost: arm\r\nx-c: 3\r\ncontent-length: 2\r\n\r\n"


def test_a_head_is_asked_for_as_a_get_so_that_the_end_of_its_answer_can_be_told() -> None:
    assert ForwardedHeads("arm", []).head(request([], method="HEAD")).startswith(b"GET ")


def test_remembered_heads_are_bounded() -> None:
    heads = ForwardedHeads("arm", [])
    for number in range(3 * CACHED_HEADS):
        heads.head(request([(b"traceparent", str(number).encode())]))
    assert len(heads._known) <= CACHED_HEADS
    known = AnswerHeads()
    for number in range(3 * CACHED_HEADS):
        response = Response(200, b"", headers=[(b"x-id", str(number).encode())])
        known.learn(render(response, False, None), response)
    assert len(known._known) <= CACHED_HEADS


class Sleeper:
    def __init__(self, deadline: float, noted: "asyncio.Queue[float]") -> None:
        self.deadline = deadline
        self._noted = noted

    def expire(self) -> None:
        self._noted.put_nowait(self.deadline)


async def test_waits_end_at_their_deadlines_unless_they_were_removed() -> None:
    now = asyncio.get_running_loop().time
    noted: asyncio.Queue[float] = asyncio.Queue()
    deadlines = Deadlines()
    begin = now()
    far, late, early, removed = (Sleeper(begin + seconds, noted) for seconds in (1000.0, 0.12, 0.04, 0.05))
    for wait in (far, late, early, removed):
        deadlines.add(wait, wait.deadline)
    deadlines.remove(removed)
    # In either order: a machine that stands still for long enough ends both at once.
    assert {await noted.get(), await noted.get()} == {early.deadline, late.deadline}
    assert now() >= late.deadline
    assert len(deadlines) == 1 and noted.empty()
