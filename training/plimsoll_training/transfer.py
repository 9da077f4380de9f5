"""Bytes from a URI: `s3://` with the credentials of the namespace, `https://` without any."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

from plimsoll_training.errors import ObjectMissingError, StoreError, UserError
from plimsoll_training.store import Store, split_s3_uri

CHUNK_BYTES = 1 << 20
ATTEMPTS = 4
TIMEOUT_SECONDS = 60


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects, except those that leave TLS."""

    def redirect_request(self, *arguments: Any) -> Any:
        location = str(arguments[-1])
        if not location.startswith("https://"):
            raise UserError(f"the server redirects to {location}, which is not https")
        return super().redirect_request(*arguments)


def chunks_of(uri: str) -> Iterator[bytes]:
    """The bytes behind `uri`, in chunks. UserError for other schemes; ObjectMissingError, StoreError."""
    if uri.startswith("s3://"):
        bucket, key = split_s3_uri(uri)
        return Store(bucket).stream(key)
    if uri.startswith("https://"):
        return _https_chunks(uri)
    raise UserError(f"{uri}: the scheme must be s3:// or https://")


def _https_chunks(uri: str) -> Iterator[bytes]:
    with _open(uri) as response:
        while chunk := response.read(CHUNK_BYTES):
            yield chunk


def _open(uri: str) -> Any:
    opener = urllib.request.build_opener(_HttpsOnly())
    for attempt in range(ATTEMPTS):
        try:
            return opener.open(uri, timeout=TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            if error.code in (404, 410):
                raise ObjectMissingError(f"{uri} does not exist (HTTP {error.code})") from None
            if error.code < 500 and error.code != 429:
                raise UserError(f"{uri} answered HTTP {error.code}: it must be readable without credentials") from None
            failure = f"HTTP {error.code}"
        except (urllib.error.URLError, OSError) as error:
            failure = str(getattr(error, "reason", error))
        if attempt + 1 < ATTEMPTS:
            time.sleep(2.0**attempt)
    raise StoreError(f"cannot read {uri}: {failure}, {ATTEMPTS} times")
