"""ports.Store: the S3 store, one bucket a namespace, read and written with the store's own root credentials.

With a managed store the bucket, a user bounded to it and the Secrets for the pods are made here; with an external one
they are the users'. What a namespace needs besides (its ServiceAccounts) is made in either mode.
"""

from __future__ import annotations

import base64
import hmac
import re
import time
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import S3Store

from plimsoll import names
from plimsoll.edge.resources import SECRET, SERVICE_ACCOUNT, Resource
from plimsoll.edge.rest import Api, ApiError, Json, Request
from plimsoll.edge.store_admin import StoreAdmin
from plimsoll.facts import Ref
from plimsoll.failures import Refused, Unavailable

#: For how many seconds a namespace is taken as ready; then it may have been deleted and made again.
_REMEMBERED: Final = 60.0
_TIMINGS: Final = re.compile(r" in [0-9.]+[mµn]?s(, after \d+ retries[^-]*?)?(?= +-)")
#: The largest object that the operator reads.
LARGEST: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the store is and how the operator logs in. `endpoint` is for the operator, `public_endpoint` for pods."""

    endpoint: str
    public_endpoint: str
    admin_endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    managed: bool = True


class S3:
    """ports.Store. `admin` is None for a store of the user's."""

    def __init__(self, settings: StoreSettings, api: Api, admin: StoreAdmin | None) -> None:
        self._settings = settings
        self._api = api
        self._admin = admin
        self._ensured: dict[str, float] = {}
        self._buckets: dict[str, S3Store] = {}

    async def ensure_namespace(self, namespace: str) -> None:
        """Bucket, bounded credentials, the Secret and the ServiceAccounts; idempotent, and two operators may race.

        Raises Refused or Unavailable.
        """
        if time.monotonic() - self._ensured.get(namespace, float("-inf")) < _REMEMBERED:
            return
        bucket, key = names.bucket(namespace), self._derived("plimsoll-store", namespace)
        if self._admin is not None:
            await self._admin.create_user(bucket, key)
            await self._admin.create_bucket(bucket, owner=bucket)
            await self._create(SECRET, self._secret(namespace, bucket, key))
            await self._create(SECRET, self._feedback_secret(namespace))
        for account in names.SERVICE_ACCOUNTS.values():
            await self._create(SERVICE_ACCOUNT, _service_account(namespace, account))
        self._ensured[namespace] = time.monotonic()

    async def read(self, namespace: str, key: str) -> bytes | None:
        """A small object (≤ 4 MiB), None when there is none. Raises Unavailable."""
        try:
            found = await self._bucket(namespace).get_async(key)
            size = found.meta["size"]
            if size > LARGEST:
                raise Unavailable(f"store: {key} has {size} bytes, more than the {LARGEST} that are read")
            return bytes(await found.bytes_async())
        except (NotFoundError, FileNotFoundError):
            return None
        except (BaseError, OSError) as error:
            raise Unavailable(f"store: {key} was not read: {_short(error)}") from error

    async def put_if_absent(self, namespace: str, key: str, body: bytes) -> bool:
        """True when this call wrote it, False when it was there. Raises Unavailable."""
        try:
            await self._bucket(namespace).put_async(key, body, mode="create")
        except AlreadyExistsError:
            return False
        except (BaseError, OSError) as error:
            raise Unavailable(f"store: {key} was not written: {_short(error)}") from error
        return True

    def _bucket(self, namespace: str) -> Any:
        bucket = names.bucket(namespace)
        if bucket not in self._buckets:
            self._buckets[bucket] = S3Store(
                bucket,
                endpoint=self._settings.endpoint,
                region=self._settings.region,
                access_key_id=self._settings.access_key_id,
                secret_access_key=self._settings.secret_access_key,
                virtual_hosted_style_request=False,
                client_options={"allow_http": True, "timeout": "10s", "connect_timeout": "3s"},
                retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=5)},
            )
        return self._buckets[bucket]

    def _derived(self, purpose: str, namespace: str) -> str:
        """A key of the namespace, from the root key: the same at every start, and no Secret need be read for it."""
        root = self._settings.secret_access_key.encode()
        return hmac.new(root, f"{purpose}/{namespace}".encode(), sha256).hexdigest()

    def _secret(self, namespace: str, user: str, key: str) -> Json:
        content = {
            "AWS_ENDPOINT_URL": self._settings.public_endpoint,
            "AWS_REGION": self._settings.region,
            "AWS_ACCESS_KEY_ID": user,
            "AWS_SECRET_ACCESS_KEY": key,
            "PLIMSOLL_BUCKET": names.bucket(namespace),
        }
        return _opaque(namespace, names.STORE_SECRET, content)

    def _feedback_secret(self, namespace: str) -> Json:
        """What the namespace's server pods sign prediction ids with."""
        key = self._derived(names.FEEDBACK_SECRET, namespace)
        return _opaque(namespace, names.FEEDBACK_SECRET, {names.FEEDBACK_KEY: key})

    async def _create(self, resource: Resource, manifest: Json) -> None:
        namespace = manifest["metadata"]["namespace"]
        try:
            await self._api.call(Request("POST", resource.path(namespace), resource.plural, manifest))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise Refused(Ref.of(manifest), str(error)) from error


def _short(error: Exception) -> str:
    """The first line of the library's report, without its timings: they would be another condition at each try."""
    line = (str(error).splitlines() or [type(error).__name__])[0].strip()
    return re.sub(r" +", " ", _TIMINGS.sub("", line))[:300]


def _manifest(resource: Resource, namespace: str, name: str) -> Json:
    labels = {key: value for key, value in names.labels("store").items() if key != names.LABEL_COMPONENT}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def _opaque(namespace: str, name: str, content: dict[str, str]) -> Json:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
    return _manifest(SECRET, namespace, name) | {"type": "Opaque", "data": data}


def _service_account(namespace: str, name: str) -> Json:
    return _manifest(SERVICE_ACCOUNT, namespace, name) | {"automountServiceAccountToken": False}
