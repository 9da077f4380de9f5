"""ports.Signer: Ed25519 with the operator's own key, from a Secret of its namespace; it never leaves the process.

What is signed is `plimsoll/model/sha256:{digest}`, so that a signature of this key means nothing elsewhere.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from plimsoll.edge.resources import SECRET
from plimsoll.edge.rest import Api, ApiError, Request

SIGNING_SECRET: Final = "plimsoll-signing-key"  # noqa: S105 - the name of a Secret
_FIELD: Final = "ed25519"


class SigningKeyError(Exception):
    """The Secret does not hold a key."""


class Ed25519Signer:
    """Vouches for digests. `seed` is the 32 bytes of the private key."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.name = f"ed25519:{sha256(public).hexdigest()[:32]}"

    def sign(self, digest: str) -> Mapping[str, str]:
        """`{"signedBy", "signature"}` for a model's SHA-256."""
        return {"signedBy": self.name, "signature": base64.b64encode(self._key.sign(_statement(digest))).decode()}

    def verify(self, digest: str, provenance: Mapping[str, str]) -> bool:
        """Whether `provenance` is our signature of `digest`."""
        if provenance.get("signedBy") != self.name:
            return False
        try:
            signature = base64.b64decode(provenance.get("signature", ""), validate=True)
            self._key.public_key().verify(signature, _statement(digest))
        except (binascii.Error, InvalidSignature):
            return False
        return True


def _statement(digest: str) -> bytes:
    return f"plimsoll/model/sha256:{digest}".encode()


async def load_signer(api: Api, namespace: str) -> Ed25519Signer:
    """The signer with the namespace's key, made at the first start. Raises SigningKeyError, ApiError or Unavailable."""
    secret = await _read(api, namespace)
    if secret is None:
        seed = Ed25519PrivateKey.generate().private_bytes_raw()
        body = {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.kind,
            "metadata": {"name": SIGNING_SECRET, "namespace": namespace},
            "type": "Opaque",
            "data": {_FIELD: base64.b64encode(seed).decode()},
        }
        try:
            await api.call(Request("POST", SECRET.path(namespace), SECRET.plural, body))
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        secret = await _read(api, namespace)
    try:
        return Ed25519Signer(base64.b64decode((secret or {})[_FIELD], validate=True))
    except (KeyError, ValueError) as error:
        where = f"Secret {namespace}/{SIGNING_SECRET}"
        raise SigningKeyError(f"{where}: its field {_FIELD} must hold 32 bytes; delete it to get a new key") from error


async def _read(api: Api, namespace: str) -> Mapping[str, str] | None:
    try:
        secret = await api.call(Request("GET", SECRET.path(namespace, SIGNING_SECRET), SECRET.plural))
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    return secret.get("data") or {}
