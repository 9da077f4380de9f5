"""One pass over a TrainingJob."""

from __future__ import annotations

from pydantic import ValidationError

from plimsoll import names
from plimsoll.api.trainingjob import TrainingJobSpec, TrainingJobStatus
from plimsoll.converge.act import carry_out
from plimsoll.converge.ports import Unavailable, World
from plimsoll.converge.troubles import act, fault, prepare, store_trouble
from plimsoll.core import jobs, versions
from plimsoll.core import trainingjob as core
from plimsoll.core.conditions import Finding
from plimsoll.core.outcome import publish_message
from plimsoll.core.result import Accepted, Result, accept, parse_accepted
from plimsoll.core.run import Run, training_run
from plimsoll.core.trainingstatus import Claim, Seen, Stored, troubled
from plimsoll.facts import Manifest, Plan, Ref


async def reconcile(world: World, ref: Ref) -> float | None:
    """Bring one TrainingJob forward. Returns in how many seconds to come back, None to wait for events.

    Raises Conflict (plan again) and Unavailable (back off) as the ports do; the status says when it is the store.
    """
    resource = await world.cluster.get(ref)
    if resource is None or resource["metadata"].get("deletionTimestamp"):
        return None
    status = TrainingJobStatus.model_validate(resource.get("status") or {})

    def trouble(finding: Finding, phase: str | None = None) -> Plan:
        return troubled(status, finding, world.now(), phase=phase)

    try:
        spec = TrainingJobSpec.model_validate(resource.get("spec") or {})
    except ValidationError as error:
        await carry_out(world, resource, trouble(Finding("Ready", "False", "InvalidSpec", fault(error)), "Failed"))
        return None
    seen = _see(world, resource, spec, status)
    try:
        plan = core.plan(seen, await _stored(world, seen), world.settings, world.now())
        await prepare(world, ref.namespace, plan)
    except Unavailable as error:
        await carry_out(world, resource, trouble(store_trouble(error)))
        raise
    return await act(world, resource, plan, trouble)


def _see(world: World, resource: Manifest, spec: TrainingJobSpec, status: TrainingJobStatus) -> Seen:
    meta = resource["metadata"]
    namespace, uid = meta["namespace"], meta["uid"]
    selector = core.children_selector(meta["name"])
    cached = world.cluster.cached
    own = [job for job in cached("batch/v1", "Job", namespace, selector) if jobs.controlled_by(uid, job)]
    maps = [one for one in cached("v1", "ConfigMap", namespace, selector) if jobs.controlled_by(uid, one)]
    services = cached(names.API_VERSION, "InferenceService", namespace)
    return Seen(
        resource=resource,
        spec=spec,
        status=status,
        run=training_run(resource, spec),
        jobs={job["metadata"]["name"]: job for job in own},
        pods=cached("v1", "Pod", namespace, selector),
        config_maps=maps,
        versions=cached(names.API_VERSION, "ModelVersion", namespace),
        services={service["metadata"]["name"]: service for service in services},
    )


async def _stored(world: World, seen: Seen) -> Stored:
    """The result of the run: the one that its publish pod vouches for, or the one that we accepted earlier."""
    run = seen.run
    if core.at_rest(seen):
        return Stored()
    if core.may_adopt(seen, world.now()):
        accepted = parse_accepted(await world.store.read(run.namespace, run.accepted_key))
        if accepted is None or not world.signer.verify(run.seal(accepted.result), accepted.provenance):
            return Stored()
        expected = accepted.result
        found = accept(
            await world.store.read(run.namespace, run.result_key), expected, run=run.hash, key=run.result_key
        )
        return await _completed(world, seen, Stored(found, adopted=True)) if isinstance(found, Result) else Stored()
    if seen.report("publish", world.now()).state != "Complete":
        return Stored()
    message = publish_message(seen.pods_of("publish"))
    if message is None:
        return Stored()
    found = accept(await world.store.read(run.namespace, run.result_key), message, run=run.hash, key=run.result_key)
    if not isinstance(found, Result):
        return Stored(found)
    note = Accepted(result=message.result, provenance=dict(world.signer.sign(run.seal(message.result))))
    return await _completed(world, seen, Stored(found, note.body()))


async def _completed(world: World, seen: Seen, stored: Stored) -> Stored:
    """With the number and the signature that a new version needs, if it needs one."""
    result = stored.result
    assert isinstance(result, Result)
    if result.verdict != "Passed" or result.artifact is None:
        return stored
    sha256 = result.artifact.sha256
    if versions.with_digest(seen.versions, seen.spec.model, sha256):
        return stored
    claim = await _claim(world, seen.run, seen, sha256)
    return Stored(result, stored.note, stored.adopted, claim, world.signer.sign(sha256))


async def _claim(world: World, run: Run, seen: Seen, sha256: str) -> Claim:
    """The number that the store already holds for this digest, or the first one above all known that is free."""
    model = seen.spec.model
    taken = versions.of_model(seen.versions, model)
    for n in versions.unclaimed_below(taken):
        body = await world.store.read(run.namespace, versions.claim_key(model, n))
        if body is not None and versions.claims(body, sha256):
            return Claim(n, made=True)
    n = max(taken, default=0) + 1
    while (body := await world.store.read(run.namespace, versions.claim_key(model, n))) is not None:
        if versions.claims(body, sha256):
            return Claim(n, made=True)
        n += 1
    return Claim(n, made=False)
