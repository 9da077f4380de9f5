"""Whom the evidence of a release is asked from, by its spec and by what the install allows."""

from __future__ import annotations

from plimsoll.api.common import seconds
from plimsoll.api.evidence import Prometheus
from plimsoll.core import route
from plimsoll.core.release.observed import Observed
from plimsoll.facts import Endpoint, PrometheusSource

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


def from_prometheus(observed: Observed) -> bool:
    """Whether the counters of the release are Prometheus' and not the pods' own."""
    return observed.spec.release.analysis.source == "Prometheus"


def counts(observed: Observed) -> bool:
    """Whether counters are evidence in this pass: the pods were seen to follow the share that is in force."""
    status = observed.status
    if status.candidate is None or status.stable is None or not status.weight:
        return False
    return status.step_since is not None or route.followed(observed, status)
