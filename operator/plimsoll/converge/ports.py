"""What a pass asks of the world. `edge` implements these; tests of the passes may too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from plimsoll.core.release.observed import Inputs, Watched
from plimsoll.facts import (
    Action,
    Endpoint,
    External,
    Manifest,
    Notice,
    PodInputs,
    PrometheusSource,
    Reading,
    Ref,
    Sample,
    Settings,
)
from plimsoll.failures import Conflict as Conflict
from plimsoll.failures import NameConflict as NameConflict
from plimsoll.failures import Refused as Refused
from plimsoll.failures import Unavailable as Unavailable


class Cluster(Protocol):
    """The API server: reads from the cache, live reads, and effects."""

    def cached(
        self, api_version: str, kind: str, namespace: str, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        """Objects of a kind from the watch cache, filtered by equality of labels, ordered by name."""

    def missing(self, api_version: str, kind: str, field: str = "") -> str | None:
        """Why there can be no object of an add-on's kind, or none with this field, with the remedy; None: there can."""

    async def get(self, ref: Ref) -> Manifest | None:
        """The object as the API server has it now; None when there is none."""

    async def act(self, owner: Manifest, action: Action) -> Manifest | None:
        """Carry out one action for `owner`. Raises Conflict, NameConflict, Refused or Unavailable."""

    async def write_status(self, owner: Manifest, status: Mapping[str, Any]) -> Manifest:
        """Replace the status, guarded by the owner's resourceVersion. Raises Conflict or Unavailable."""

    async def notify(self, owner: Manifest, notice: Notice) -> None:
        """Record an Event and an audit line."""


class Metrics(Protocol):
    """Reads the raw counters of pods."""

    async def sample(self, namespace: str, pods: Sequence[Manifest]) -> Sample:
        """One scrape of each pod; a pod that does not answer is in `absent`, never an exception."""

    async def inputs(self, pods: Sequence[Manifest]) -> Sequence[PodInputs]:
        """What each pod was given, by feature; one that does not answer is left out, never an exception."""

    async def pooled(self, pods: Sequence[Manifest], revisions: Sequence[str]) -> Sample:
        """The same of a pool's pods, for these revisions of one service, the stable one first."""


class Sources(Protocol):
    """Evidence from elsewhere than the pods. What does not answer is said in the answer, never an exception."""

    async def counters(self, source: PrometheusSource, namespace: str, pods: Sequence[Manifest]) -> Sample:
        """The pods' counters as a Prometheus scraped them."""

    async def custom(self, source: PrometheusSource, queries: Mapping[str, Mapping[str, str]]) -> Mapping[str, Reading]:
        """What the queries of users' metrics give, by metric and key, all at one moment."""

    async def judge(self, asked: Mapping[str, tuple[Endpoint, Mapping[str, Any]]]) -> Mapping[str, External]:
        """The answers of webhooks to these documents; Inconclusive with the reason when there is none."""


class Store(Protocol):
    """The artifact store, as the operator sees it."""

    async def ensure_namespace(self, namespace: str) -> None:
        """Bucket, bounded credentials and the Secrets of a namespace; idempotent."""

    async def read(self, namespace: str, key: str) -> bytes | None:
        """A small object (≤ 4 MiB), None when there is none. Raises Unavailable."""

    async def put_if_absent(self, namespace: str, key: str, body: bytes) -> bool:
        """True when this call wrote it, False when it was there. Raises Unavailable."""


class Signer(Protocol):
    """Vouches for digests with the operator's own key."""

    def sign(self, digest: str) -> Mapping[str, str]:
        """`{"signedBy", "signature"}` for a model's SHA-256."""

    def verify(self, digest: str, provenance: Mapping[str, str]) -> bool:
        """Whether `provenance` is our signature of `digest`."""


@dataclass(frozen=True, slots=True)
class World:
    """The ports that a pass gets. `now` is Unix seconds from a clock that tests can turn.

    `watched` is what passes remember of services at rest, `inputs` what versions were given: in this process only, and
    never what a decision rests on alone.
    """

    cluster: Cluster
    metrics: Metrics
    store: Store
    signer: Signer
    settings: Settings
    now: Callable[[], float]
    watched: MutableMapping[Ref, Watched] = field(default_factory=dict)
    sources: Sources | None = None
    inputs: MutableMapping[Ref, Inputs] = field(default_factory=dict)


class Pass(Protocol):
    """One pass over one object: returns in how many seconds to come back, or None to wait for events."""

    async def __call__(self, world: World, ref: Ref) -> float | None: ...
