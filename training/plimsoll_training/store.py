"""The artifact store: S3, path style, configured by the environment that `plimsoll-store` gives."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import IO

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from plimsoll_training.errors import ObjectMissingError, StoreError, UserError

SECRET_VARIABLES = ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN")


@dataclass(frozen=True)
class Stored:
    """An object that is surely in the store now; `created` says whether this call put it there."""

    sha256: str
    created: bool


class Store:
    """One bucket. Transport errors and 5xx are retried with backoff for a minute; then StoreError."""

    def __init__(self, bucket: str, environment: Mapping[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        self.bucket = bucket
        self._secrets = [given[name] for name in SECRET_VARIABLES if given.get(name)]
        self._store = S3Store(
            bucket,
            endpoint=given.get("AWS_ENDPOINT_URL"),
            region=given.get("AWS_REGION", "us-east-1"),
            access_key_id=given.get("AWS_ACCESS_KEY_ID"),
            secret_access_key=given.get("AWS_SECRET_ACCESS_KEY"),
            virtual_hosted_style_request=False,
            client_options={"allow_http": True, "timeout": timedelta(seconds=60)},
            retry_config={"max_retries": 8, "retry_timeout": timedelta(seconds=60)},
        )

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def get(self, key: str) -> bytes:
        """The whole object. ObjectMissingError, StoreError."""
        return b"".join(self.stream(key))

    def stream(self, key: str) -> Iterator[bytes]:
        """The object in chunks, so that a reader may stop at a limit. ObjectMissingError, StoreError."""
        with self._faults("read", key):
            for chunk in obstore.get(self._store, key).stream():
                yield bytes(chunk)

    def put(self, key: str, content: bytes | IO[bytes]) -> None:
        """Write, over what may be there already."""
        with self._faults("write", key):
            obstore.put(self._store, key, content)

    def put_if_absent(self, key: str, content: bytes) -> Stored:
        """Write unless the key exists; what exists stays, and its digest is answered."""
        with self._faults("write", key):
            try:
                obstore.put(self._store, key, content, mode="create")
            except AlreadyExistsError:
                # A retry after a lost answer finds our own bytes here: also success.
                return Stored(self._digest(key), created=False)
        return Stored(hashlib.sha256(content).hexdigest(), created=True)

    def _digest(self, key: str) -> str:
        digest = hashlib.sha256()
        for chunk in self.stream(key):
            digest.update(chunk)
        return digest.hexdigest()

    @contextmanager
    def _faults(self, verb: str, key: str) -> Iterator[None]:
        try:
            yield
        except (NotFoundError, FileNotFoundError):
            raise ObjectMissingError(f"{self.uri(key)} does not exist") from None
        except (PermissionDeniedError, UnauthenticatedError):
            raise StoreError(
                f"cannot {verb} {self.uri(key)}: the store refuses the credentials; "
                "look at the Secret plimsoll-store of this namespace, and at whose bucket it is"
            ) from None
        except (BaseError, OSError) as error:
            raise StoreError(f"cannot {verb} {self.uri(key)}: {self._redacted(error)}") from None

    def _redacted(self, error: Exception) -> str:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:300]


def own_store(environment: Mapping[str, str] | None = None) -> Store:
    """The bucket of this namespace, `PLIMSOLL_BUCKET`."""
    given = os.environ if environment is None else environment
    bucket = given.get("PLIMSOLL_BUCKET")
    if not bucket:
        raise UserError("PLIMSOLL_BUCKET is not set: mount the Secret plimsoll-store as environment")
    return Store(bucket, given)


def split_s3_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/key` to (bucket, key). UserError when either is missing."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise UserError(f"{uri} is not of the form s3://bucket/key")
    return bucket, key
