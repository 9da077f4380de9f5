"""gzip both ways (RFC 9110, section 8.4), between a listener and its handler.

Limits count what a body is once decompressed, and it is decompressed in steps: no bomb takes more than one step beyond
its limit. What is large is done in worker threads.
"""

import asyncio
import functools
import gzip
import logging
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from plimsoll_serving.errors import RequestError
from plimsoll_serving.http.limits import Budget, Limits
from plimsoll_serving.http.media import accepts_coding
from plimsoll_serving.http.message import Handler, Request, Respond, Response, error_response

LOGGER = logging.getLogger("plimsoll_serving.http")
# Window bits of zlib: a gzip header, a zlib header.
FORMATS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
INLINE_BODY = 16 * 1024
INLINE_STEP = 128 * 1024
THREAD_STEP = 4 << 20
# Each further member costs a copy of what is left.
MEMBERS = 16
# Smaller answers fit in a packet anyway.
WORTH_BYTES = 1024
INLINE_ANSWER = 16 * 1024
LEVEL = 1
WORTH_TYPES = (b"application/json", b"text/")


class Inflater:
    """Decompresses a body step by step; several gzip members in a row are one body."""

    def __init__(self, coding: bytes, body: bytes) -> None:
        self._coding = coding
        self._left = body
        self._stream = zlib.decompressobj(FORMATS[coding])
        self._members = 1
        self.done = False

    def read(self, size: int) -> bytes:
        """At most ``size`` more bytes. Raises RequestError when the body is not what its coding says."""
        try:
            piece = self._stream.decompress(self._left, size)
        except zlib.error as error:
            raise RequestError(f"the body is not {self._coding.decode()}: {error}") from None
        self._left = self._stream.unconsumed_tail
        if self._stream.eof:
            self._next_member(self._stream.unused_data)
        elif not self._left and len(piece) < size:
            raise RequestError(f"the body is not complete {self._coding.decode()}: it ends early")
        return piece

    def _next_member(self, rest: bytes) -> None:
        self.done = not rest
        self._left = rest
        self._members += 1
        if rest and self._members > MEMBERS:
            raise RequestError(f"the body has more than {MEMBERS} {self._coding.decode()} members; send it as one")
        self._stream = zlib.decompressobj(FORMATS[self._coding])


class ContentCoding:
    """Hands requests on decompressed, and compresses answers for those who ask for it.

    Neither side's headers are handed on: between pods bodies go as they are.
    """

    def __init__(self, handler: Handler, limits: Limits, budget: Budget) -> None:
        self._handler = handler
        self._limit = limits.body_bytes
        self._budget = budget
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="gzip")
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, request: Request, respond: Respond) -> None:
        accepted = request.header(b"accept-encoding")
        coding = request.header(b"content-encoding")
        if accepted is not None:
            request.drop(b"accept-encoding")
            if _accepts_gzip(accepted):
                respond = functools.partial(self._compress, request, respond)
        if coding is not None:
            coding = coding.strip().lower()
        if coding is None or coding == b"identity" or not request.body:
            self._handler(request, respond)
        elif coding in FORMATS:
            request.drop(b"content-encoding")
            self._decompress(Inflater(coding, request.body), request, respond)
        else:
            told = coding.decode("latin-1")[:50]
            response = error_response(415, f"content-encoding: {told} is not served; send gzip, or the body as it is")
            response.headers = [(b"accept-encoding", b"gzip, deflate")]
            respond(response)

    # Requests

    def _decompress(self, inflater: Inflater, request: Request, respond: Respond) -> None:
        """On the loop when it is small, else in a worker thread."""
        pieces = _Pieces(self._limit, self._budget)
        if len(request.body) <= INLINE_BODY:
            try:
                pieces.add(inflater.read(INLINE_STEP))
            except RequestError as error:
                self._refuse(error, pieces, respond)
                return
            if inflater.done:
                self._hand_over(pieces, request, respond)
                return
        task = self._loop.create_task(self._decompress_on(inflater, pieces, request, respond))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _decompress_on(self, inflater: Inflater, pieces: "_Pieces", request: Request, respond: Respond) -> None:
        try:
            while not inflater.done:
                pieces.add(await self._loop.run_in_executor(self._threads, inflater.read, THREAD_STEP))
        except RequestError as error:
            self._refuse(error, pieces, respond)
            return
        try:
            self._hand_over(pieces, request, respond)
        except Exception:
            LOGGER.exception("a handler failed on %s %s", request.method, request.path[:200])
            respond(error_response(500, "the server failed on this request; its log has the trace"))

    def _hand_over(self, pieces: "_Pieces", request: Request, respond: Respond) -> None:
        # The connection gives back what the body is at the end.
        self._budget.give_back(len(request.body))
        request.decompressed(b"".join(pieces.kept))
        self._handler(request, respond)

    def _refuse(self, error: RequestError, pieces: "_Pieces", respond: Respond) -> None:
        self._budget.give_back(pieces.size)
        respond(error_response(error.status, error.message))

    # Answers

    def _compress(self, request: Request, respond: Respond, response: Response) -> None:
        if not _worth(response):
            respond(response)
        elif len(response.body) <= INLINE_ANSWER:
            respond(_gzipped(response))
        else:
            delayed = request.delayed = [] if request.delayed is None else request.delayed
            future = self._loop.run_in_executor(self._threads, _gzipped, response)
            future.add_done_callback(lambda done: _answered(done.result(), respond, delayed))


def _answered(response: Response, respond: Respond, delayed: list[Callable[[], None]]) -> None:
    respond(response)
    for call in delayed:
        call()


class _Pieces:
    """What of a body has been decompressed, within the limits. Used on the event loop only."""

    def __init__(self, limit: int, budget: Budget) -> None:
        self._limit = limit
        self._budget = budget
        self.kept: list[bytes] = []
        self.size = 0

    def add(self, piece: bytes) -> None:
        if self.size + len(piece) > self._limit:
            raise RequestError(f"the body exceeds {self._limit} bytes once decompressed", 413)
        if not self._budget.take(len(piece), held=self.size):
            raise RequestError("the server holds too many request bytes at the moment; try again", 503)
        self.size += len(piece)
        self.kept.append(piece)


@functools.lru_cache(maxsize=64)
def _accepts_gzip(header: bytes) -> bool:
    """Clients send the same few headers over and over."""
    return accepts_coding(header, "gzip")


def _worth(response: Response) -> bool:
    return (
        len(response.body) >= WORTH_BYTES
        and response.content_type.startswith(WORTH_TYPES)
        and not any(name == b"content-encoding" for name, _ in response.headers)
    )


def _gzipped(response: Response) -> Response:
    headers = [*response.headers, (b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
    body = gzip.compress(response.body, LEVEL, mtime=0)
    return Response(response.status, body, response.content_type, headers, response.close)
