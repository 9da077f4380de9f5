"""The route document, and which documents a pod follows."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from plimsoll_serving.http.message import Request
from plimsoll_serving.route import Route, RouteError, parse
from plimsoll_serving.routing import Role, Routing

STABLE, CANDIDATE = "digits-0a1b2c3d", "digits-4e5f6a7b"


def document(**changes: Any) -> dict[str, Any]:
    value: dict[str, Any] = {
        "formatVersion": 1,
        "epoch": 12,
        "primary": STABLE,
        "arms": [
            {"revision": STABLE, "version": "1", "weight": 90, "mode": "Serve", "address": f"{STABLE}.demo.svc:8083"},
            {
                "revision": CANDIDATE,
                "version": "2",
                "weight": 10,
                "mode": "Serve",
                "address": f"{CANDIDATE}.demo.svc:8083",
            },
        ],
        "sticky": {"header": "X-User-Id"},
        "delegateTimeoutSeconds": 1.5,
        "validUntil": "2026-11-22T12:00:00Z",
        "maxBlindSeconds": 900,
    }
    value.update(changes)
    return {key: item for key, item in value.items() if item is not ...}


def route(**changes: Any) -> Route:
    return parse(json.dumps(document(**changes)).encode())


def test_the_document_of_the_contract_is_read() -> None:
    read = route()
    assert (read.epoch, read.primary, read.sticky_header, read.delegate_timeout) == (12, STABLE, b"x-user-id", 1.5)
    assert [(arm.version, arm.weight, arm.host, arm.port) for arm in read.arms] == [
        ("1", 90, f"{STABLE}.demo.svc", 8083),
        ("2", 10, f"{CANDIDATE}.demo.svc", 8083),
    ]
    assert read.blind_after == 1795348800 + 900


def test_what_may_be_left_out_has_defaults() -> None:
    read = route(sticky=None, validUntil=None, delegateTimeoutSeconds=..., maxBlindSeconds=...)
    assert (read.sticky_header, read.blind_after, read.delegate_timeout) == (None, None, 1.0)


def test_a_key_of_a_later_version_does_no_harm() -> None:
    assert route(mirror={"share": 5}).epoch == 12


def arm(**changes: Any) -> dict[str, Any]:
    return {**document()["arms"][0], "weight": 100, **changes}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"formatVersion": 2}, "formatVersion is 2, this server reads 1"),
        ({"epoch": "12"}, "epoch is '12', not of type int"),
        ({"epoch": True}, "epoch is True, not of type int"),
        ({"epoch": -1}, "epoch is -1, below 0"),
        ({"primary": "digits-ffff"}, "primary 'digits-ffff' is not the revision of an arm"),
        ({"arms": {}}, "arms is {}, not of type list"),
        ({"arms": [3]}, "arms[0] is not an object"),
        ({"arms": [arm(weight=99)]}, "the weights of the arms with mode Serve sum to 99, not 100"),
        ({"arms": [arm(weight=1.5)]}, "arms[0].weight is 1.5, not of type int"),
        ({"arms": [arm(weight=-5)]}, "arms[0].weight is -5, below 0"),
        ({"arms": [arm(address="nowhere")]}, "arms[0].address is 'nowhere', not host:port"),
        ({"arms": [arm(address="host:99999")]}, "arms[0].address is 'host:99999', not host:port"),
        ({"arms": [arm(version=1)]}, "arms[0].version is 1, not of type str"),
        ({"arms": [arm(weight=50), arm(weight=50)]}, "arms names a revision twice"),
        ({"arms": [arm(), arm(revision="s", mode="Mirror", weight=101)]}, "arms[1].weight is 101, above 100"),
        (
            {"arms": [arm(), arm(revision="s", mode="Mirror")], "primary": "s"},
            "primary 's' is an arm with mode Mirror, which answers no user",
        ),
        ({"tolerance": 1}, "tolerance is 1, not of type dict"),
        ({"tolerance": {"relative": -1}}, "tolerance.relative is -1, not a number of at least 0"),
        ({"tolerance": {"absolute": "0"}}, "tolerance.absolute is '0', not a number of at least 0"),
        ({"sticky": {}}, "sticky.header is None, not of type str"),
        ({"delegateTimeoutSeconds": 0}, "delegateTimeoutSeconds is 0, not a number of seconds above 0"),
        ({"validUntil": "tomorrow"}, "validUntil is 'tomorrow', not a time such as 2030-01-31T12:00:00Z"),
        (
            {"validUntil": "2026-11-22T12:00:00"},
            "validUntil is '2026-11-22T12:00:00', without a time zone; write Z for UTC",
        ),
    ],
)
def test_a_document_that_cannot_be_followed_is_refused_by_field(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RouteError) as caught:
        route(**changes)
    assert str(caught.value) == sentence


def test_an_arm_with_mode_mirror_takes_no_share_of_the_traffic() -> None:
    read = route(arms=[arm(), arm(revision="shadow", mode="Mirror", weight=30)])
    assert [(shadow.revision, shadow.weight) for shadow in read.shadows] == [("shadow", 30)]
    assert [serving.revision for serving in read.serving] == [STABLE]
    assert route(arms=[arm(), arm(revision="shadow", mode="Mirror", weight=0)]).shadows == ()


def test_tolerances_have_defaults_of_their_own() -> None:
    read = route().tolerance
    assert (read.relative, read.absolute) == (1e-4, 1e-6)
    read = route(tolerance={"absolute": 0}).tolerance
    assert (read.relative, read.absolute) == (1e-4, 0)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"null", b"[" * 100_000])
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(RouteError, match=r"not JSON|not an object"):
        parse(text)


def request(**headers: str) -> Request:
    return Request("POST", "/", "", [(name.encode(), value.encode()) for name, value in headers.items()], b"", True)


def routing(revision: str = STABLE, point: float = 0.5, now: Callable[[], float] = lambda: 0.0) -> Routing:
    return Routing(revision, lambda _: None, lambda: point, now)


def chosen(routing: Routing, **headers: str) -> str | None:
    arm = routing.choose(request(**headers))
    return arm.version if arm else None


def test_an_epoch_only_rises() -> None:
    pod = routing()
    assert pod.apply(route(epoch=12))
    assert not pod.apply(route(epoch=11, primary=CANDIDATE))
    assert pod.role.value == "primary"
    assert pod.apply(route(epoch=12, validUntil="2026-11-22T12:05:00Z")), "a renewal keeps the epoch"
    assert pod.apply(route(epoch=13, primary=CANDIDATE))
    assert pod.role.value == "secondary"


def test_a_refused_document_changes_nothing() -> None:
    changes: list[int] = []
    pod = Routing(STABLE, lambda new: changes.append(new.epoch), lambda: 0.5)
    pod.apply(route(epoch=5))
    pod.apply(route(epoch=4))
    assert changes == [5]
    assert pod.route is not None
    assert pod.route.epoch == 5


def test_without_a_document_or_a_place_in_it_no_arm_is_chosen() -> None:
    pod = routing("digits-ffff")
    assert (chosen(pod), pod.primary, pod.role) == (None, None, Role.STANDALONE)
    pod.apply(route())
    assert (chosen(pod), pod.primary, pod.role) == (None, None, Role.STANDALONE)


def test_a_secondary_knows_its_primary_and_chooses_nothing() -> None:
    pod = routing(CANDIDATE)
    pod.apply(route())
    assert pod.primary is not None
    assert pod.primary.revision == STABLE
    assert chosen(pod) is None


def test_the_primary_draws_an_arm() -> None:
    for point, version in ((0.05, "2"), (0.5, "1")):
        pod = routing(point=point)
        pod.apply(route())
        assert chosen(pod) == version


def test_a_sticky_header_outdoes_chance() -> None:
    seen = set()
    for point in (0.0, 0.3, 0.6, 0.9):
        pod = routing(point=point)
        pod.apply(route(arms=[arm(weight=50), arm(revision=CANDIDATE, version="2", weight=50)]))
        seen.add(chosen(pod, **{"x-user-id": "ada"}))
    assert len(seen) == 1


def test_beyond_the_blind_time_the_primary_keeps_all() -> None:
    end = 1795348800 + 900
    for now, version in ((end - 1, "2"), (end + 1, "1")):
        pod = routing(point=0.01, now=lambda now=now: now)  # type: ignore[misc]
        pod.apply(route())
        assert chosen(pod) == version


def test_an_arm_in_another_mode_gets_nothing() -> None:
    pod = routing(point=0.0)
    pod.apply(route(arms=[arm(), arm(revision=CANDIDATE, version="2", mode="Shadow", weight=40)]))
    assert chosen(pod) == "1"
