"""One pass over a ServingPool."""

from __future__ import annotations

from dataclasses import replace

from pydantic import ValidationError

from plimsoll import names
from plimsoll.api.servingpool import ServingPoolSpec, ServingPoolStatus
from plimsoll.converge.act import carry_out
from plimsoll.converge.ports import Unavailable, World
from plimsoll.converge.troubles import act, fault, store_trouble
from plimsoll.core import servingpool as core
from plimsoll.core.conditions import Finding
from plimsoll.core.jobs import controlled_by
from plimsoll.core.pool.template import object_name, selector
from plimsoll.core.servingpool import Seen
from plimsoll.facts import Create, Manifest, Plan, Ref


async def reconcile(world: World, ref: Ref) -> float | None:
    """Bring one ServingPool forward. Returns in how many seconds to come back, None to wait for events.

    Raises Conflict (plan again) and Unavailable (back off) as the ports do; the status says when it is the store.
    """
    owner = await world.cluster.get(ref)
    if owner is None or owner["metadata"].get("deletionTimestamp"):
        return None
    status = ServingPoolStatus.model_validate(owner.get("status") or {})

    def trouble(finding: Finding) -> Plan:
        return core.troubled(status, finding, world.now(), owner["metadata"].get("generation"))

    try:
        spec = ServingPoolSpec.model_validate(owner.get("spec") or {})
    except ValidationError as error:
        await carry_out(world, owner, trouble(Finding("Ready", "False", "InvalidSpec", fault(error))))
        return None
    plan = core.plan(await _confirmed(world, _see(world, owner, spec, status)))
    if any(isinstance(one, Create) and one.manifest["kind"] == "Deployment" for one in plan.after):
        try:
            await world.store.ensure_namespace(ref.namespace)
        except Unavailable as error:
            await carry_out(world, owner, trouble(store_trouble(error)))
            raise
    return await act(world, owner, plan, trouble)


def _see(world: World, owner: Manifest, spec: ServingPoolSpec, status: ServingPoolStatus) -> Seen:
    meta, cached = owner["metadata"], world.cluster.cached
    namespace, name = meta["namespace"], meta["name"]
    labels = {names.LABEL_POOL: name, names.LABEL_COMPONENT: "pool"}

    def own(api_version: str, kind: str) -> dict[str, Manifest]:
        found = cached(api_version, kind, namespace, labels)
        return {one["metadata"]["name"]: one for one in found if controlled_by(meta["uid"], one)}

    child = object_name(name)
    pods = cached("v1", "Pod", namespace, selector(name))
    services = cached(names.API_VERSION, "InferenceService", namespace)
    return Seen(
        owner=owner, spec=spec, status=status, settings=world.settings, now=world.now(),
        records=own("apps/v1", "ControllerRevision"), deployment=own("apps/v1", "Deployment").get(child),
        config_map=own("v1", "ConfigMap").get(child), budget=own("policy/v1", "PodDisruptionBudget").get(child),
        pods=tuple(pod for pod in pods if "deletionTimestamp" not in pod["metadata"]),
        services=frozenset(one["metadata"]["name"] for one in services if pool_of(one) == name),
    )  # fmt: skip


def pool_of(service: Manifest) -> str | None:
    """The pool that an InferenceService names."""
    runtime = (service.get("spec") or {}).get("runtime") or {}
    name: str | None = (runtime.get("pool") or {}).get("name")
    return name


async def _confirmed(world: World, seen: Seen) -> Seen:
    """A key is removed only of a service that the API server, too, does not have in this pool."""
    gone = set()
    for service in core.strangers(seen):
        live = await world.cluster.get(Ref(names.API_VERSION, "InferenceService", seen.namespace, service))
        if live is None or live["metadata"].get("deletionTimestamp") or pool_of(live) != seen.name:
            gone.add(service)
    return replace(seen, gone=frozenset(gone))
