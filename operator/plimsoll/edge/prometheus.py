"""The counters of pods from a Prometheus that scrapes them, raw: the samples as they were scraped, never a rate.

A range selector gives raw samples with the moments of their scrapes. Of each pod the newest scrape is taken whole: what
it held is what `edge.metrics` would have read from the pod at that moment.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final

from plimsoll import names
from plimsoll.edge.metrics import ASKED, Missing, counted
from plimsoll.edge.outward import Bound, Message, Outward, Unanswered, document
from plimsoll.facts import Manifest, PodCounters, PrometheusSource, Sample

#: Labels that the servers give their series; all others say which target was scraped.
_OWN_LABELS: Final = frozenset(
    (
        *("__name__", "model", "version", "revision", "outcome", "code", "le", "state", "reason"),
        *("output", "bin", "age", "direction", "stable", "candidate"),
    )
)
#: How far back a pod's last sample is looked for, to tell stale pods from those that were never there.
_LOOK_BACK_SECONDS: Final = 3600
_NAMED: Final = 3
#: Pods to a query, and queries at a time. A pod has some 150 series of 400 bytes, and 22 bytes for each sample in
#: maxAge: 0.1 MB when it is scraped every 15 s, 0.5 MB when every second, with the default of two minutes.
_PODS: Final = 8
_AT_ONCE: Final = 4
_LONGEST: Final = 8 << 20
_ABOUT: Final = "raw samples"
_SHORTEN: Final = "it holds the {}: shorten maxAge, twice the scrape interval is enough, or scrape them less often"

Series = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Absent:
    """Why a pod gives nothing."""

    kind: str
    said: str


Found = tuple[float, PodCounters] | _Absent


class Prometheus:
    """`now` is Unix seconds."""

    def __init__(self, outward: Outward, now: Callable[[], float], namespace_parameter: str = "") -> None:
        self._outward = outward
        self._now = now
        self._namespace_parameter = namespace_parameter

    async def sample(self, source: PrometheusSource, namespace: str, pods: Sequence[Manifest]) -> Sample:
        """The newest scrape of each pod; `at` and `until` are the oldest and the newest of their moments.

        An outage is said in the sample: `down`, `slow`, `refused`, `invalid`, or `stale`, `missing`, `duplicates` for
        at least half of the pods.
        """
        now = self._now()
        wanted = {pod["metadata"]["name"]: _revision(pod) for pod in pods}
        if not wanted:
            return Sample(now, ())
        try:
            found = await self._found(source, namespace, wanted, now)
            lost = [pod for pod, one in found.items() if isinstance(one, _Absent) and one.kind == "missing"]
            last = await self._last_seen(source, namespace, lost, now) if lost else {}
        except Unanswered as error:
            return Sample(now, (), dict.fromkeys(wanted, error.kind), outage=str(error))
        absent = {pod: one for pod, one in found.items() if isinstance(one, _Absent)}
        absent |= {pod: _Absent("stale", f"its last sample is of {_text(at)}") for pod, at in last.items()}
        seen = [one for one in found.values() if not isinstance(one, _Absent)]
        moments = [at for at, _ in seen] or [now]
        return Sample(
            at=min(moments),
            pods=tuple(counters for _, counters in seen),
            absent={pod: f"{one.kind}: {one.said}" for pod, one in absent.items()},
            outage=_outage(source, absent, len(wanted)),
            until=max(moments),
        )

    async def values(self, source: PrometheusSource, query: str, now: float) -> Mapping[str, float]:
        """An instant vector: value by the series' labels as canonical JSON. Raises Unanswered."""
        rows = await self._query(source, query, now, "vector")
        return {json.dumps(row["metric"], sort_keys=True): float(row["value"][1]) for row in rows}

    async def _found(
        self, source: PrometheusSource, namespace: str, wanted: Mapping[str, str], now: float
    ) -> dict[str, Found]:
        """By pod, a few pods to a query: what it takes in memory is not theirs together. Raises Unanswered."""
        places, pods = asyncio.Semaphore(_AT_ONCE), sorted(wanted)

        async def some(group: Sequence[str]) -> dict[str, Found]:
            async with places:
                query = _raw(source, namespace, group, f"[{source.max_age:.0f}s]")
                rows = await self._query(source, query, now, what=f"{_ABOUT} of {len(group)} pods")
            return {pod: _counters(pod, wanted[pod], rows, source) for pod in group}

        groups = [pods[i : i + _PODS] for i in range(0, len(pods), _PODS)]
        answers = await asyncio.gather(*map(some, groups), return_exceptions=True)
        found: dict[str, Found] = {}
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            found |= answer
        return found

    async def _last_seen(
        self, source: PrometheusSource, namespace: str, pods: Sequence[str], now: float
    ) -> Mapping[str, float]:
        """When each of these pods was scraped last, as far as Prometheus knows."""
        selector = _raw(source, namespace, pods, "", (names.METRIC_START_TIME,))
        # The inner timestamps are those of the samples. A step as short as any scrape interval: a longer one passes by
        # a pod that was there between two steps, as Prometheus marks it gone when it is no target any more.
        query = f"max_over_time(timestamp({selector})[{_LOOK_BACK_SECONDS}s:1s])"
        found: dict[str, float] = {}
        for row in await self._query(source, query, now, "vector"):
            pod = row["metric"].get(source.pod_label, "")
            found[pod] = max(found.get(pod, 0.0), float(row["value"][1]))
        return found

    async def _query(
        self, source: PrometheusSource, query: str, now: float, shape: str = "matrix", what: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        """`what` the query asks for, if it asks for raw samples: of those there may be more."""
        endpoint = source.endpoint
        form = (("query", query), ("time", f"{now:.3f}"), ("timeout", f"{endpoint.timeout:g}s"))
        guard = ((self._namespace_parameter, endpoint.namespace),) if self._namespace_parameter else ()
        bound = Bound(_LONGEST, _SHORTEN.format(what)) if what else Bound(remedy="let the query give fewer series")
        message = Message("/api/v1/query", query=guard if endpoint.install else (), form=form, bound=bound)
        status, body = await self._outward.send(endpoint, message)
        return _rows(endpoint.url, status, document(body), shape)


def _rows(url: str, status: int, answer: Any, shape: str) -> Sequence[Mapping[str, Any]]:
    """The rows of a successful answer. Raises Unanswered."""
    if not isinstance(answer, dict) or answer.get("status") not in ("success", "error"):
        raise Unanswered("down", f"{url} answers HTTP {status} and not as Prometheus does; check the address")
    if answer["status"] == "error":
        kind = str(answer.get("errorType", ""))
        if kind in ("timeout", "canceled"):
            raise Unanswered("slow", f"{url} gave the query up ({kind}); ask for less, or raise the timeout")
        raise Unanswered("invalid", f"{url} refuses the query (HTTP {status}, {kind}); check it with promtool")
    if answer.get("warnings"):
        # Thanos and others say so that some of their stores did not answer.
        raise Unanswered("missing", f"{url} says that its answer is partial; check its stores")
    data = answer.get("data") or {}
    if data.get("resultType") != shape:
        raise Unanswered("invalid", f"the query must give a {shape}, not {data.get('resultType')}")
    rows: Sequence[Mapping[str, Any]] = data.get("result") or ()
    return rows


def _raw(
    source: PrometheusSource,
    namespace: str,
    pods: Mapping[str, str] | Sequence[str],
    span: str,
    metrics: Sequence[str] = ASKED,
) -> str:
    """A selector of these metrics of these pods."""
    exact = {source.namespace_label: namespace, **source.matchers}
    matchers = [
        f'__name__=~"{"|".join(metrics)}"',
        *(f"{label}={json.dumps(value)}" for label, value in exact.items()),
        f'{source.pod_label}=~"{"|".join(re.escape(pod).replace(chr(92), chr(92) * 2) for pod in sorted(pods))}"',
    ]
    return f"{{{', '.join(matchers)}}}{span}"


# --- one pod --------------------------------------------------------------------------------------------------------


def _counters(pod: str, revision: str, rows: Sequence[Series], source: PrometheusSource) -> Found:
    """The pod's newest scrape and its moment. Of targets that are the same process, one is enough."""
    own = [row for row in rows if row["metric"].get(source.pod_label) == pod]
    targets: dict[str, list[Series]] = defaultdict(list)
    for row in own:
        named = {label: value for label, value in row["metric"].items() if label not in _OWN_LABELS}
        targets[json.dumps(named, sort_keys=True)].append(row)
    read: list[tuple[float, PodCounters]] = []
    why = _Absent("missing", "no series of it")
    for name in sorted(targets):
        try:
            read.append(_newest(pod, revision, targets[name]))
        except Missing as error:
            why = _Absent("missing", str(error))
    if not read:
        return why
    starts = {counters.started for _, counters in read}
    if len(starts) > 1:
        return _Absent("duplicates", f"{len(read)} targets of this name that are different processes")
    # Always the same of them: another one would be ahead or behind, and counts would seem to fall.
    return read[0]


def _newest(pod: str, revision: str, rows: Sequence[Series]) -> tuple[float, PodCounters]:
    """What the newest scrape held: the last moment at which the process's start is known."""
    points = [(row["metric"], dict(_finite(row.get("values") or ()))) for row in rows]
    moments = [at for labels, values in points if labels.get("__name__") == names.METRIC_START_TIME for at in values]
    if not moments:
        raise Missing(names.METRIC_START_TIME)
    at = max(moments)
    series: dict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
    for labels, values in points:
        if at in values:
            series[labels.get("__name__", "")].append((labels, values[at]))
    return at, counted(pod, revision, series)


def _finite(values: Sequence[Sequence[Any]]) -> list[tuple[float, float]]:
    read = [(float(at), float(text)) for at, text in values]
    return [(at, value) for at, value in read if isfinite(value)]


def _text(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _revision(pod: Manifest) -> str:
    return str((pod["metadata"].get("labels") or {}).get(names.LABEL_REVISION, ""))


def _outage(source: PrometheusSource, absent: Mapping[str, _Absent], asked: int) -> str | None:
    """Half of the pods decide nothing: those that are there may be the healthy ones."""
    if 2 * len(absent) < asked or not absent:
        return None
    kinds = [one.kind for one in absent.values()]
    kind = max(sorted(set(kinds)), key=kinds.count)
    named = "; ".join(f"{pod}: {one.said}" for pod, one in sorted(absent.items())[:_NAMED])
    remedy = {
        "stale": "check that it still scrapes them, and that maxAge is twice its interval",
        "missing": f"check that it scrapes them with the labels {source.namespace_label} and {source.pod_label}",
        "duplicates": "let one target of each pod have its name, or tell them apart by matchers",
    }[kind]
    return f"{kind}: {source.endpoint.url} has no fresh counters of {len(absent)} of {asked} pods ({named}); {remedy}"
