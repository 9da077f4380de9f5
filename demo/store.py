"""Speaking to the chart's S3 store as a user of a namespace does: with that namespace's own credentials."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import obstore
from obstore.store import S3Store

from demo.install import SYSTEM
from demo.shell import Kubernetes, Stop


@contextlib.contextmanager
def bucket(kubernetes: Kubernetes, namespace: str) -> Iterator[S3Store]:
    """The bucket of a namespace, through a port-forward."""
    secret = kubernetes.get("secret", "plimsoll-store", namespace).get("data")
    if not secret:
        raise Stop(
            f"the Secret plimsoll-store of the namespace {namespace} is missing: "
            "the operator makes it with the first TrainingJob"
        )
    values = {key: base64.b64decode(value).decode() for key, value in secret.items()}
    with kubernetes.port_forward(SYSTEM, "service/plimsoll-store", 7070) as port:
        yield S3Store(
            values["PLIMSOLL_BUCKET"],
            endpoint=f"http://127.0.0.1:{port}",
            region=values["AWS_REGION"],
            access_key_id=values["AWS_ACCESS_KEY_ID"],
            secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )


def key(uri: str) -> str:
    """The key within its bucket: `s3://bucket/a/b` → `a/b`."""
    return urlsplit(uri).path.lstrip("/")


def download(store: S3Store, uri: str) -> bytes:
    """The bytes at a URI of this bucket."""
    return bytes(obstore.get(store, key(uri)).bytes())


def upload(store: S3Store, uri: str, content: bytes) -> None:
    """Put bytes at a URI of this bucket."""
    obstore.put(store, key(uri), content)
