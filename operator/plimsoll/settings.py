"""Settings of the operator from its environment. Every error names the variable and the remedy."""

from __future__ import annotations

import re
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

from plimsoll.edge.outward import Credentials
from plimsoll.edge.store import StoreSettings
from plimsoll.facts import Settings

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
_HOST: Final = re.compile(r"^(http://)?[A-Za-z0-9*][-A-Za-z0-9.*]{0,252}$")
_NAME: Final = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")

Environment = Mapping[str, str]


class SettingsError(Exception):
    """A variable that is missing or wrong."""


@dataclass(frozen=True, slots=True)
class Install:
    """Everything that the install decides. `identity` names this instance in the Lease."""

    facts: Settings
    store: StoreSettings
    identity: str
    lease_name: str
    log_level: str
    workers: int
    http_port: int
    credentials: Credentials = field(default_factory=Credentials)


def load(env: Environment) -> Install:
    """The settings. Raises SettingsError."""
    facts = Settings(
        namespace=_name(env, "PLIMSOLL_NAMESPACE", "plimsoll-system"),
        namespaces=_namespaces(env),
        serving_image=env.get("PLIMSOLL_SERVING_IMAGE") or Settings().serving_image,
        serving_image_openvino=env.get("PLIMSOLL_SERVING_IMAGE_OPENVINO") or Settings().serving_image_openvino,
        serving_image_cuda=env.get("PLIMSOLL_SERVING_IMAGE_CUDA") or Settings().serving_image_cuda,
        training_image=env.get("PLIMSOLL_TRAINING_IMAGE") or Settings().training_image,
        image_pull_policy=_choice(env, "PLIMSOLL_IMAGE_PULL_POLICY", PULL_POLICIES, "IfNotPresent"),
        cluster_domain=env.get("PLIMSOLL_CLUSTER_DOMAIN") or "cluster.local",
    )
    return Install(
        facts=_with_sources(env, facts),
        store=_store(env),
        # Two processes outside a pod must never be taken for one.
        identity=env.get("PLIMSOLL_POD") or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}",
        lease_name=_name(env, "PLIMSOLL_LEASE_NAME", "plimsoll-operator"),
        log_level=_choice(env, "PLIMSOLL_LOG_LEVEL", LOG_LEVELS, "info"),
        workers=_number(env, "PLIMSOLL_WORKERS", 8, (1, 64)),
        http_port=_number(env, "PLIMSOLL_HTTP_PORT", 8085, (1, 65535)),
        credentials=Credentials(
            env.get("PLIMSOLL_PROMETHEUS_TOKEN_FILE") or "", env.get("PLIMSOLL_PROMETHEUS_CA_FILE") or ""
        ),
    )


def _with_sources(env: Environment, facts: Settings) -> Settings:
    """The settings with where evidence may come from."""
    url = _url(env, "PLIMSOLL_PROMETHEUS_URL", "") if env.get("PLIMSOLL_PROMETHEUS_URL") else ""
    parameter = env.get("PLIMSOLL_PROMETHEUS_NAMESPACE_PARAMETER") or ""
    custom = _choice(env, "PLIMSOLL_ALLOW_CUSTOM_QUERIES", ("true", "false"), "false") == "true"
    if custom and url and not parameter:
        raise SettingsError(
            "PLIMSOLL_ALLOW_CUSTOM_QUERIES: users could read the series of every namespace in PLIMSOLL_PROMETHEUS_URL;"
            " put a proxy that enforces a namespace before it, and name its parameter in"
            " PLIMSOLL_PROMETHEUS_NAMESPACE_PARAMETER"
        )
    return replace(
        facts,
        prometheus_url=url,
        prometheus_namespace_parameter=parameter,
        allow_custom_queries=custom,
        allowed_hosts=_hosts(env),
    )


def _hosts(env: Environment) -> tuple[str, ...]:
    listed = [part.strip() for part in env.get("PLIMSOLL_ALLOWED_HOSTS", "").split(",")]
    hosts = tuple(dict.fromkeys(part for part in listed if part))
    for host in hosts:
        if not _HOST.match(host):
            raise SettingsError(
                f"PLIMSOLL_ALLOWED_HOSTS: {host!r} is not a host: give names such as *.example.org, separated by"
                " commas, with http:// before those that may be asked without TLS"
            )
    return hosts


def _store(env: Environment) -> StoreSettings:
    endpoint = _url(env, "PLIMSOLL_STORE_ENDPOINT", None)
    return StoreSettings(
        endpoint=endpoint,
        public_endpoint=_url(env, "PLIMSOLL_STORE_PUBLIC_ENDPOINT", endpoint),
        admin_endpoint=_url(env, "PLIMSOLL_STORE_ADMIN_ENDPOINT", endpoint),
        region=env.get("PLIMSOLL_STORE_REGION") or "us-east-1",
        access_key_id=_required(env, "PLIMSOLL_STORE_ACCESS_KEY_ID", "the store's key id"),
        secret_access_key=_required(env, "PLIMSOLL_STORE_SECRET_ACCESS_KEY", "the store's secret key"),
        managed=_choice(env, "PLIMSOLL_STORE_MODE", ("managed", "external"), "managed") == "managed",
    )


def _required(env: Environment, variable: str, what: str) -> str:
    value = env.get(variable)
    if not value:
        raise SettingsError(f"{variable} is not set: give {what}")
    return value


def _url(env: Environment, variable: str, default: str | None) -> str:
    value = env.get(variable) or default
    if value is None:
        raise SettingsError(f"{variable} is not set: give the store's URL, for example http://plimsoll-store:7070")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise SettingsError(
            f"{variable} must be an http or https URL without credentials, for example https://s3.example.org"
        )
    return value.rstrip("/")


def _namespaces(env: Environment) -> tuple[str, ...]:
    listed = [part.strip() for part in env.get("PLIMSOLL_NAMESPACES", "").split(",")]
    namespaces = tuple(dict.fromkeys(part for part in listed if part))
    for namespace in namespaces:
        if not _NAME.match(namespace):
            raise SettingsError(
                f"PLIMSOLL_NAMESPACES: {namespace!r} is not a namespace's name; give names separated by commas"
            )
    return namespaces


def _name(env: Environment, variable: str, default: str) -> str:
    value = env.get(variable) or default
    if not _NAME.match(value):
        raise SettingsError(f"{variable} is {value!r}: give a name of lower-case letters, digits and -")
    return value


def _choice(env: Environment, variable: str, choices: tuple[str, ...], default: str) -> str:
    value = env.get(variable) or default
    if value not in choices:
        raise SettingsError(f"{variable} is {value!r}: give one of {', '.join(choices)}")
    return value


def _number(env: Environment, variable: str, default: int, bounds: tuple[int, int]) -> int:
    value = env.get(variable) or str(default)
    if not value.isdecimal() or not bounds[0] <= int(value) <= bounds[1]:
        raise SettingsError(f"{variable} is {value!r}: give a whole number from {bounds[0]} to {bounds[1]}")
    return int(value)
