"""The children that a status asks for, as actions on what is there, in the order of effect: the route first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from plimsoll import names
from plimsoll.core import following, gateway, route
from plimsoll.core import revision as revisions
from plimsoll.core.drift import covers
from plimsoll.core.pool import template, view
from plimsoll.core.release import pace
from plimsoll.core.release.archive import ledger_name
from plimsoll.core.release.choice import Choice
from plimsoll.core.release.garbage import delete, garbage
from plimsoll.core.release.observed import Observed, Pool
from plimsoll.core.release.turn import Status
from plimsoll.core.revision import Revision
from plimsoll.facts import Action, Apply, Create, Manifest, Ref, Scale, WriteKey


def actions(observed: Observed, status: Status, choice: Choice) -> tuple[Action, ...]:
    """Everything that differs from what the status asks for; nothing when the world is as it should be."""
    if observed.pool is not None:
        return (
            *_new_revision(observed, status, choice),
            *_pool_document(observed, status, observed.pool),
            *_public_service(observed, status),
            *garbage(observed, status),
        )
    scales = replicas(observed, status)
    http_route = tuple(_http_route(observed, status))
    return (
        # A gateway that has the route already takes new weights first; its first route needs the Services to be there.
        *(action for action in http_route if not isinstance(action, Create)),
        *_route(observed, status),
        *_new_revision(observed, status, choice),
        *_public_service(observed, status),
        *(action for name, count in scales.items() for action in _revision(observed, name, count, status)),
        *(action for action in http_route if isinstance(action, Create)),
        *_without_share(observed, status, scales),
        *garbage(observed, status),
    )


def replicas(observed: Observed, status: Status) -> dict[str, int]:
    """Pods of each revision that has a part to play; a revision on its way out keeps what it has."""
    found: dict[str, int] = {}
    for name in [one.revision for one in status.retiring]:
        found[name] = _have(observed, name)
    if status.warm is not None:
        found[status.warm.revision] = observed.spec.runtime.replicas
    if status.stable is not None:
        found[status.stable.revision] = observed.spec.runtime.replicas
    if status.candidate is not None:
        wanted = _candidate_replicas(observed, status)
        if wanted is not None:
            found[status.candidate.revision] = wanted
        # Nobody is compared with it any more once the share that it has not is in force.
        over = pace.phase_of(status) == "Probation" and not route.baseline_share(status)
        if status.baseline is not None and wanted is not None and not over:
            leaves = status.phase == "RollingBack"
            found[status.baseline.revision] = _have(observed, status.baseline.revision) if leaves else wanted
    return found


def _candidate_replicas(observed: Observed, status: Status) -> int | None:
    """In proportion to the share it has or is to have; all before it becomes primary. None: none yet, or as it is."""
    assert status.candidate is not None
    phase = pace.phase_of(status)
    full = pace.peak(observed, status) if status.stable is not None else observed.spec.runtime.replicas
    match phase:
        case "Preparing":
            return None
        case "RollingBack":
            return _have(observed, status.candidate.revision) or None
        case "Warming" | "Shadowing" | "Analyzing" if (weight := pace.to_carry(observed, status, phase)) is not None:
            return pace.share(observed.spec.runtime.replicas, weight)
    return max(full, observed.spec.runtime.replicas)


def _have(observed: Observed, revision: str) -> int:
    return int(((observed.deployments.get(revision) or {}).get("spec") or {}).get("replicas", 0))


# --- one by one -----------------------------------------------------------------------------------------------------


def _route(observed: Observed, status: Status) -> Iterator[Action]:
    content = route.wanted(observed, status)
    if content is not None:
        manifest = route.config_map(observed, content)
        # Traffic: if somebody wrote in between, we plan again.
        yield _create_or_apply(observed.config_maps.get(route.name(observed.name)), manifest, guarded=True)
    if status.followed_epoch < status.epoch:
        yield from following.nudges(observed, status)
        yield from following.laggards(observed, status)


def _http_route(observed: Observed, status: Status) -> Iterator[Action]:
    """Another provider leaves no route behind."""
    have, manifest = observed.gateway.http_route, gateway.wanted(observed, status)
    if manifest is not None:
        yield _create_or_apply(have, manifest, guarded=True)
    elif have is not None and gateway.reference(observed) is None:
        yield delete(have, names.GATEWAY_API_VERSION, "HTTPRoute")


def _pool_document(observed: Observed, status: Status, pool: Pool) -> Iterator[Action]:
    """The service's own key of the pool's ConfigMap; a pod learns of it as it learns of a route."""
    have = pool.config_map
    if have is None:
        return
    planned = replace(observed, status=status)
    known = [name for name in view.revisions(planned) if observed.revision(name) is not None]
    content = view.document(planned, route.document(observed, status))
    wanted = route.newer(observed, status, content) if known else None
    if wanted is not None:
        meta, key = have["metadata"], view.key_of(observed.name)
        ref = Ref("v1", "ConfigMap", observed.namespace, view.config_map_name(pool))
        before = (have.get("data") or {}).get(key)
        yield WriteKey(ref, meta["uid"], key, view.text_of(wanted), before, meta.get("resourceVersion", ""))
    # Told before there is anything new to read, a pod would be told again only seconds later.
    unaware = wanted is None and observed.status.phase != "Preparing" and bool(following.uninformed(observed))
    if known and (status.followed_epoch < status.epoch or unaware):
        yield from following.nudges(observed, status)
        yield from following.laggards(observed, status)


def _new_revision(observed: Observed, status: Status, choice: Choice) -> Iterator[Action]:
    """The record of a revision: what its pods are made from ever after; one that was deleted comes back."""
    wanted, named = choice.revision, {one.revision for one in (status.candidate, status.stable) if one is not None}
    if wanted is not None and wanted.name in named and observed.revision(wanted.name) is None:
        yield Create(revisions.stored(wanted))


def _public_service(observed: Observed, status: Status) -> Iterator[Action]:
    primary = status.primary or (status.candidate.revision if status.candidate else None)
    if primary is None:
        return
    model = observed.spec.model.name
    if observed.pool is not None:
        manifest = template.public_service(observed.name, observed.namespace, model, observed.pool.name)
    else:
        manifest = revisions.public_service(observed.name, observed.namespace, model, primary)
    yield from _ensure(observed.services.get(observed.name), manifest)


def _revision(observed: Observed, name: str, count: int, status: Status) -> Iterator[Action]:
    found = _found(observed, name, status)
    if found is None:
        return
    have = observed.deployments.get(name)
    if have is None and name in {one.revision for one in status.retiring}:
        return
    yield from _ensure(observed.services.get(name), revisions.direct_service(found))
    if have is None:
        yield Create(revisions.service_account(observed.namespace), adopt=True)
    yield from _ensure(have, revisions.deployment(found))
    if count != (1 if have is None else _have(observed, name)):
        yield Scale(Ref("apps/v1", "Deployment", observed.namespace, name), count)
    yield from _budget(observed, found, count)


def _found(observed: Observed, name: str, status: Status) -> Revision | None:
    """The baseline is the stored stable revision under another name."""
    if status.baseline is None or status.stable is None or name != status.baseline.revision:
        return observed.revision(name)
    stable = observed.revision(status.stable.revision)
    return stable and revisions.renamed(stable, name)


def _budget(observed: Observed, revision: Revision, count: int) -> Iterator[Action]:
    have = observed.budgets.get(revision.name)
    if count >= 2:
        yield from _ensure(have, revisions.disruption_budget(revision))
    elif have is not None:
        yield delete(have, "policy/v1", "PodDisruptionBudget")


def _without_share(observed: Observed, status: Status, scales: Mapping[str, int]) -> Iterator[Action]:
    """A revision without a part to play has no pods."""
    candidate = status.candidate.revision if status.candidate else None
    for name in observed.deployments:
        if name in scales or name == candidate:
            continue
        if _have(observed, name):
            yield Scale(Ref("apps/v1", "Deployment", observed.namespace, name), 0)
        if (budget := observed.budgets.get(name)) is not None:
            yield delete(budget, "policy/v1", "PodDisruptionBudget")


# --- actions --------------------------------------------------------------------------------------------------------


def _ensure(have: Manifest | None, manifest: Mapping[str, Any]) -> Iterator[Action]:
    if have is None or not covers(have, manifest):
        yield _create_or_apply(have, manifest)


def _create_or_apply(have: Manifest | None, manifest: Mapping[str, Any], *, guarded: bool = False) -> Action:
    if have is None:
        return Create(manifest)
    meta = have["metadata"]
    return Apply(manifest, meta["uid"], meta.get("resourceVersion") if guarded else None)


def record(observed: Observed, files: Mapping[str, str]) -> Action:
    """Write the record of the running attempt: its ledger and cursor."""
    name = ledger_name(observed.name, observed.status.attempt)
    labels = names.labels("release", model=observed.spec.model.name, inferenceservice=observed.name)
    meta = {"name": name, "namespace": observed.namespace, "labels": labels}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": dict(files)}
    return _create_or_apply(observed.config_maps.get(name), manifest, guarded=True)
