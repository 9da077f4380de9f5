"""One pass over a ModelVersion."""

from __future__ import annotations

from pydantic import ValidationError

from plimsoll import names
from plimsoll.api.modelversion import ModelVersionSpec, ModelVersionStatus
from plimsoll.converge.act import carry_out
from plimsoll.converge.ports import Unavailable, World
from plimsoll.converge.troubles import act, fault, prepare, store_trouble
from plimsoll.core import jobs, verification
from plimsoll.core import modelversion as core
from plimsoll.core.conditions import Finding
from plimsoll.core.modelversion import troubled
from plimsoll.core.outcome import publish_message
from plimsoll.core.result import accept
from plimsoll.core.run import verification_key, verification_run
from plimsoll.core.verification import Seen, Vouched
from plimsoll.facts import Manifest, Plan, Ref


async def reconcile(world: World, ref: Ref) -> float | None:
    """Bring one ModelVersion forward. Returns in how many seconds to come back, None to wait for events.

    Raises Conflict (plan again) and Unavailable (back off) as the ports do; the status says when it is the store.
    """
    resource = await world.cluster.get(ref)
    if resource is None or resource["metadata"].get("deletionTimestamp"):
        return None
    status = ModelVersionStatus.model_validate(resource.get("status") or {})

    def trouble(finding: Finding, phase: str | None = None) -> Plan:
        return troubled(status, finding, world.now(), phase=phase)

    try:
        spec = ModelVersionSpec.model_validate(resource.get("spec") or {})
    except ValidationError as error:
        await carry_out(world, resource, trouble(Finding("Ready", "False", "InvalidSpec", fault(error)), "Invalid"))
        return None
    seen = _see(world, resource, spec, status)
    try:
        plan = core.plan(seen, await _vouched(world, seen), world.settings, world.now())
        await prepare(world, ref.namespace, plan)
    except Unavailable as error:
        await carry_out(world, resource, trouble(store_trouble(error)))
        raise
    return await act(world, resource, plan, trouble)


def _see(world: World, resource: Manifest, spec: ModelVersionSpec, status: ModelVersionStatus) -> Seen:
    meta = resource["metadata"]
    namespace = meta["namespace"]
    cached = world.cluster.cached
    selector = {names.LABEL_COMPONENT: "verify", names.LABEL_MODEL: spec.model}
    own = [job for job in cached("batch/v1", "Job", namespace, selector) if jobs.controlled_by(meta["uid"], job)]
    job = own[0] if own else None
    pods = cached("v1", "Pod", namespace, selector) if job else ()
    return Seen(
        resource=resource,
        spec=spec,
        status=status,
        run=verification_run(resource, spec),
        job=job,
        pods=[pod for pod in pods if job and jobs.controlled_by(job["metadata"]["uid"], pod)],
        services=cached(names.API_VERSION, "InferenceService", namespace),
    )


async def _vouched(world: World, seen: Seen) -> Vouched:
    """Who vouches for the digest: our own signature when the file is in place, else the verify Job's pod."""
    run, spec = seen.run, seen.spec
    if seen.verified or verification.foreign(spec, run.namespace):
        return Vouched()
    if await _signed(world, seen):
        return Vouched(signed=True)
    if verification.report_of(seen, world.now()).state != "Complete":
        return Vouched()
    message = publish_message(seen.pods)
    if message is None:
        return Vouched()
    key = verification_key(run, spec.artifact.sha256)
    return Vouched(result=accept(await world.store.read(run.namespace, key), message, run=run.hash, key=key))


async def _signed(world: World, seen: Seen) -> bool:
    """A signature travels with the manifest, the file may not have: publish left `manifest.json` beside it."""
    spec = seen.spec
    if spec.provenance is None or spec.signature is None:
        return False
    if not world.signer.verify(spec.artifact.sha256, spec.provenance.to_manifest()):
        return False
    key = verification.manifest_key(spec, seen.run.namespace)
    return key is not None and await world.store.read(seen.run.namespace, key) is not None
