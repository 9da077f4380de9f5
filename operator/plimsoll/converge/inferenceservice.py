"""One pass over an InferenceService."""

from __future__ import annotations

from dataclasses import replace

from pydantic import ValidationError

from plimsoll import names
from plimsoll.api.inferenceservice import InferenceServiceSpec, InferenceServiceStatus
from plimsoll.converge.act import carry_out
from plimsoll.converge.ports import NameConflict, Refused, Unavailable, World
from plimsoll.converge.sources import from_prometheus, with_outside
from plimsoll.converge.troubles import fault, no_store
from plimsoll.core import gateway, route
from plimsoll.core import inferenceservice as core
from plimsoll.core.conditions import Finding
from plimsoll.core.jobs import controlled_by
from plimsoll.core.pool import view
from plimsoll.core.pool.template import object_name
from plimsoll.core.pool.template import selector as pool_selector
from plimsoll.core.release import inputs, sources, watching
from plimsoll.core.release.archive import ledger_name
from plimsoll.core.release.judge_jobs import SELECTOR as JUDGES
from plimsoll.core.release.observed import Gateway, Observed, Pool, is_ready
from plimsoll.core.release.record import digest, ledger_text
from plimsoll.core.revision import load
from plimsoll.facts import AnnotatePod, Create, Manifest, Plan, Ref, Sample

#: How long to wait before trying what the user has to set right, in seconds.
_RETRY_SECONDS = 60.0


async def reconcile(world: World, ref: Ref) -> float | None:
    """Bring one InferenceService forward. Returns in how many seconds to come back, None to wait for events.

    Raises Conflict (plan again) and Unavailable (back off) as the ports do; the status says when it is the store.
    """
    owner, sample = _cached_owner(world, ref), None
    if owner is not None:
        plan, sample = await _plan(world, owner, None)
        if _is_harmless(plan):
            return await _carry_out(world, owner, plan)
    # Whatever bears traffic, destroys or is remembered is decided on the owner as it is now, not as the cache has it.
    owner = await world.cluster.get(ref)
    if owner is None or owner["metadata"].get("deletionTimestamp"):
        world.watched.pop(ref, None)
        world.inputs.pop(ref, None)
        return None
    plan, sample = await _plan(world, owner, sample)
    unrecorded = await _record(world, owner, plan)
    if unrecorded is not None:
        plan, _ = await _plan(world, owner, sample, unrecorded)
    return await _carry_out(world, owner, replace(plan, before=()))


def _cached_owner(world: World, ref: Ref) -> Manifest | None:
    found = [
        one
        for one in world.cluster.cached(ref.api_version, ref.kind, ref.namespace)
        if one["metadata"]["name"] == ref.name
    ]
    return found[0] if found and not found[0]["metadata"].get("deletionTimestamp") else None


def _is_harmless(plan: Plan) -> bool:
    return plan.status is None and not plan.before and all(isinstance(action, AnnotatePod) for action in plan.after)


async def _plan(
    world: World, owner: Manifest, sample: Sample | None, unrecorded: str | None = None
) -> tuple[Plan, Sample | None]:
    status = InferenceServiceStatus.model_validate(owner.get("status") or {})
    try:
        spec = InferenceServiceSpec.model_validate(owner.get("spec") or {})
    except ValidationError as error:
        return core.troubled(
            owner, status, Finding("Accepted", "False", "InvalidSpec", fault(error)), world.now()
        ), None
    observed = await _confirmed(world, _observe(world, owner, spec, status))
    # Only the pods of a pool know whether the stable version serves: a release asks them from its first pass on.
    ref = Ref.of(owner)
    asked = core.needs_sample(status) or watching.is_due(observed, world.watched.get(ref))
    if sample is None and (asked or (observed.pool is not None and status.candidate is not None)):
        sample = await _sample(world, observed)
    observed = _watched(world, ref, replace(observed, sample=sample, now=world.now()))
    observed, taken = await with_outside(world, await _with_inputs(world, ref, observed))
    observed = replace(observed, unrecorded=unrecorded)
    return core.plan(view.as_seen(observed) if observed.pool is not None else observed, taken), observed.sample


