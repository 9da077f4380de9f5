"""Where events go: a file, an HTTP endpoint, or objects of a store. Used by the log's own thread only."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import SplitResult, urlsplit

from plimsoll_serving.errors import SettingsError
from plimsoll_serving.payload.options import PayloadOptions
from plimsoll_serving.settings import Environment, Identity

# The clients of HTTP and of a store are loaded only where they are asked for.
if TYPE_CHECKING:
    from http.client import HTTPConnection

TIMEOUT_SECONDS = 5.0
NEWLINE = b"\n"
KEYS = ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class SinkError(Exception):
    """The events were not taken; the message says what the sink said."""


class Sink(Protocol):
    """Takes batches of events.

    ``most`` is how many events one batch may have, ``linger`` for how many seconds the first of them waits for others.
    """

    most: int
    linger: float

    def write(self, events: list[bytes]) -> None:
        """Raises SinkError or OSError, and then none of them counts as written."""
        ...


class FileSink:
    """JSON lines in a file. Beyond its bound it becomes ``{name}.1``, and the one that was so called is gone."""

    most = 200
    linger = 0.2

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._path = path
        self._most_bytes = most_bytes

    def write(self, events: list[bytes]) -> None:
        lines = NEWLINE.join(events) + NEWLINE
        if self._path.exists() and self._path.stat().st_size + len(lines) > self._most_bytes:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        with self._path.open("ab") as file:
            file.write(lines)


class HttpSink:
    """POST over a kept connection: an event at a time (structured mode), or several in batched content mode.

    Source: HTTP Protocol Binding for CloudEvents 1.0, sections 3.2 and 3.3.
    """

    linger = 0.2

    def __init__(self, url: SplitResult, most: int) -> None:
        from http.client import HTTPConnection, HTTPException, HTTPSConnection

        self.most = most
        self._url = url
        self._kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
        self._error: type[Exception] = HTTPException
        self._target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        self._connection: HTTPConnection | None = None

    def write(self, events: list[bytes]) -> None:
        if self.most == 1:
            body, kind = events[0], "application/cloudevents+json; charset=utf-8"
        else:
            body, kind = b"[" + b",".join(events) + b"]", "application/cloudevents-batch+json; charset=utf-8"
        connection = self._connection or self._connect()
        self._connection = None
        try:
            connection.request("POST", self._target, body, {"content-type": kind})
            answer = connection.getresponse()
            answer.read(65536)
        except self._error as error:
            connection.close()
            raise SinkError(f"the sink does not speak HTTP: {type(error).__name__} {error}") from None
        except OSError:
            connection.close()
            raise
        if answer.status >= 300:
            connection.close()
            raise SinkError(f"the sink answers {answer.status} {answer.reason}")
        if answer.isclosed():
            self._connection = connection
        else:
            connection.close()

    def _connect(self) -> "HTTPConnection":
        return self._kind(self._url.hostname or "", self._url.port, timeout=TIMEOUT_SECONDS)


class StoreSink:
    """JSON lines in objects of a store, one object a batch, named by time, pod and number."""

    most = 2000
    linger = 10.0

    def __init__(self, options: PayloadOptions, identity: Identity) -> None:
        from obstore.exceptions import BaseError

        from plimsoll_serving.fetch import open_store

        _require_usable(os.environ)
        uri = f"{options.sink.rstrip('/')}/{identity.namespace}/{identity.service}"
        try:
            self._store, self._prefix = open_store(uri, Environment(os.environ), TIMEOUT_SECONDS, options.ca)
        except (BaseError, ValueError) as error:
            raise SettingsError(
                f"PLIMSOLL_PAYLOAD_LOG_SINK {options.sink} cannot be opened; look at AWS_… and PLIMSOLL_PAYLOAD_LOG_CA "
                f"(ca.crt of the Secret plimsoll-payload-log): {_told(error)}"
            ) from None
        self._pod = identity.pod
        self._number = 0

    def write(self, events: list[bytes]) -> None:
        import obstore

        self._number += 1
        stamp = time.strftime("%Y/%m/%d/%H%M%S", time.gmtime())
        key = f"{self._prefix}/{stamp}-{self._pod}-{self._number:06d}.jsonl"
        try:
            obstore.put(self._store, key, NEWLINE.join(events) + NEWLINE)
        except BaseException as error:  # a panic of the library's is no Exception, and would end the log's thread
            raise SinkError(_told(error)) from None


def _require_usable(env: Mapping[str, str]) -> None:
    """Raises SettingsError for what the store's client would fail on with each request, and show no value: it may be a
    key, most often with the line break of the file that it came from."""
    for name in KEYS:
        said = env.get(name, "")
        if not (said.isascii() and said.isprintable()):
            raise SettingsError(f"{name} (of the Secret plimsoll-payload-log) has a line break, or what is not ASCII")
    address = env.get("AWS_ENDPOINT_URL") or "http://"
    if not address.startswith(("http://", "https://")) or not address.isprintable():
        raise SettingsError("AWS_ENDPOINT_URL (of the Secret plimsoll-payload-log) must be http(s)://host:port")


def _told(error: BaseException) -> str:
    return (str(error).splitlines() or ["the store refuses"])[0][:300]


def open_sink(options: PayloadOptions, identity: Identity) -> Sink:
    """The sink of the settings. Raises SettingsError."""
    parts = urlsplit(options.sink)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return FileSink(Path(parts.path), options.file_bytes)
    if parts.scheme in ("http", "https") and parts.hostname and parts.username is None:
        return HttpSink(parts, options.http_batch)
    if parts.scheme == "s3" and parts.netloc:
        return StoreSink(options, identity)
    raise SettingsError(
        f"PLIMSOLL_PAYLOAD_LOG_SINK is {options.sink!r}, not file:///path, http(s)://host/path (without a password) "
        "or s3://bucket/prefix"
    )
