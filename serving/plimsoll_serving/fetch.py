"""The init container: downloads the artifact, verifies its digest and leaves it in the model directory."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import ObjectStore, from_url

from plimsoll_serving.artifact import MODEL_FILE, PROFILE_FILE, file_digest
from plimsoll_serving.errors import ArtifactError, FetchError, SettingsError
from plimsoll_serving.logs import LOGGER
from plimsoll_serving.settings import Environment

SCHEMES = ("s3", "gs", "az", "http", "https", "file")
CHUNK_BYTES = 8 << 20


def fetch(values: Mapping[str, str]) -> None:
    """Fetch model and profile as the environment says.

    Raises:
        SettingsError: a variable is missing or malformed.
        ArtifactError: what lies at the address has another digest; nothing of it is kept.
        FetchError: nothing lies at the address, or it may not be read.
    """
    env = Environment(values)
    folder = Path(env.text("PLIMSOLL_MODEL_DIR", "/plimsoll/model"))
    wanted = [(MODEL_FILE, env.required("PLIMSOLL_ARTIFACT_URI"), env.digest("PLIMSOLL_ARTIFACT_SHA256"))]
    profile = env.text("PLIMSOLL_PROFILE_URI")
    if profile:
        wanted.append((PROFILE_FILE, profile, env.digest("PLIMSOLL_PROFILE_SHA256")))
    for name, uri, sha256 in wanted:
        fetch_one(uri, sha256, folder / name, env)


def fetch_one(uri: str, sha256: str, target: Path, env: Environment) -> None:
    """Fetch one file unless it is there already. Raises as `fetch` does."""
    if target.is_file() and file_digest(target) == sha256:
        LOGGER.info("already there: %s", target.name)
        return
    store, key = open_store(uri, env)
    part = target.with_suffix(".part")
    with _explained(uri):
        actual, size = _download(store, key, part)
    if actual != sha256:
        part.unlink()
        raise ArtifactError(f"{uri} has SHA-256 {actual}, expected {sha256}: refused")
    part.replace(target)
    LOGGER.info(
        "fetched and verified: %s", target.name, extra={"fields": {"uri": uri, "sha256": sha256, "bytes": size}}
    )


def size_of(uri: str, env: Environment) -> int:
    """Bytes of an object. Raises as `fetch` does."""
    store, key = open_store(uri, env)
    with _explained(uri):
        return int(obstore.head(store, key)["size"])


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError):
        raise FetchError(f"{uri} does not exist; put the file back, or release another version") from None
    except (PermissionDeniedError, UnauthenticatedError):
        raise FetchError(
            f"{uri}: the store refuses the credentials; look at the Secret plimsoll-store of this namespace, "
            "and at whose bucket it is"
        ) from None


def _download(store: ObjectStore, key: str, part: Path) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    with part.open("wb") as file:
        for chunk in obstore.get(store, key).stream(min_chunk_size=CHUNK_BYTES):
            digest.update(chunk)
            size += file.write(chunk)
    return digest.hexdigest(), size


def open_store(uri: str, env: Environment, seconds: float | None = None, ca: str = "") -> tuple[ObjectStore, str]:
    """The store and the key of an object's address. Credentials come from the environment (``AWS_…``).

    Args:
        seconds: for one call, without repeats; None for the library's own patience.
        ca: PEM; the certificates of an S3 store may be of this authority, too.
    """
    parts = urlsplit(uri)
    key = parts.path.lstrip("/")
    if parts.scheme not in SCHEMES or not key:
        raise SettingsError(f"{uri!r} is not the address of an object; known schemes are {', '.join(SCHEMES)}")
    if parts.scheme == "file":
        return from_url("file:///"), key
    root = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme != "s3":
        return from_url(root, client_options={"allow_http": True}), key
    endpoint = env.text("AWS_ENDPOINT_URL")
    config: dict[str, Any] = {"region": env.text("AWS_REGION", "us-east-1"), "virtual_hosted_style_request": False}
    if endpoint:
        config["endpoint"] = endpoint
    options: dict[str, Any] = {"allow_http": endpoint.startswith("http://")}
    if ca:
        options["root_certificate"] = ca
    if seconds is None:
        return from_url(root, config=config, client_options=options), key
    options |= {"timeout": f"{seconds:g}s", "connect_timeout": f"{seconds:g}s"}
    retry = {"max_retries": 0, "retry_timeout": timedelta(seconds=seconds)}
    return from_url(root, config=config, client_options=options, retry_config=retry), key
