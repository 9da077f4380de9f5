"""What both passes with Jobs share: which failures become a condition, and which are only passed on."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError

from plimsoll.converge.act import carry_out
from plimsoll.converge.ports import NameConflict, Refused, World
from plimsoll.core.conditions import Finding
from plimsoll.facts import Create, Manifest, Plan

#: How long to wait before trying what the user has to set right, in seconds.
_RETRY = 60.0


async def act(world: World, resource: Manifest, plan: Plan, trouble: Callable[[Finding], Plan]) -> float | None:
    """Carry out `plan`. A name that is taken and a refusal become what `trouble` makes of them; the rest is raised."""
    try:
        await carry_out(world, resource, plan)
    except NameConflict as error:
        finding = Finding("Ready", "False", "NameConflict", f"{error}.")
    except Refused as error:
        finding = Finding("Ready", "False", "Refused", f"The API server does not allow it: {error}.")
    else:
        return plan.requeue_after
    await carry_out(world, resource, trouble(finding))
    return _RETRY


async def prepare(world: World, namespace: str, plan: Plan) -> None:
    """Bucket and credentials, before the first pod that needs them. Raises Unavailable."""
    actions = (*plan.before, *plan.after)
    if any(isinstance(action, Create) and action.manifest["kind"] == "Job" for action in actions):
        await world.store.ensure_namespace(namespace)


def store_trouble(error: Exception) -> Finding:
    """The store does not answer; since when is the transition time of StoreAvailable."""
    return Finding("Ready", "False", "StoreUnavailable", no_store(error))


def no_store(error: Exception) -> str:
    """In a sentence, with what to look at."""
    remedy = "It is tried again; should it last, look at the store and at the operator's settings of it"
    return f"The artifact store does not answer: {error}. {remedy}: docs/store.md."


def fault(error: ValidationError) -> str:
    """The first fault of a spec, by the name of its field."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"spec.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}."
