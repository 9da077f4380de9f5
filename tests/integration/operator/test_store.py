"""The managed store: a real versitygw with accounts, and Secrets on a real API server."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes.client import ApiClient, CoreV1Api
from obstore.exceptions import BaseError
from obstore.store import S3Store
from plimsoll import names
from plimsoll.edge.rest import Api
from plimsoll.edge.signing import load_signer
from plimsoll.edge.store import LARGEST, S3, StoreSettings
from plimsoll.edge.store_admin import StoreAdmin
from plimsoll.failures import Unavailable

from tests.builders.s3_server import binary
from tests.ports import free_port

ROOT_KEY, ROOT_SECRET = "root", "root-secret"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """versitygw with accounts."""
    data, accounts = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("accounts")
    port = free_port()
    environment = {**os.environ, "ROOT_ACCESS_KEY": ROOT_KEY, "ROOT_SECRET_KEY": ROOT_SECRET}
    command: list[str | Path] = [binary(), "--quiet", "--port", f"127.0.0.1:{port}"]
    command += ["--iam-dir", accounts, "posix", data]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            _await_port(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _await_port(port: int) -> None:
    for _ in range(900):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("versitygw did not start")


def settings(endpoint: str, *, managed: bool = True) -> StoreSettings:
    return StoreSettings(endpoint, "http://store.example:7070", endpoint, "us-east-1", ROOT_KEY, ROOT_SECRET, managed)


@pytest.fixture
def store(endpoint: str, rest: Api) -> S3:
    return a_store(endpoint, rest)


def a_store(endpoint: str, rest: Api) -> S3:
    return S3(settings(endpoint), rest, StoreAdmin(endpoint, "us-east-1", (ROOT_KEY, ROOT_SECRET)))


def secret_of(api: ApiClient, namespace: str) -> dict[str, str]:
    data = CoreV1Api(api).read_namespaced_secret("plimsoll-store", namespace).data
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def as_pod(endpoint: str, secret: dict[str, str], bucket: str) -> S3Store:
    """The store as a pod with this Secret sees a bucket."""
    return S3Store(
        bucket,
        endpoint=endpoint,
        region=secret["AWS_REGION"],
        access_key_id=secret["AWS_ACCESS_KEY_ID"],
        secret_access_key=secret["AWS_SECRET_ACCESS_KEY"],
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


async def test_a_namespace_gets_a_bucket_credentials_and_service_accounts(
    store: S3, api: ApiClient, endpoint: str, namespace: str
) -> None:
    await store.ensure_namespace(namespace)

    secret = secret_of(api, namespace)
    assert secret["AWS_ENDPOINT_URL"] == "http://store.example:7070"
    assert secret["PLIMSOLL_BUCKET"] == f"plimsoll-{namespace}"
    as_pod(endpoint, secret, secret["PLIMSOLL_BUCKET"]).put("runs/a", b"from a pod")
    assert await store.read(namespace, "runs/a") == b"from a pod"
    accounts = CoreV1Api(api).list_namespaced_service_account(namespace).items
    tokens = {account.metadata.name: account.automount_service_account_token for account in accounts}
    assert {name: tokens[name] for name in names.SERVICE_ACCOUNTS.values()} == dict.fromkeys(
        names.SERVICE_ACCOUNTS.values(), False
    )


async def test_each_namespace_has_a_key_for_prediction_ids_that_comes_back_the_same(
    endpoint: str, rest: Api, api: ApiClient, make_namespace: object
) -> None:
    mine, theirs = make_namespace(), make_namespace()  # type: ignore[operator]
    core = CoreV1Api(api)

    async def key_of(namespace: str) -> str:
        await a_store(endpoint, rest).ensure_namespace(namespace)
        return str(core.read_namespaced_secret(names.FEEDBACK_SECRET, namespace).data[names.FEEDBACK_KEY])

    first = await key_of(mine)
    core.delete_namespaced_secret(names.FEEDBACK_SECRET, mine)
    assert await key_of(mine) == first != await key_of(theirs)


async def test_credentials_of_one_namespace_open_no_bucket_of_another(
    store: S3, api: ApiClient, endpoint: str, make_namespace: object
) -> None:
    mine, theirs = make_namespace(), make_namespace()  # type: ignore[operator]
    for namespace in (mine, theirs):
        await store.ensure_namespace(namespace)
    await store.put_if_absent(theirs, "models/secret", b"x")
    intruder = as_pod(endpoint, secret_of(api, mine), f"plimsoll-{theirs}")

    with pytest.raises(BaseError):
        intruder.get("models/secret")
    with pytest.raises(BaseError):
        intruder.put("models/other", b"y")


async def test_two_operators_that_prepare_a_namespace_together_agree(
    endpoint: str, rest: Api, api: ApiClient, namespace: str
) -> None:
    await asyncio.gather(*(a_store(endpoint, rest).ensure_namespace(namespace) for _ in range(4)))

    secret = secret_of(api, namespace)
    as_pod(endpoint, secret, secret["PLIMSOLL_BUCKET"]).put("a", b"x")


async def test_a_secret_of_the_users_is_never_overwritten(store: S3, api: ApiClient, namespace: str) -> None:
    core = CoreV1Api(api)
    core.create_namespaced_secret(namespace, {"metadata": {"name": "plimsoll-store"}, "stringData": {"mine": "yes"}})

    await store.ensure_namespace(namespace)

    assert secret_of(api, namespace) == {"mine": "yes"}


async def test_with_an_external_store_only_the_service_accounts_are_made(
    endpoint: str, rest: Api, api: ApiClient, namespace: str
) -> None:
    await S3(settings(endpoint, managed=False), rest, None).ensure_namespace(namespace)

    assert CoreV1Api(api).list_namespaced_secret(namespace).items == []
    found = {account.metadata.name for account in CoreV1Api(api).list_namespaced_service_account(namespace).items}
    assert set(names.SERVICE_ACCOUNTS.values()) <= found


async def test_of_many_writers_of_one_key_exactly_one_wins(store: S3, namespace: str) -> None:
    await store.ensure_namespace(namespace)

    won = await asyncio.gather(*(store.put_if_absent(namespace, "models/m/numbers/1", b"%d" % n) for n in range(16)))

    assert sum(won) == 1
    assert await store.read(namespace, "models/m/numbers/1") == b"%d" % won.index(True)


async def test_an_object_that_is_not_there_is_none(store: S3, namespace: str) -> None:
    await store.ensure_namespace(namespace)

    assert await store.read(namespace, "runs/none") is None


async def test_an_object_too_large_for_the_operator_is_not_read(store: S3, namespace: str) -> None:
    await store.ensure_namespace(namespace)
    await store.put_if_absent(namespace, "models/large", bytes(LARGEST + 1))

    with pytest.raises(Unavailable, match="more than"):
        await store.read(namespace, "models/large")


async def test_a_store_that_is_not_there_is_unavailable(rest: Api, namespace: str) -> None:
    store = a_store("http://127.0.0.1:1", rest)

    with pytest.raises(Unavailable, match="store: create-user"):
        await store.ensure_namespace(namespace)
    with pytest.raises(Unavailable, match="was not read"):
        await store.read(namespace, "runs/a")


async def test_the_signing_key_survives_a_restart(rest: Api, namespace: str) -> None:
    first, second = await load_signer(rest, namespace), await load_signer(rest, namespace)

    assert second.verify("ab" * 32, first.sign("ab" * 32))
