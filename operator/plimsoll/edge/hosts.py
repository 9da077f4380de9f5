"""Whom users may have the operator ask: the Services of their own namespace, and what the install lists."""

from __future__ import annotations

import ipaddress
import socket
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from plimsoll.facts import Endpoint, Settings


class Forbidden(OSError):
    """A name that leads where users may not lead the operator."""


def forbidden(endpoint: Endpoint, settings: Settings) -> str | None:
    """Why the operator does not ask this address for the namespace; None when it does."""
    parts = urlsplit(endpoint.url)
    host, http = (parts.hostname or "").rstrip(".").lower(), parts.scheme == "http"
    inside = host.removesuffix(f".{settings.cluster_domain}")
    if inside.endswith(f".{endpoint.namespace}.svc") and inside.count(".") == 2:
        return None
    internal = inside.endswith(".svc")
    for pattern in settings.allowed_hosts:
        plain, wanted = pattern.startswith("http://"), pattern.removeprefix("http://").lower()
        exact = wanted in (host, inside)
        if not exact and (_is_address(host) or not (fnmatchcase(host, wanted) or fnmatchcase(inside, wanted))):
            continue
        if http and not (plain or internal):
            return f"{endpoint.url}: use https; this install allows {host} no plain http"
        return None
    return (
        f"{endpoint.url}: the operator asks only Services of the namespace, as http://name.{endpoint.namespace}.svc,"
        " and hosts that the install allows (evidence.allowedHosts of its chart)"
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # Forms such as 2130706433 or 0x7f.1 that some resolvers take for addresses.
        return host.replace(".", "").replace("x", "").isalnum() and host[:1].isdigit() and host[-1:].isdigit()
    return True


class Guarded(AbstractResolver):
    """Gives no address of the machine itself or of its link."""

    def __init__(self) -> None:
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for one in found:
            address = ipaddress.ip_address(one["host"].partition("%")[0])
            if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
                raise Forbidden(f"{host} leads to {address}, where the operator asks nobody")
        return found

    async def close(self) -> None:
        await self._inner.close()
