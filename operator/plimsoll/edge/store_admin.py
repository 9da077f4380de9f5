"""Users and buckets of the managed store: the admin API of versitygw 1.8, signed with AWS Signature Version 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from xml.sax.saxutils import escape

import aiohttp
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from plimsoll.failures import Unavailable

_THERE: Final = {
    "create-user": ("XAdminUserExists",),
    "create-bucket": ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"),
}


class StoreAdmin:
    """`credentials` are the root user's key id and secret key."""

    def __init__(self, endpoint: str, region: str, credentials: tuple[str, str], timeout: float = 10.0) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._region = region
        self._credentials = Credentials(*credentials)
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def create_user(self, user: str, key: str) -> None:
        """A user with the role `user`: it may use the buckets that it owns and make none. Raises Unavailable."""
        body = f"<Account><Access>{escape(user)}</Access><Secret>{escape(key)}</Secret><Role>user</Role></Account>"
        await self._patch("create-user", "/create-user", body)

    async def create_bucket(self, bucket: str, owner: str) -> None:
        """A bucket that belongs to `owner`. Raises Unavailable."""
        await self._patch("create-bucket", f"/{bucket}/create", "", {"x-vgw-owner": owner})

    async def _patch(self, what: str, path: str, body: str, headers: Mapping[str, str] | None = None) -> None:
        request = AWSRequest("PATCH", self._endpoint + path, headers=dict(headers or {}), data=body.encode())
        S3SigV4Auth(self._credentials, "s3", self._region).add_auth(request)
        signed = dict(request.headers.items())
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout, skip_auto_headers=("Content-Type",)) as session,
                session.patch(request.url, data=body.encode(), headers=signed) as response,
            ):
                said = await response.text()
                if response.status < 300 or any(f"<Code>{code}</Code>" in said for code in _THERE[what]):
                    return
                raise Unavailable(f"store: {what}: HTTP {response.status}: {said[:300]}")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"store: {what}: {str(error) or 'no answer in time'}") from error
