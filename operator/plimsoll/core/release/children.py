"""The children that a status asks for, as actions on what is there. The order is the order of effect: the route first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from plimsoll import names
from plimsoll.core import revision as revisions
from plimsoll.core import route
from plimsoll.core.drift import covers
from plimsoll.core.release import turn as moves
from plimsoll.core.release.choice import Choice
from plimsoll.core.release.observed import Observed
from plimsoll.core.release.turn import Status
from plimsoll.core.revision import Revision
from plimsoll.facts import Action, Apply, Create, Delete, Manifest, PutObject, Ref, Scale

#: Revisions that are kept beyond those in use, so that going back is quick.
KEPT_REVISIONS = 3
KEPT_LEDGERS = 2


def actions(observed: Observed, status: Status, choice: Choice) -> tuple[Action, ...]:
    """Everything that differs from what the status asks for; nothing when the world is as it should be."""
    scales = replicas(observed, status)
    return (
        *_route(observed, status),
        *_record(observed, status, choice),
        *_public_service(observed, status),
        *(action for name, count in scales.items() for action in _revision(observed, name, count, status)),
        *_without_share(observed, status, scales),
        *_garbage(observed, status),
    )


def replicas(observed: Observed, status: Status) -> dict[str, int]:
    """Pods of each revision that has a part to play; a revision on its way out keeps what it has."""
    found: dict[str, int] = {}
    for name in [one.revision for one in status.retiring]:
        found[name] = _have(observed, name)
    if status.stable is not None:
        found[status.stable.revision] = observed.spec.runtime.replicas
    if status.candidate is not None:
        wanted = _candidate_replicas(observed, status)
        if wanted is not None:
            found[status.candidate.revision] = wanted
    return found


def _candidate_replicas(observed: Observed, status: Status) -> int | None:
    """In proportion to the share it has or is to have; all of them before it becomes primary. None: none yet, or as it is."""
    assert status.candidate is not None
    phase = status.held_phase if status.phase == "Held" else status.phase
    full = moves.peak(observed, status) if status.stable is not None else observed.spec.runtime.replicas
    match phase:
        case "Preparing":
            return None
        case "RollingBack":
            return _have(observed, status.candidate.revision) or None
        case "Warming" | "Analyzing" if status.step is not None and (number := moves.step_number(observed, status)):
            weight = max(moves.steps(observed)[number - 1].weight, status.weight or 0)
            return moves.share(observed.spec.runtime.replicas, weight)
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
        yield from route.nudges(observed, status)
        yield from route.laggards(observed, status)


def _record(observed: Observed, status: Status, choice: Choice) -> Iterator[Action]:
    """The record of a new revision: what its pods are made from ever after."""
    wanted, candidate = choice.revision, status.candidate
    if wanted is not None and candidate is not None and wanted.name == candidate.revision and observed.revision(wanted.name) is None:
        yield Create(revisions.stored(wanted))


def _public_service(observed: Observed, status: Status) -> Iterator[Action]:
    primary = status.primary or (status.candidate.revision if status.candidate else None)
    if primary is None:
        return
    manifest = revisions.public_service(observed.name, observed.namespace, observed.spec.model.name, primary)
    yield from _ensure(observed.services.get(observed.name), manifest)


def _revision(observed: Observed, name: str, count: int, status: Status) -> Iterator[Action]:
    found = observed.revision(name)
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


def _budget(observed: Observed, revision: Revision, count: int) -> Iterator[Action]:
    have = observed.budgets.get(revision.name)
    if count >= 2:
        yield from _ensure(have, revisions.disruption_budget(revision))
    elif have is not None:
        yield _delete(have, "policy/v1", "PodDisruptionBudget")


def _without_share(observed: Observed, status: Status, scales: Mapping[str, int]) -> Iterator[Action]:
    """A revision without a part to play has no pods."""
    candidate = status.candidate.revision if status.candidate else None
    for name in observed.deployments:
        if name in scales or name == candidate:
            continue
        if _have(observed, name):
            yield Scale(Ref("apps/v1", "Deployment", observed.namespace, name), 0)
        if (budget := observed.budgets.get(name)) is not None:
            yield _delete(budget, "policy/v1", "PodDisruptionBudget")


# --- what nobody needs any more -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kept:
    """Names of revisions that stay; `records` also those that are only remembered."""

    revisions: frozenset[str]
    records: frozenset[str]


def _kept(observed: Observed, status: Status) -> _Kept:
    newest = sorted(observed.revisions, key=lambda one: one.number)[-KEPT_REVISIONS:]
    used = {one.revision for one in (status.stable, status.candidate, status.last_proven) if one is not None}
    kept = used | {one.name for one in newest} | {one.revision for one in status.retiring}
    return _Kept(frozenset(kept), frozenset(kept | {one.revision for one in status.quarantine}))


def _garbage(observed: Observed, status: Status) -> Iterator[Action]:
    """Old revisions and ledgers, only at rest. A ledger is stored before it is deleted."""
    if status.phase not in {"Idle", "RolledBack"}:
        return
    kept = _kept(observed, status)
    yield from _delete_all(observed.deployments, kept.revisions, "apps/v1", "Deployment")
    yield from _delete_all(observed.services, kept.revisions | {observed.name}, "v1", "Service")
    yield from _delete_all(observed.budgets, kept.revisions, "policy/v1", "PodDisruptionBudget")
    yield from _delete_all(observed.records, kept.records, "apps/v1", "ControllerRevision")
    for name, manifest in observed.config_maps.items():
        attempt = _attempt(observed.name, name)
        if attempt is not None and attempt <= status.attempt - KEPT_LEDGERS:
            yield from _archived(observed, manifest, attempt)
            yield _delete(manifest, "v1", "ConfigMap")


def archive(observed: Observed, attempt: int, text: str) -> PutObject:
    """The whole ledger of an attempt, for good."""
    return PutObject(observed.namespace, f"ledger/{observed.name}/{attempt}.json", text.encode())


def ledger_name(service: str, attempt: int) -> str:
    """The ConfigMap that holds the ledger of an attempt."""
    return f"{service}-attempt-{attempt}"


def _archived(observed: Observed, manifest: Manifest, attempt: int) -> Iterator[Action]:
    text = (manifest.get("data") or {}).get(names.LEDGER_KEY)
    if text:
        yield archive(observed, attempt, text)


def _attempt(service: str, name: str) -> int | None:
    number = name.removeprefix(f"{service}-attempt-")
    return int(number) if number != name and number.isdigit() else None


# --- actions --------------------------------------------------------------------------------------------------------


def _ensure(have: Manifest | None, manifest: Mapping[str, Any]) -> Iterator[Action]:
    if have is None or not covers(have, manifest):
        yield _create_or_apply(have, manifest)


def _create_or_apply(have: Manifest | None, manifest: Mapping[str, Any], *, guarded: bool = False) -> Action:
    if have is None:
        return Create(manifest)
    meta = have["metadata"]
    return Apply(manifest, meta["uid"], meta.get("resourceVersion") if guarded else None)


def _delete_all(have: Mapping[str, Manifest], kept: Iterable[str], api_version: str, kind: str) -> Iterator[Action]:
    yield from (_delete(manifest, api_version, kind) for name, manifest in have.items() if name not in kept)


def _delete(manifest: Manifest, api_version: str, kind: str) -> Delete:
    meta = manifest["metadata"]
    return Delete(Ref(api_version, kind, meta["namespace"], meta["name"]), meta["uid"])


def ledger_action(observed: Observed, files: Mapping[str, str]) -> Action:
    """Write the record of the running attempt."""
    name = ledger_name(observed.name, observed.status.attempt)
    labels = names.labels("release", model=observed.spec.model.name, inferenceservice=observed.name)
    meta = {"name": name, "namespace": observed.namespace, "labels": labels}
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": dict(files)}
    return _create_or_apply(observed.config_maps.get(name), manifest, guarded=True)
