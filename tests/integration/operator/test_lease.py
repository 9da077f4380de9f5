"""Election by a real Lease. Time is the test's own, so nothing waits for real seconds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from plimsoll.edge.lease import Lease, Lost, Terms
from plimsoll.edge.resources import LEASE
from plimsoll.edge.rest import Api, Request

PATIENCE = 60.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def a_lease(rest: Api, namespace: str, identity: str, clock: Clock) -> Lease:
    terms = Terms(namespace, "operator", identity, duration=15, renew_every=0.01, retry_every=0.01)
    return Lease(rest, terms, clock)


async def stored(rest: Api, namespace: str) -> Any:
    return await rest.call(Request("GET", LEASE.path(namespace, "operator"), "leases"))


async def still_waits(acquiring: asyncio.Task[None], lease: Lease) -> bool:
    """After it has seen the Lease, and tried again."""
    await asyncio.wait_for(lease.known.wait(), PATIENCE)
    await asyncio.wait([acquiring], timeout=0.3)
    return not acquiring.done()


async def test_the_first_instance_acts_and_the_second_waits(rest: Api, namespace: str, clock: Clock) -> None:
    first, second = a_lease(rest, namespace, "a", clock), a_lease(rest, namespace, "b", clock)
    await first.acquire()
    acquiring = asyncio.create_task(second.acquire())

    assert await still_waits(acquiring, second)
    assert first.remaining() == 15.0
    assert second.remaining() < 0
    acquiring.cancel()


async def test_a_lease_that_is_not_renewed_is_taken_over_after_its_duration(
    rest: Api, namespace: str, clock: Clock
) -> None:
    first, second = a_lease(rest, namespace, "a", clock), a_lease(rest, namespace, "b", clock)
    await first.acquire()
    acquiring = asyncio.create_task(second.acquire())
    assert await still_waits(acquiring, second)
    clock.now += 14.9
    assert await still_waits(acquiring, second)

    clock.now += 0.1
    await asyncio.wait_for(acquiring, PATIENCE)

    lease = await stored(rest, namespace)
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("b", 1)
    assert first.remaining() <= 0


async def test_the_same_identity_takes_its_lease_at_once(rest: Api, namespace: str, clock: Clock) -> None:
    await a_lease(rest, namespace, "a", clock).acquire()

    restarted = a_lease(rest, namespace, "a", clock)
    await asyncio.wait_for(restarted.acquire(), PATIENCE)

    assert restarted.remaining() == 15.0


async def test_a_released_lease_is_taken_at_once(rest: Api, namespace: str, clock: Clock) -> None:
    first, second = a_lease(rest, namespace, "a", clock), a_lease(rest, namespace, "b", clock)
    await first.acquire()
    await first.release()
    await asyncio.wait_for(second.acquire(), PATIENCE)

    assert first.remaining() < 0
    assert second.remaining() == 15.0


async def test_a_held_lease_is_renewed(rest: Api, namespace: str, clock: Clock) -> None:
    lease = a_lease(rest, namespace, "a", clock)
    await lease.acquire()
    before = (await stored(rest, namespace))["metadata"]["resourceVersion"]
    clock.now += 9.0
    holding = asyncio.create_task(lease.hold())
    for _ in range(int(PATIENCE / 0.01)):
        if lease.remaining() == 15.0:
            break
        await asyncio.sleep(0.01)

    assert lease.remaining() == 15.0
    assert (await stored(rest, namespace))["metadata"]["resourceVersion"] != before
    holding.cancel()


async def test_an_instance_whose_lease_was_taken_stops(rest: Api, namespace: str, clock: Clock) -> None:
    first = a_lease(rest, namespace, "a", clock)
    await first.acquire()
    lease = await stored(rest, namespace)
    lease["spec"]["holderIdentity"] = "b"
    await rest.call(Request("PUT", LEASE.path(namespace, "operator"), "leases", lease))

    with pytest.raises(Lost):
        await asyncio.wait_for(first.hold(), PATIENCE)

    assert first.remaining() < 0


async def test_an_instance_that_cannot_renew_stops_at_the_end_of_its_lease(
    rest: Api, namespace: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = a_lease(rest, namespace, "a", clock)
    await lease.acquire()
    monkeypatch.setattr(rest._client.configuration, "host", "https://127.0.0.1:1")
    holding = asyncio.create_task(lease.hold())
    await asyncio.wait([holding], timeout=0.3)
    assert not holding.done()

    clock.now += 15.0
    with pytest.raises(Lost, match="not renewed in time"):
        await asyncio.wait_for(holding, PATIENCE)


async def test_of_many_that_start_together_one_wins(rest: Api, namespace: str, clock: Clock) -> None:
    leases = [a_lease(rest, namespace, f"i{number}", clock) for number in range(8)]
    acquiring = [asyncio.create_task(lease.acquire()) for lease in leases]
    for lease in leases:
        await asyncio.wait_for(lease.known.wait(), PATIENCE)
    await asyncio.sleep(0.3)

    assert sum(lease.remaining() > 0 for lease in leases) == 1
    for task in acquiring:
        task.cancel()
