"""From bytes to requests: httptools callbacks with every limit applied as the bytes arrive."""

from collections.abc import Callable

import httptools

from plimsoll_serving.http.heads import END, Head, KnownHeads
from plimsoll_serving.http.limits import Budget, Limits
from plimsoll_serving.http.message import Header, Request, Response, error_response, split_target


class RequestReader:
    """Turns a byte stream into a queue of complete requests.

    A fault of the stream (too large, not HTTP) becomes a Response at its place in the queue, after which nothing
    more is read: the answers of the requests before it keep their order.

    Attributes:
        expecting: nobody has asked yet for the body of the message under way, which waits for it.
    """

    def __init__(
        self, limits: Limits, budget: Budget, on_expect: Callable[[], None], heads: KnownHeads | None = None
    ) -> None:
        self._limits = limits
        self._budget = budget
        self._heads = heads or KnownHeads()
        self._on_expect = on_expect
        self._parser = httptools.HttpRequestParser(self)
        self.ready: list[Request | Response] = []
        self.in_message = False
        self.messages = 0
        self.broken = False
        self._in_head = False
        self._new_head: bytes | None = None
        self._declined: bytes | None = None
        self._last: Head | None = None
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: list[Header] = []
        self._chunks: list[bytes] = []
        self._head_bytes = self._fed_bytes = 0
        self._body_bytes = self._hosts = 0
        self.expecting = False

    def feed(self, data: bytes) -> None:
        """Parse bytes; complete requests are appended to ``ready``."""
        if self.broken:
            return
        idle = not self.in_message
        if idle:
            data = self._take_known(data)
            if not data:
                return
        before, body, in_head = self.messages, self._body_bytes, self._in_head
        self._new_head = data if idle else None
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            self.fail(400, self._why_invalid(error))
        if not self.in_message:
            return
        # The parser keeps an unfinished line to itself: what it was fed is the bound then. Where something else ended
        # in the same bytes it does not tell their part, so the count begins with the next bytes.
        begun = self.messages - before
        if self._in_head:
            if begun == 0 or (begun == 1 and idle):
                self._fed_bytes += len(data)
            self._check_head(self._fed_bytes)
        elif begun or in_head or self._body_bytes != body:
            self._fed_bytes = 0
        else:
            self._fed_bytes += len(data)
            if self._fed_bytes > self._limits.header_bytes:
                self.fail(431, f"trailers or a chunk's extensions exceed {self._limits.header_bytes} bytes")

    def _parse(self, data: bytes) -> None:
        """Feed the parser. It stops at the head that offers another protocol, body or not; the offer is declined
        (RFC 9110, section 7.8): another parser reads the head without it, and goes on.
        """
        left = memoryview(data)
        while left:
            try:
                self._parser.feed_data(left)
                return
            except httptools.HttpParserUpgrade as stop:
                left = left[stop.args[0] :]
            if self._declined is None:
                self._stop_after_connect()
                return
            head, self._declined = self._declined, None
            self._parser = httptools.HttpRequestParser(self)
            self._parser.feed_data(head)

    def _take_known(self, data: bytes) -> bytes:
        """Queue the complete requests at the start of ``data`` whose heads are known; what is left of it."""
        start, size = 0, len(data)
        while start < size:
            head = self._last  # most often it is the one before
            if head is None or not data.startswith(head.data, start):
                found = data.find(END, start)
                head = self._heads.get(data[start : found + len(END)]) if found >= 0 else None
                if head is None:
                    break
                self._last = head
            end = start + len(head.data)
            stop = end + head.length
            if stop > size or not self._budget.take(head.length):
                break
            self.ready.append(head.request(data[end:stop]))
            self.messages += 1
            start = stop
        return data[start:] if start else data

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

    def _stop_after_connect(self) -> None:
        """The request is answered; what follows it would be of another protocol."""
        self.broken = True
        if self.ready and isinstance(self.ready[-1], Request):
            self.ready[-1].keep_alive = False

    def _why_invalid(self, error: Exception) -> str:
        if self._parser.get_method() == b"PRI":
            return "this port speaks HTTP/1.1; HTTP/2, as gRPC is sent, is spoken on the port of gRPC (8081 of a pod)"
        return f"the request is not valid HTTP/1.1: {error}"

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
        if self._in_head:  # trailers are none: RFC 9110, section 6.5.1
            name = name.lower()
            self._headers.append((name, value))
            self._hosts += name == b"host"
        self._head_bytes += len(name) + len(value) + 4
        self._check_head(self._head_bytes)

    def on_headers_complete(self) -> None:
        if self.broken:
            return
        parser = self._parser
        if parser.should_upgrade() and parser.get_method() != b"CONNECT":
            self._declined = self._without_upgrade()
            return
        self._in_head = False
        headers, old = dict(self._headers), parser.get_http_version() < "1.1"
        if self._hosts != 1 and not (old and self._hosts == 0):
            self.fail(400, f"the request has {self._hosts} Host headers; HTTP/1.1 asks for exactly one")
        elif old and b"transfer-encoding" in headers:
            self.fail(400, "transfer-encoding is not of HTTP/1.0; send content-length")
        elif int(headers.get(b"content-length", 0)) > self._limits.body_bytes:
            self._too_large()
        elif b"expect" in headers and not old:
            self._expect(headers[b"expect"])

    def _without_upgrade(self) -> bytes:
        """The head that was read, but for the offer of another protocol."""
        parser = self._parser
        lines = [b"%b %b HTTP/%b" % (parser.get_method(), self._url, parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self._headers if header[0] != b"upgrade"]
        return b"\r\n".join(lines) + END

    def _expect(self, value: bytes) -> None:
        if value.lower() == b"100-continue":
            self.expecting = True
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
        if self._declined is not None:
            self.messages -= 1
            self._new_head = None
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
