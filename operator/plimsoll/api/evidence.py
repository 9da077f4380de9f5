"""Where evidence comes from besides the pods themselves: a Prometheus, queries of yours, and further judges."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from plimsoll.api.cel import CREDENTIALS, Rule, between, checked, matching
from plimsoll.api.common import Duration, Part

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
