"""Where evidence comes from besides the pods themselves: a Prometheus, and queries of yours."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from plimsoll.api.cel import CREDENTIALS, Rule, between, checked, matching
from plimsoll.api.common import Duration, Name, Part

_URL_FORM = Rule(
    "self.matches('^https?://[A-Za-z0-9.:_-]+(/[A-Za-z0-9._~/-]*)?$')",
    "must be http(s)://host[:port][/path], without blanks, query or credentials",
)
Address = Annotated[str, Field(max_length=512, json_schema_extra=checked(_URL_FORM, CREDENTIALS))]
_LABEL = matching("^[a-zA-Z_][a-zA-Z0-9_]*$", "must be a label's name: letters, digits and _, no digit first")
LabelName = Annotated[str, Field(min_length=1, max_length=64, json_schema_extra=_LABEL)]
ObjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=matching(
            "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", "must be an object's name: a-z, 0-9, - and ., no - or . at its ends"
        ),
    ),
]
KeyName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=matching("^[-._a-zA-Z0-9]+$", "must be a key of the object: letters, digits, -, _ and ."),
    ),
]


class SecretKey(Part):
    """A key of a Secret of the same namespace, which must carry the label plimsoll.dev/allow: "true"."""

    name: ObjectName = Field(description='Name of the Secret; it must carry the label plimsoll.dev/allow: "true".')
    key: KeyName = Field(default="token", description="Its key.")


class ConfigMapKey(Part):
    """A key of a ConfigMap of the same namespace."""

    name: ObjectName = Field(description="Name of the ConfigMap.")
    key: KeyName = Field(default="ca.crt", description="Its key.")


class Prometheus(Part):
    """A Prometheus, or what speaks its API."""

    rules = (
        Rule(
            "has(self.url) || (!has(self.tokenSecret) && !has(self.caConfigMap))",
            "tokenSecret and caConfigMap belong to a url of yours: give it, or leave them out for the install's server",
            ".url",
        ),
        Rule(
            "!has(self.caConfigMap) || (has(self.url) && self.url.startsWith('https://'))",
            "caConfigMap applies only to an https url: remove it, or change the url",
            ".caConfigMap",
        ),
    )
    url: Address | None = Field(
        default=None, description="Its address, for example http://prometheus.team-a.svc:9090; default: the install's."
    )
    token_secret: SecretKey | None = Field(default=None, description="Holds the bearer token for url.")
    ca_config_map: ConfigMapKey | None = Field(default=None, description="Holds the CA that signed url's certificate.")
    timeout: Annotated[Duration, Field(json_schema_extra=between("1s", "10s"))] = Field(
        default="5s", description="Longest time of one query."
    )
    max_age: Annotated[Duration, Field(json_schema_extra=between("10s", "1h"))] = Field(
        default="2m",
        description="Older samples are stale and count for nothing; at least twice the scrape interval.",
    )
    namespace_label: LabelName = Field(default="namespace", description="Label that holds a pod's namespace.")
    pod_label: LabelName = Field(default="pod", description="Label that holds a pod's name.")
    matchers: Annotated[
        dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=253)]],
        Field(
            max_length=8,
            json_schema_extra=checked(
                Rule(
                    "self.all(label, label.matches('^[a-zA-Z_][a-zA-Z0-9_]*$'))",
                    "keys must be labels' names: letters, digits and _, no digit first",
                )
            ),
        ),
    ] = Field(default_factory=dict, description="Further labels of the pods' series, for example cluster: eu-1.")


Query = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2048,
        json_schema_extra=checked(
            Rule(
                "self.contains('$revision')",
                "must hold the placeholder $revision, by which the versions are told apart; $namespace and $service"
                " are there too",
            )
        ),
    ),
]


class Range(Part):
    """Between what single values lie."""

    rules = (Rule("self.min < self.max", "max must be above min", ".max"),)
    min: float = Field(description="The least that a value can be.")
    max: float = Field(description="The most that a value can be.")


class CustomMetric(Part):
    """A metric of yours, by PromQL that gives counters as they are: no rate() or increase()."""

    rules = (
        Rule(
            "self.kind == 'Counter' || has(self.total)",
            "kind: Ratio and kind: Mean need total: the query that counts trials, or values",
            ".total",
        ),
        Rule(
            "self.kind != 'Counter' || !has(self.total)", "total does not apply to kind: Counter: remove it", ".total"
        ),
        Rule(
            "self.kind == 'Mean' || (!has(self.squares) && !has(self.range) && !has(self.worse))",
            "squares, range and worse apply only to kind: Mean: remove them, or change the kind",
            ".kind",
        ),
        Rule("self.kind != 'Mean' || has(self.range)", "kind: Mean needs range: between what values lie", ".range"),
        Rule(
            "self.kind != 'Ratio' || has(self.max) != has(self.margin)",
            "kind: Ratio needs either margin (against the stable version) or max (by itself)",
            ".margin",
        ),
        Rule(
            "self.kind != 'Ratio' || ((!has(self.margin) || self.margin > 1.0) && (!has(self.max) || self.max < 1.0))",
            "of kind: Ratio margin is a ratio above 1, max a share below 1",
            ".margin",
        ),
        Rule(
            "self.kind != 'Mean' || (has(self.margin) && !has(self.max))",
            "kind: Mean needs margin, the difference of means that is still accepted, and has no max",
            ".margin",
        ),
        Rule(
            "self.kind != 'Counter' || (has(self.max) && !has(self.margin))",
            "kind: Counter needs max, the most events of the candidate in a release, and has no margin",
            ".max",
        ),
    )
    name: Name = Field(description="What it is called in sentences.")
    kind: Literal["Ratio", "Mean", "Counter"] = Field(
        description="Ratio: events among trials; Mean: of values between known bounds; Counter: events that are rare."
    )
    query: Query = Field(description="Ratio and Counter: the counter of events; Mean: the counter that sums values.")
    total: Query | None = Field(default=None, description="Ratio: the counter of trials; Mean: of values.")
    squares: Query | None = Field(
        default=None, description="Mean: the counter that sums squares of values; without it more values are needed."
    )
    margin: Annotated[float, Field(gt=0, le=1000000000)] | None = Field(
        default=None, description="Ratio: rate ratio to stable that is accepted; Mean: difference that is accepted."
    )
    max: Annotated[float, Field(ge=0, le=1000000000)] | None = Field(
        default=None, description="Ratio: the candidate's share of events; Counter: its events in the whole release."
    )
    range: Range | None = Field(default=None, description="Mean: between what single values lie.")
    worse: Literal["Higher", "Lower"] | None = Field(
        default=None, description="Mean: in which direction harm lies; default: Higher."
    )


_BY_NAME = checked(list_type="map", list_map_keys=["name"])
CustomMetrics = Annotated[tuple[CustomMetric, ...], Field(max_length=10, json_schema_extra=_BY_NAME)]