async def _with_inputs(world: World, ref: Ref, observed: Observed) -> Observed:
    """With what the versions were given: asked again where this pass counts, and at most once for it."""
    if not inputs.matter(observed, observed.status):
        world.inputs.pop(ref, None)
        return observed
    if inputs.is_due(observed, world.inputs.get(ref)):
        pods = [pod for arm in inputs.arms(observed.status) for pod in observed.ready_pods(arm)]
        found = await world.metrics.inputs(pods)
        world.inputs[ref] = inputs.look(world.inputs.get(ref), found, observed.status, observed.now)
    return replace(observed, inputs=world.inputs.get(ref))


def _watched(world: World, ref: Ref, observed: Observed) -> Observed:
    """What is remembered of a service at rest, with what this pass saw."""
    found = watching.look(observed, world.watched.get(ref))
    if found is None:
        world.watched.pop(ref, None)
    else:
        world.watched[ref] = found
    return replace(observed, watched=found)


async def _sample(world: World, observed: Observed) -> Sample:
    if observed.pool is not None:
        ready = [pod for pod in observed.pool.pods if is_ready(pod)]
        return await world.metrics.pooled(ready, view.revisions(observed))
    sample = await world.metrics.sample(observed.namespace, _measured(observed))
    if sources.from_prometheus(observed):
        sample = await from_prometheus(world, observed, sample, _measured(observed))
    return sample if gateway.reference(observed) is None else gateway.counted(sample)


async def _record(world: World, owner: Manifest, plan: Plan) -> str | None:
    """Write what the status will cite. Returns why that is refused: then nothing may pass by what was seen."""
    try:
        await carry_out(world, owner, Plan(before=plan.before))
    except NameConflict as error:
        return f"refused: the ledger of the release cannot be written: {error}"
    except Refused as error:
        told = "it needs room for a ConfigMap of up to 1 MiB in the namespace"
        return f"refused: the ledger of the release cannot be written, {told}: {error}"
    return None


async def _carry_out(world: World, owner: Manifest, plan: Plan) -> float | None:
    """Refusals and names that are taken become conditions; the rest is raised."""
    try:
        if _first_pod(plan) is not None:
            await _with_store(world, owner, plan)
        else:
            await carry_out(world, owner, plan)
    except NameConflict as error:
        finding = Finding("Accepted", "False", "NameConflict", f"{error}.")
    except Refused as error:
        finding = Finding("Accepted", "False", "Refused", f"The API server does not allow it: {error}.")
    else:
        return plan.requeue_after
    await _tell(world, owner, finding)
    return _RETRY_SECONDS


async def _with_store(world: World, owner: Manifest, plan: Plan) -> None:
    """Bucket and credentials before the first pod that needs them; what the plan wants before it waits for no store."""
    try:
        await world.store.ensure_namespace(owner["metadata"]["namespace"])
    except Unavailable as error:
        await carry_out(world, owner, replace(plan, after=plan.after[: _first_pod(plan)]))
        await _tell(world, owner, Finding("StoreAvailable", "False", "StoreUnavailable", no_store(error)))
        raise
    await carry_out(world, owner, plan)


def _first_pod(plan: Plan) -> int | None:
    """Where in the plan's effects a Deployment is made."""
    made = (i for i, one in enumerate(plan.after) if isinstance(one, Create) and one.manifest["kind"] == "Deployment")
    return next(made, None)


async def _tell(world: World, owner: Manifest, finding: Finding) -> None:
    """Write a finding on the owner as it is now: part of the plan may be done already."""
    live = await world.cluster.get(Ref.of(owner))
    if live is not None:
        status = InferenceServiceStatus.model_validate(live.get("status") or {})
        await carry_out(world, live, core.troubled(live, status, finding, world.now()))


# --- gather ---------------------------------------------------------------------------------------------------------


