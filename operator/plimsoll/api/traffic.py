"""How an InferenceService splits its requests between two versions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from plimsoll.api.cel import Rule, cel_list, checked, matching, operator_default
from plimsoll.api.common import Part

#: Headers that belong to one connection, to the message or to the proxy itself (RFC 9110, sections 6 and 7.6.1).
UNFIT_HEADERS = (
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "expect", "host", "content-length", "content-type", "content-encoding",
)  # fmt: skip
HeaderName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        json_schema_extra=checked(
            Rule("self.matches('^[A-Za-z0-9-]+$')", "must be a header's name: letters, digits and -"),
            Rule(
                f"!(self.lowerAscii() in {cel_list(UNFIT_HEADERS)}) && !self.lowerAscii().startsWith('plimsoll-')",
                "must be a header that tells users apart, such as x-user-id:"
                " this one belongs to the connection, the message or the operator",
            ),
        ),
    ),
]
_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
DnsName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=matching(
            rf"^{_LABEL}(\.{_LABEL})*$", "must be a DNS name of a-z, 0-9, - and dots, such as models.example.com"
        ),
    ),
]
Hostname = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        json_schema_extra=matching(
            rf"^(\*\.)?{_LABEL}(\.{_LABEL})*$",
            "must be a host's name such as models.example.com, or *.example.com for all of a domain",
        ),
    ),
]
PathPrefix = Annotated[
    str,
    Field(
        max_length=256,
        json_schema_extra=matching(
            r"^(/|(/[-A-Za-z0-9_~%.]*[-A-Za-z0-9_~%])+)$",
            "must be a path such as / or /v2, without a slash at its end",
        ),
    ),
]


class Session(Part):
    """The gateway keeps the requests of a session with one pod, and so with one version, while it may answer them."""

    rules = (
        Rule(
            "self.type != 'Header' || !(self.name.lowerAscii() in ['authorization', 'cookie', 'set-cookie'])",
            "name must be a header of its own, such as x-session: the gateway gives it a value",
            ".name",
        ),
    )
    type: Literal["Cookie", "Header"] = Field(
        default="Cookie", description="What carries the session: clients send back what the first answer gave them."
    )
    name: HeaderName = Field(description="Name of the cookie, or of the header.")


class GatewayRef(Part):
    """The Gateway that the operator's HTTPRoute attaches to, and which of its requests are for this service."""

    rules = (
        Rule(
            "!has(self.armHeader) || !has(self.session) || self.session.type != 'Header'"
            " || self.session.name.lowerAscii() != self.armHeader.lowerAscii()",
            "session must have another header than armHeader: one is the gateway's to set, the other the caller's",
            ".session",
        ),
    )

    name: DnsName = Field(description="Name of the Gateway.")
    namespace: Annotated[DnsName, Field(json_schema_extra=operator_default("the service's own"))] | None = Field(
        default=None, description="Its namespace; its listener has to allow routes from here."
    )
    section_name: DnsName | None = Field(default=None, description="One listener of it; default: all.")
    hostnames: Annotated[tuple[Hostname, ...], Field(max_length=16)] = Field(
        default=(), description="Hosts that the requests are for; default: every host of the listener."
    )
    path_prefix: (
        Annotated[PathPrefix, Field(json_schema_extra=operator_default("/v2/models/ and the model's name"))] | None
    ) = Field(default=None, description="How the paths of its requests begin; / is every path that the server has.")
    arm_header: HeaderName | None = Field(
        default=None,
        description="Requests with this header go to one version while two take requests:"
        " stable or candidate is its value.",
    )
    session: Session | None = Field(
        default=None,
        description="Keep users with one version by the gateway's session persistence, which is of the experimental"
        " channel of the Gateway API.",
    )


class Traffic(Part):
    """How requests are split."""

    rules = (
        Rule(
            "self.provider != 'GatewayAPI' || has(self.gatewayRef)",
            "gatewayRef is needed with provider: GatewayAPI: name the Gateway that the HTTPRoute attaches to",
            ".gatewayRef",
        ),
        Rule(
            "self.provider == 'GatewayAPI' || !has(self.gatewayRef)",
            "gatewayRef applies only to provider: GatewayAPI: remove it, or change the provider",
            ".gatewayRef",
        ),
        Rule(
            "self.provider == 'Builtin' || !has(self.stickyHeader)",
            "stickyHeader applies only to provider: Builtin: an HTTPRoute cannot keep the requests of one header value"
            " together; remove it, or use gatewayRef.session to keep users with one version, or gatewayRef.armHeader to"
            " send chosen requests to one",
            ".stickyHeader",
        ),
    )
    provider: Literal["Builtin", "GatewayAPI"] = Field(
        default="Builtin",
        description="Builtin works on any cluster, without add-ons; GatewayAPI also splits what comes through a"
        " Gateway, by an HTTPRoute.",
    )
    sticky_header: HeaderName | None = Field(
        default=None, description="Requests with the same value of this header stay with one version."
    )
    gateway_ref: GatewayRef | None = Field(default=None, description="The Gateway, with provider: GatewayAPI.")
