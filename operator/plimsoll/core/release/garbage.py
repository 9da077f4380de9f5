"""What nobody needs any more: old revisions, and ledgers that have been stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from plimsoll import names
from plimsoll.core.release.archive import archive, attempt_of
from plimsoll.core.release.observed import Observed
from plimsoll.core.release.turn import Status
from plimsoll.facts import Action, Delete, Manifest, Ref

#: Revisions that are kept beyond those in use, so that going back is quick.
KEPT_REVISIONS = 3
KEPT_LEDGERS = 2


@dataclass(frozen=True, slots=True)
class _Kept:
    """Names of revisions that stay; `records` also those that are only remembered."""

    revisions: frozenset[str]
    records: frozenset[str]


def _kept(observed: Observed, status: Status) -> _Kept:
    newest = sorted(observed.revisions, key=lambda one: one.number)[-KEPT_REVISIONS:]
    used = {
        one.revision for one in (status.stable, status.candidate, status.last_proven, status.warm) if one is not None
    }
    kept = used | {one.name for one in newest} | {one.revision for one in status.retiring}
    return _Kept(frozenset(kept), frozenset(kept | {one.revision for one in status.quarantine}))


def garbage(observed: Observed, status: Status) -> Iterator[Action]:
    """Old revisions and ledgers, only at rest. A ledger is stored before it is deleted."""
    if status.phase not in {"Idle", "RolledBack"}:
        return
    kept = _kept(observed, status)
    yield from _delete_all(observed.deployments, kept.revisions, "apps/v1", "Deployment")
    yield from _delete_all(observed.services, kept.revisions | {observed.name}, "v1", "Service")
    yield from _delete_all(observed.budgets, kept.revisions, "policy/v1", "PodDisruptionBudget")
    yield from _delete_all(observed.records, kept.records, "apps/v1", "ControllerRevision")
    for name, manifest in observed.config_maps.items():
        attempt = attempt_of(observed.name, name)
        if attempt is not None and attempt <= status.attempt - KEPT_LEDGERS:
            yield from _archived(observed, manifest, attempt)
            yield delete(manifest, "v1", "ConfigMap")


def _archived(observed: Observed, manifest: Manifest, attempt: int) -> Iterator[Action]:
    text = (manifest.get("data") or {}).get(names.LEDGER_KEY)
    if text:
        yield archive(observed, attempt, text)


def _delete_all(have: Mapping[str, Manifest], kept: Iterable[str], api_version: str, kind: str) -> Iterator[Action]:
    yield from (delete(manifest, api_version, kind) for name, manifest in have.items() if name not in kept)


def delete(manifest: Manifest, api_version: str, kind: str) -> Delete:
    """Delete this very object."""
    meta = manifest["metadata"]
    return Delete(Ref(api_version, kind, meta["namespace"], meta["name"]), meta["uid"])
