"""Whom users may have the operator ask, and what never leaves it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from plimsoll.edge.hosts import Forbidden, Guarded, forbidden
from plimsoll.edge.outward import Message, Outward, Unanswered
from plimsoll.facts import Endpoint, Manifest, Ref, Settings
from plimsoll.failures import Refused

LISTED = Settings(allowed_hosts=("*.example.org", "http://plain.example.net", "judge.other.svc", "127.0.0.1"))


def endpoint(url: str, **more: Any) -> Endpoint:
    return Endpoint(url, "team-a", 1.0, **more)


@pytest.mark.parametrize(
    "url",
    [
        "http://judge.team-a.svc",
        "http://judge.team-a.svc:8000/judge",
        "https://judge.team-a.svc.cluster.local",
        "https://prometheus.example.org",
        "http://plain.example.net:9090",
        "http://judge.other.svc:80",
        "https://127.0.0.1",
    ],
)
def test_services_of_the_own_namespace_and_listed_hosts_are_asked(url: str) -> None:
    assert forbidden(endpoint(url), LISTED) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://judge.team-b.svc",
        "http://judge",
        "http://localhost:8080",
        "https://169.254.169.254/latest",
        "https://2130706433",
        "https://0x7f.1",
        "https://[::1]",
        "https://example.org",
        "https://a.example.org.evil.net",
        "http://x.team-a.svc.evil.net",
        "http://a.b.team-a.svc",
        "https://kubernetes.default.svc",
    ],
)
def test_everybody_else_is_not(url: str) -> None:
    why = forbidden(endpoint(url), LISTED)
    assert why is not None and "http://name.team-a.svc" in why


def test_listed_hosts_are_asked_by_https_unless_the_list_says_otherwise() -> None:
    why = forbidden(endpoint("http://prometheus.example.org"), LISTED)
    assert why is not None and "use https" in why


def test_a_pattern_for_all_hosts_holds_for_no_bare_address() -> None:
    everybody = Settings(allowed_hosts=("*",))
    assert forbidden(endpoint("https://judge.example.com"), everybody) is None
    assert forbidden(endpoint("https://10.0.0.1"), everybody) is not None


async def test_a_name_that_leads_to_the_machine_itself_is_refused_when_it_is_resolved() -> None:
    guarded = Guarded()
    with pytest.raises(Forbidden, match=r"127\.0\.0\.1"):
        await guarded.resolve("localhost", 80)
    await guarded.close()


def a_secret(value: str = "s3cret", **labels: str) -> Manifest:
    data = {"token": base64.b64encode(value.encode()).decode()}
    return {"metadata": {"name": "token", "labels": labels}, "data": data}


def outward(found: Manifest | None) -> Outward:
    async def read(ref: Ref) -> Manifest | None:
        assert (ref.kind, ref.namespace) == ("Secret", "team-a")
        return found

    return Outward(read, Settings(allowed_hosts=("http://127.0.0.1",)))


WITH_TOKEN = endpoint("http://127.0.0.1:9", token=("token", "token"))
ALLOW = {"plimsoll.dev/allow": "true"}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "Secret token is not there: create it"),
        (a_secret(), 'Secret token must carry the label plimsoll.dev/allow: "true"'),
        ({**a_secret(**ALLOW), "data": {}}, "Secret token needs a token of plain characters under the key token"),
    ],
)
async def test_a_secret_that_may_not_be_used_is_refused_with_the_remedy(found: Manifest | None, said: str) -> None:
    with pytest.raises(Unanswered, match="refused: ") as error:
        await outward(found).send(WITH_TOKEN, Message())
    assert said in str(error.value)


async def test_a_secret_that_the_operator_may_not_read_names_the_right_to_grant() -> None:
    async def read(ref: Ref) -> Manifest | None:
        raise Refused(ref, "forbidden")

    with pytest.raises(Unanswered, match="by a Role of the namespace"):
        await Outward(read, LISTED).send(endpoint("http://plain.example.net", token=("token", "token")), Message())


async def test_no_error_tells_the_token() -> None:
    one = outward(a_secret(**ALLOW))
    with pytest.raises(Unanswered) as error:
        await one.send(WITH_TOKEN, Message())
    assert error.value.kind == "down" and "s3cret" not in str(error.value)
    await one.close()