def _observe(world: World, owner: Manifest, spec: InferenceServiceSpec, status: InferenceServiceStatus) -> Observed:
    meta = owner["metadata"]
    namespace, selector = meta["namespace"], {names.LABEL_INFERENCE_SERVICE: meta["name"]}

    def own(api_version: str, kind: str) -> dict[str, Manifest]:
        found = world.cluster.cached(api_version, kind, namespace, selector)
        return {one["metadata"]["name"]: one for one in found if controlled_by(meta["uid"], one)}

    records, jobs = own("apps/v1", "ControllerRevision"), own("batch/v1", "Job")
    return Observed(
        owner=owner, spec=spec, status=status, settings=world.settings, now=world.now(),
        versions=tuple(world.cluster.cached(names.API_VERSION, "ModelVersion", namespace)),
        revisions=tuple(load(one) for one in records.values()), records=records,
        deployments=own("apps/v1", "Deployment"), services=own("v1", "Service"),
        budgets=own("policy/v1", "PodDisruptionBudget"), config_maps=own("v1", "ConfigMap"),
        pods=tuple(world.cluster.cached("v1", "Pod", namespace, selector)),
        jobs=jobs, job_pods=tuple(world.cluster.cached("v1", "Pod", namespace, JUDGES)) if jobs else (),
        pool=_pool(world, namespace, spec.runtime.pool.name) if spec.runtime.pool else None,
        gateway=Gateway(
            own(names.GATEWAY_API_VERSION, "HTTPRoute").get(meta["name"]),
            world.cluster.missing(names.GATEWAY_API_VERSION, "HTTPRoute"),
            world.cluster.missing(names.GATEWAY_API_VERSION, "HTTPRoute", names.SESSION_FIELD),
        ),
        others=_others(world, namespace, meta["name"]) if spec.release.after else {},
    )  # fmt: skip


def _others(world: World, namespace: str, name: str) -> dict[str, Manifest]:
    found = world.cluster.cached(names.API_VERSION, "InferenceService", namespace)
    return {one["metadata"]["name"]: one for one in found if one["metadata"]["name"] != name}


def _pool(world: World, namespace: str, name: str) -> Pool:
    """The pool's objects as they are the pool's; those of another owner are as good as missing."""
    owner = _named(world, names.API_VERSION, "ServingPool", namespace, name)
    if owner is None:
        return Pool(name)

    def own(api_version: str, kind: str) -> Manifest | None:
        found = _named(world, api_version, kind, namespace, object_name(name))
        return found if found is not None and controlled_by(owner["metadata"]["uid"], found) else None

    pods = world.cluster.cached("v1", "Pod", namespace, pool_selector(name))
    staying = tuple(pod for pod in pods if "deletionTimestamp" not in pod["metadata"])
    return Pool(name, True, own("apps/v1", "Deployment"), own("v1", "ConfigMap"), staying)


def _named(world: World, api_version: str, kind: str, namespace: str, name: str) -> Manifest | None:
    found = world.cluster.cached(api_version, kind, namespace)
    return next((one for one in found if one["metadata"]["name"] == name), None)


async def _confirmed(world: World, observed: Observed) -> Observed:
    """Where cache and status contradict each other, ask the API server: the ledger, and the versions."""
    status, name = observed.status, ledger_name(observed.name, observed.status.attempt)
    text = ledger_text(observed)
    if status.ledger is not None and (text is None or digest(text) != status.ledger):
        live = await world.cluster.get(Ref("v1", "ConfigMap", observed.namespace, name))
        if live is not None and controlled_by(observed.owner["metadata"]["uid"], live):
            observed = replace(observed, config_maps={**observed.config_maps, name: live})
    known = {one["metadata"]["name"] for one in observed.versions}
    for reference in (status.stable, status.candidate):
        version = f"{observed.spec.model.name}-v{reference.version}" if reference else ""
        if version and version not in known:
            live = await world.cluster.get(Ref(names.API_VERSION, "ModelVersion", observed.namespace, version))
            observed = replace(observed, versions=(*observed.versions, live)) if live is not None else observed
            known.add(version)
    return observed


def _measured(observed: Observed) -> tuple[Manifest, ...]:
    """The ready pods of every revision that the route names, or that is to be compared."""
    revisions = {arm.revision for arm in route.arms(observed.status)}
    revisions |= {one.revision for one in (observed.status.stable, observed.status.candidate) if one is not None}
    return tuple(pod for revision in sorted(revisions) for pod in observed.ready_pods(revision))
