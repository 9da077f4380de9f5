"""Requests to addresses that users name, on their behalf: whom the operator asks, with whose credentials, how long.

A user may have it ask the Services of the user's own namespace, and what the install lists. Names that lead to the
machine itself or to link-local addresses (where clouds keep credentials) are refused after they are resolved, so that
no change of DNS in between helps. Redirects are not followed, answers are bounded, and what was answered is never part
of an error: else users could read with the operator's eyes.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from plimsoll.edge.hosts import Forbidden, Guarded, forbidden
from plimsoll.facts import Endpoint, Manifest, Ref, Settings
from plimsoll.failures import Refused, Unavailable
from plimsoll.names import LABEL_ALLOW

LONGEST: Final = 4 << 20

Read = Callable[[Ref], Awaitable[Manifest | None]]


class Unanswered(Exception):
    """No usable answer. `kind` is down, slow or refused; the message is a sentence with the remedy."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files with the token and the CA of the install's own address; both are read each time, for they are rotated."""

    token_file: str = ""
    authority_file: str = ""


@dataclass(frozen=True, slots=True)
class Bound:
    """The most bytes of an answer, and what makes it shorter."""

    longest: int = LONGEST
    remedy: str = "let it answer with less"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: `query` after the path, or `body` as JSON by POST."""

    path: str = ""
    query: tuple[tuple[str, str], ...] = ()
    form: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    bound: Bound = Bound()


class Outward:
    """`read` gives an object of the API server as it is now."""

    def __init__(self, read: Read, settings: Settings, credentials: Credentials | None = None) -> None:
        self._read = read
        self._settings = settings
        self._credentials = credentials or Credentials()
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, endpoint: Endpoint, message: Message) -> tuple[int, bytes]:
        """Status and body. Raises Unanswered."""
        if not endpoint.install and (why := forbidden(endpoint, self._settings)):
            raise Unanswered("refused", why)
        try:
            return await asyncio.wait_for(self._sent(endpoint, message), endpoint.timeout)
        except TimeoutError as error:
            raise Unanswered("slow", f"{endpoint.url} did not answer within {endpoint.timeout:g} s") from error
        except Forbidden as error:
            raise Unanswered("refused", f"{endpoint.url}: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error.__cause__, Forbidden):
                raise Unanswered("refused", f"{endpoint.url}: {error.__cause__}") from error
            why = getattr(error, "strerror", None) or type(error).__name__
            raise Unanswered("down", f"{endpoint.url} did not answer ({why}); check that it runs") from error

    async def _sent(self, endpoint: Endpoint, message: Message) -> tuple[int, bytes]:
        headers = {**message.headers, **await self._authorization(endpoint)}
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=Guarded(), use_dns_cache=False, limit=64)
            self._session = aiohttp.ClientSession(connector=connector, trust_env=False)
        post = message.body is not None or bool(message.form)
        async with self._session.request(
            "POST" if post else "GET",
            endpoint.url.rstrip("/") + message.path,
            params=list(message.query),
            data=list(message.form) or None,
            json=message.body,
            headers=headers,
            ssl=await self._trust(endpoint),
            allow_redirects=False,
        ) as response:
            if 300 <= response.status < 400:
                raise Unanswered(
                    "refused", f"{endpoint.url} redirects (HTTP {response.status}); give the address itself"
                )
            if response.status in (401, 403):
                raise Unanswered(
                    "refused",
                    f"{endpoint.url} does not accept the credentials (HTTP {response.status}); check the token",
                )
            return response.status, await _bounded(response, endpoint, message.bound)

    async def _authorization(self, endpoint: Endpoint) -> Mapping[str, str]:
        if endpoint.install:
            token = await _file(self._credentials.token_file)
        else:
            token = await self._secret(endpoint, *endpoint.token) if endpoint.token else ""
        return {"Authorization": f"Bearer {token.strip()}"} if token else {}

    async def _secret(self, endpoint: Endpoint, name: str, key: str) -> str:
        found = await self._object(Ref("v1", "Secret", endpoint.namespace, name))
        if (found["metadata"].get("labels") or {}).get(LABEL_ALLOW) != "true":
            raise Unanswered("refused", f'Secret {name} must carry the label {LABEL_ALLOW}: "true"')
        try:
            return base64.b64decode((found.get("data") or {})[key], validate=True).decode("ascii")
        except (KeyError, binascii.Error, UnicodeDecodeError):
            raise Unanswered(
                "refused", f"Secret {name} needs a token of plain characters under the key {key}"
            ) from None

    async def _object(self, ref: Ref) -> Manifest:
        try:
            found = await self._read(ref)
        except Refused:
            what = f"{ref.kind} {ref.name}"
            remedy = "grant its ServiceAccount `get` on this name by a Role of the namespace"
            raise Unanswered("refused", f"the operator may not read {what}: {remedy}") from None
        except Unavailable as error:
            raise Unanswered("down", f"{ref.kind} {ref.name} could not be read: {error}") from error
        if found is None:
            raise Unanswered("refused", f"{ref.kind} {ref.name} is not there: create it")
        return found

    async def _trust(self, endpoint: Endpoint) -> ssl.SSLContext | bool:
        if not endpoint.url.startswith("https://"):
            return True
        if endpoint.install:
            text = await _file(self._credentials.authority_file)
        elif endpoint.authority:
            name, key = endpoint.authority
            found = await self._object(Ref("v1", "ConfigMap", endpoint.namespace, name))
            text = (found.get("data") or {}).get(key, "")
        else:
            return True
        if not text and endpoint.install:
            return True
        try:
            return await asyncio.to_thread(lambda: ssl.create_default_context(cadata=text))
        except (ssl.SSLError, ValueError):
            what = "/".join(endpoint.authority or (self._credentials.authority_file,))
            raise Unanswered("refused", f"{what} holds no certificates in PEM") from None


async def _file(path: str) -> str:
    """A mounted file; nothing without a path."""
    try:
        return await asyncio.to_thread(Path(path).read_text) if path else ""
    except OSError as error:
        raise Unanswered("refused", f"{path} of the install cannot be read ({error.strerror})") from error


async def _bounded(response: aiohttp.ClientResponse, endpoint: Endpoint, bound: Bound) -> bytes:
    body = b""
    async for chunk in response.content.iter_chunked(65536):
        body += chunk
        if len(body) > bound.longest:
            most = f"the {bound.longest:,} bytes that it may have"
            raise Unanswered("refused", f"the answer of {endpoint.url} is longer than {most}; {bound.remedy}")
    return body


def document(body: bytes) -> Any:
    """JSON, or None for what is none."""
    try:
        return json.loads(body)
    except ValueError:
        return None
