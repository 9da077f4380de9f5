"""Carrying out a plan, in the order that makes a crash at any line harmless."""

from __future__ import annotations

from plimsoll.converge.ports import Conflict, NameConflict, Refused, Unavailable, World
from plimsoll.core.drift import covers
from plimsoll.facts import Action, Manifest, Plan, PutObject


async def carry_out(world: World, owner: Manifest, plan: Plan) -> None:
    """First what the status will cite, then the status (the intent), then the effects, then the news.

    Raises what the ports raise; whatever was done stays done, and the next pass plans from there. The news of a status
    that was written is told also when an effect fails: no later pass would tell it.
    """
    for action in plan.before:
        await _act(world, owner, action)
    if plan.status is not None and not same_status(owner.get("status") or {}, plan.status):
        owner = await world.cluster.write_status(owner, plan.status)
    try:
        for action in plan.after:
            await _act(world, owner, action)
    except (Conflict, NameConflict, Refused, Unavailable):
        await _tell(world, owner, plan)
        raise
    await _tell(world, owner, plan)


async def _tell(world: World, owner: Manifest, plan: Plan) -> None:
    for notice in plan.notices:
        await world.cluster.notify(owner, notice)


async def _act(world: World, owner: Manifest, action: Action) -> None:
    if isinstance(action, PutObject):
        await world.store.put_if_absent(action.namespace, action.key, action.body)
    else:
        await world.cluster.act(owner, action)


def same_status(observed: Manifest, wanted: Manifest) -> bool:
    """Whether writing `wanted` would change nothing: equal both ways, None and absent alike."""
    present = {key: value for key, value in wanted.items() if value is not None}
    return covers(observed, present) and covers(present, observed)
