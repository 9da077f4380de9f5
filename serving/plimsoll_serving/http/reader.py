"""From bytes to requests: httptools callbacks with every limit applied as the bytes arrive."""

from collections import deque
from collections.abc import Callable

import httptools

from plimsoll_serving.http.heads import END, KnownHeads
from plimsoll_serving.http.limits import Budget, Limits
from plimsoll_serving.http.message import Header, Request, Response, error_response


class RequestReader:
    """Turns a byte stream into a queue of complete requests.

    A fault of the stream (too large, not HTTP) becomes a Response at its place in the queue, after which nothing
    more is read: the answers of the requests before it keep their order.
    """

    def __init__(
        self, limits: Limits, budget: Budget, on_expect: Callable[[], None], heads: KnownHeads | None = None
    ) -> None:
        self._limits = limits
        self._budget = budget
        self._heads = heads or KnownHeads()
        self._on_expect = on_expect
        self._parser = httptools.HttpRequestParser(self)
        self.ready: deque[Request | Response] = deque()
        self.in_message = False
        self.messages = 0
        self.broken = False
        self._in_head = False
        self._new_head: bytes | None = None
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: list[Header] = []
        self._chunks: list[bytes] = []
        self._head_bytes = self._fed_bytes = 0
        self._body_bytes = 0

    def feed(self, data: bytes) -> None:
        """Parse bytes; complete requests are appended to ``ready``."""
        if self.broken:
            return
        before, idle = self.messages, not self.in_message
        if idle:
            data = self._take_known(data)
            if not data:
                return
        self._new_head = data if idle else None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The request before the switch is complete and is answered as plain HTTP/1.1; the rest is not ours.
            self._stop_after_upgrade()
        except httptools.HttpParserError as error:
            self.fail(400, f"the request is not valid HTTP/1.1: {error}")
        if self._in_head and not self.broken:
            # The parser keeps an unfinished header to itself: what it was fed is the bound then. Where earlier messages
            # came in the same bytes it does not tell their part, so the count begins with the next bytes.
            begun = self.messages - before
            if begun == 0 or (begun == 1 and idle):
                self._fed_bytes += len(data)
            self._check_head(self._fed_bytes)

    def _take_known(self, data: bytes) -> bytes:
        """Queue the complete requests at the start of ``data`` whose heads are known; what is left of it."""
        while data:
            end = data.find(END) + len(END)
            head = self._heads.get(data[:end])
            if head is None or len(data) < end + head.length or not self._budget.take(head.length):
                break
            stop = end + head.length
            self.ready.append(head.request(data[end:stop]))
            self.messages += 1
            data = data[stop:]
        return data

    def fail(self, status: int, message: str) -> None:
        """End the stream with an error answer."""
        if self.broken:
            return
        self.broken = True
        self.release()
        response = error_response(status, message)
        response.close = True
        self.ready.append(response)

    def release(self) -> None:
        """Give back what the incomplete message holds."""
        self._budget.give_back(self._body_bytes)
        self.in_message = self._in_head = False
        self._reset()

    def _stop_after_upgrade(self) -> None:
        self.broken = True
        if self.ready and isinstance(self.ready[-1], Request):
            self.ready[-1].keep_alive = False

    def _check_head(self, size: int) -> None:
        if size > self._limits.header_bytes:
            self.fail(431, f"the request line and headers exceed {self._limits.header_bytes} bytes")

    # Callbacks of httptools.

    def on_message_begin(self) -> None:
        if not self.broken:
            self._reset()
            self.in_message = self._in_head = True
            self.messages += 1

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._head_bytes += len(url)
        self._check_head(self._head_bytes)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.broken:
            return
        self._headers.append((name.lower(), value))
        self._head_bytes += len(name) + len(value) + 4
        self._check_head(self._head_bytes)

    def on_headers_complete(self) -> None:
        if self.broken:
            return
        self._in_head = False
        headers = dict(self._headers)
        if int(headers.get(b"content-length", 0)) > self._limits.body_bytes:
            self._too_large()
        elif b"expect" in headers:
            self._expect(headers[b"expect"])

    def _expect(self, value: bytes) -> None:
        if value.lower() == b"100-continue":
            self._on_expect()
        else:
            self.fail(417, f"expect: {value.decode('latin-1')} is not supported; only 100-continue is")

    def _too_large(self) -> None:
        self.fail(413, f"the body exceeds {self._limits.body_bytes} bytes")

    def on_body(self, body: bytes) -> None:
        if self.broken:
            return
        if self._body_bytes + len(body) > self._limits.body_bytes:
            self._too_large()
        elif not self._budget.take(len(body), held=self._body_bytes):
            self.fail(503, "the server holds too many request bytes at the moment; try again")
        else:
            self._body_bytes += len(body)
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        if self.broken:
            return
        parser = self._parser
        path, query = split_target(self._url)
        request = Request(
            method=parser.get_method().decode(),
            path=path,
            query=query,
            headers=self._headers,
            body=b"".join(self._chunks),
            keep_alive=parser.should_keep_alive(),
        )
        request.http10 = parser.get_http_version() == "1.0"
        self.ready.append(request)
        if self._new_head is not None:
            self._heads.learn(self._new_head, request)
            self._new_head = None
        self.in_message = False
        self._reset()


def split_target(target: bytes) -> tuple[str, str]:
    """Path and query of a request target, also in absolute form (``http://host/path?query``)."""
    text = target.decode("latin-1")
    if not text.startswith("/") and "://" in text:
        text = "/" + text.split("://", 1)[1].partition("/")[2]
    path, _, query = text.partition("?")
    return path, query
