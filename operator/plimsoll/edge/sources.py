"""ports.Sources: the evidence that does not come from the pods themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from plimsoll.edge.outward import Bound, Message, Outward, Unanswered, document
from plimsoll.edge.prometheus import Prometheus
from plimsoll.facts import Endpoint, External, Manifest, PrometheusSource, Reading, Sample, Settings

#: Of one query, so that the record of a release stays small.
MAX_SERIES: Final = 50
_LONGEST_ANSWER: Final = 64 * 1024
_LONGEST_REASON: Final = 200
_VERDICTS: Final = ("Pass", "Fail", "Inconclusive")


class Sources:
    """`now` is Unix seconds."""

    def __init__(self, outward: Outward, settings: Settings, now: Callable[[], float]) -> None:
        self._outward = outward
        self._now = now
        self._prometheus = Prometheus(outward, now, settings.prometheus_namespace_parameter)

    async def counters(self, source: PrometheusSource, namespace: str, pods: Sequence[Manifest]) -> Sample:
        """The pods' counters as a Prometheus scraped them."""
        return await self._prometheus.sample(source, namespace, pods)

    async def custom(self, source: PrometheusSource, queries: Mapping[str, Mapping[str, str]]) -> Mapping[str, Reading]:
        """What the queries of users' metrics give, by metric and key, all at one moment."""
        at = self._now()
        found = await asyncio.gather(*(self._read(source, asked, at) for asked in queries.values()))
        return dict(zip(queries, found, strict=True))

    async def judge(self, asked: Mapping[str, tuple[Endpoint, Mapping[str, Any]]]) -> Mapping[str, External]:
        """The answers of webhooks to these documents; Inconclusive with the reason when there is none."""
        found = await asyncio.gather(*(self._judged(*one) for one in asked.values()))
        return dict(zip(asked, found, strict=True))

    async def _read(self, source: PrometheusSource, queries: Mapping[str, str], at: float) -> Reading:
        """Of one metric; series are known by a digest of their labels."""
        values: dict[str, dict[str, float]] = {}
        try:
            for key, query in queries.items():
                found = await self._prometheus.values(source, query, at)
                if len(found) > MAX_SERIES:
                    return Reading(gap=f"invalid: {key} gives {len(found)} series, more than {MAX_SERIES}; sum them up")
                values[key] = {sha256(labels.encode()).hexdigest()[:16]: value for labels, value in found.items()}
        except Unanswered as error:
            return Reading(gap=str(error))
        return Reading(values)

    async def _judged(self, endpoint: Endpoint, asked: Mapping[str, Any]) -> External:
        try:
            status, body = await self._outward.send(endpoint, Message(body=asked, bound=Bound(_LONGEST_ANSWER)))
        except Unanswered as error:
            return External(gap=_shortened(str(error)))
        if status != 200:
            return External(gap=_shortened(f"invalid: {endpoint.url} answers HTTP {status}"))
        answer = document(body)
        verdict = answer.get("verdict") if isinstance(answer, dict) else None
        if verdict not in _VERDICTS:
            return External(gap=f'invalid: the answer has no "verdict" of {", ".join(_VERDICTS)}')
        return External(answer=verdict, reason=_shortened(str(answer.get("reason") or "")))


def _shortened(text: str) -> str:
    """One printable line."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1] + "…"
