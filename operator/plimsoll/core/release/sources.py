"""Whom the evidence of a release is asked from, by its spec and by what the install allows."""

from __future__ import annotations

from typing import Any

from plimsoll.api.analysis import Analysis
from plimsoll.api.common import seconds
from plimsoll.api.evidence import CustomMetric, Prometheus
from plimsoll.api.inferenceservice import RevisionRef
from plimsoll.api.judges import Judge, Webhook
from plimsoll.core import following, gateway, route
from plimsoll.core.conditions import timestamp
from plimsoll.core.external import PARTS, arms
from plimsoll.core.release import pace
from plimsoll.core.release.observed import Observed
from plimsoll.facts import ArmCounts, Demand, Endpoint, External, PrometheusSource, Window
from plimsoll.names import LATENCY_EDGES

_NO_ADDRESS = (
    "refused: this install has no Prometheus: give spec.release.analysis.prometheus.url, set prometheus.url of the"
    " chart, or use source: Scrape"
)


def prometheus(observed: Observed) -> PrometheusSource | str:
    """The Prometheus of the spec, or the install's; a sentence when there is none."""
    asked = observed.spec.release.analysis.prometheus or Prometheus()
    if asked.url is None and not observed.settings.prometheus_url:
        return _NO_ADDRESS
    token, authority = asked.token_secret, asked.ca_config_map
    endpoint = Endpoint(
        url=asked.url or observed.settings.prometheus_url,
        namespace=observed.namespace,
        timeout=seconds(asked.timeout),
        token=(token.name, token.key) if token else None,
        authority=(authority.name, authority.key) if authority else None,
        install=asked.url is None,
    )
    return PrometheusSource(endpoint, seconds(asked.max_age), asked.namespace_label, asked.pod_label, asked.matchers)


#: A judge that was not asked of this window: the operator crashed between asking and recording, say.
UNASKED = External(gap="it was not asked of this window")


def demands(analysis: Analysis) -> tuple[Demand, ...]:
    """What custom metrics and judges have to be shown, by the spec; a judge has the name `judge/{name}`."""
    custom = tuple(
        Demand(
            one.name, one.kind, one.margin, one.max,
            low=one.range.min if one.range else 0.0, high=one.range.max if one.range else 1.0,
            sign=-1 if one.worse == "Lower" else 1,
        )
        for one in analysis.custom
    )  # fmt: skip
    return (*custom, *(Demand(judge_key(one.name), "Judge") for one in analysis.judges))


def judge_key(name: str) -> str:
    """By which name windows and ledger know a judge: a custom metric may have the same one."""
    return f"judge/{name}"


def called(name: str) -> str:
    """How a sentence names a custom metric or a judge."""
    return name.replace("judge/", "judge ", 1)


def queries(observed: Observed, metric: CustomMetric) -> dict[str, str]:
    """The PromQL of a custom metric by "arm/part", its placeholders filled in: all are names, without quotes."""
    status, parts = observed.status, PARTS[metric.kind]
    texts = {"events": metric.query, "sum": metric.query, "total": metric.total, "squares": metric.squares}
    references = {"candidate": status.candidate, "stable": route.compared(status)}
    found = {}
    for arm in arms(metric.margin):
        reference = references[arm]
        for part in parts:
            text = texts[part]
            if text is not None and reference is not None:
                named = {"$revision": reference.revision, "$namespace": observed.namespace, "$service": observed.name}
                for placeholder, value in named.items():
                    text = text.replace(placeholder, value)
                found[f"{arm}/{part}"] = text
    return found


def webhook(observed: Observed, asked: Webhook) -> Endpoint:
    """Where a judge is asked."""
    token, authority = asked.token_secret, asked.ca_config_map
    return Endpoint(
        asked.url, observed.namespace, seconds(asked.timeout), (token.name, token.key) if token else None,
        (authority.name, authority.key) if authority else None,
    )  # fmt: skip


def document(observed: Observed, judge: Judge, window: Window) -> dict[str, Any]:
    """What a judge is sent of a window; `id` is the same when it is asked again."""
    status, stable = observed.status, route.compared(observed.status)
    assert stable is not None and status.candidate is not None
    uid = observed.owner["metadata"]["uid"]
    return {
        "formatVersion": 1,
        "id": f"{uid}/{status.attempt}/{window.index}/{judge.name}",
        "judge": judge.name,
        "service": {"namespace": observed.namespace, "name": observed.name, "model": observed.spec.model.name},
        "release": {"attempt": status.attempt, "step": window.step, "weight": window.weight},
        "window": {"index": window.index, "start": timestamp(window.start), "end": timestamp(window.end)},
        "stable": _arm(stable, window.stable),
        "candidate": _arm(status.candidate, window.candidate),
        "custom": {
            name: {"stable": list(one.stable), "candidate": list(one.candidate), "gap": one.gap}
            for name, one in window.external.items()
            if not name.startswith("judge/")
        },
    }


def _arm(reference: RevisionRef, counts: ArmCounts) -> dict[str, Any]:
    return {
        "version": reference.version,
        "revision": reference.revision,
        "digest": reference.digest,
        "requests": counts.requests,
        "failures": counts.failures,
        "clientErrors": counts.client_errors,
        "timed": counts.timed,
        "slowerThanSeconds": dict(zip(map(str, LATENCY_EDGES), counts.slower, strict=False)),
    }


def from_prometheus(observed: Observed) -> bool:
    """Whether the counters of the release are Prometheus' and not the pods' own."""
    return observed.spec.release.analysis.source == "Prometheus"


def counts(observed: Observed) -> bool:
    """Whether counters are evidence in this pass: the pods were seen to follow the share that is in force, or there is
    none yet and the stable version is watched."""
    status = observed.status
    if status.stable is None or not pace.measured(status):
        return status.stable is not None and pace.precedes(observed, status)
    follow = following.followed(observed, status) and gateway.followed(observed, status)
    return status.step_since is not None or follow
