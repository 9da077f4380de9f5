"""What one pass wants done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plimsoll.facts.objects import Manifest, Ref


@dataclass(frozen=True, slots=True)
class Create:
    """POST; AlreadyExists is fine when the object carries our controller UID, else it is a NameConflict.

    With `adopt` (objects that are never owned) AlreadyExists is fine as it is.
    """

    manifest: Manifest
    adopt: bool = False


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply onto the object with this UID; another object's UID is refused by the API server."""

    manifest: Manifest
    uid: str
    resource_version: str | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """Set `/scale` of a Deployment."""

    ref: Ref
    replicas: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete in the background, only the object with this UID."""

    ref: Ref
    uid: str


@dataclass(frozen=True, slots=True)
class AnnotatePod:
    """Patch the operator's own annotation on a managed pod, so that kubelet refreshes its volumes."""

    namespace: str
    pod: str
    annotation: str
    value: str


@dataclass(frozen=True, slots=True)
class PutObject:
    """Put-if-absent into the store of the namespace; an object that is there stays."""

    namespace: str
    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class WriteKey:
    """Write one key of a ConfigMap, whatever happens to its others meanwhile; `value` None removes it.

    Refused when the object is another one, or when the key no longer is `before`; a key that was not there is written
    onto `resource_version` only.
    """

    ref: Ref
    uid: str
    key: str
    value: str | None
    before: str | None = None
    resource_version: str = ""


Action = Create | Apply | Scale | Delete | AnnotatePod | PutObject | WriteKey


@dataclass(frozen=True, slots=True)
class Notice:
    """A Kubernetes Event about the object in hand; the audit log gets the same."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What one pass wants: `before` the status, then `status` (None: leave it), then `after`; `notices` last.

    `status` is the whole wanted status. `requeue_after` is in seconds (None: only events wake us).
    A plan with nothing in it says that the world is as it should be.
    """

    before: tuple[Action, ...] = ()
    status: Mapping[str, Any] | None = None
    after: tuple[Action, ...] = ()
    notices: tuple[Notice, ...] = ()
    requeue_after: float | None = None
