"""Who else judges a release: a webhook that is asked, or a Job of yours."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from plimsoll.api.cel import Rule, between, checked
from plimsoll.api.common import Duration, EnvVars, Image, Name, Part, Resources, Text
from plimsoll.api.evidence import Address, ConfigMapKey, SecretKey

#: Not 1 or 2, with which interpreters and shells end on mistakes of their own.
FAIL_EXIT_CODE: Final = 10
JOB_TIMEOUT: Final = "5m"


class Webhook(Part):
    """An HTTP server that judges: gets a JSON document, answers {"verdict", "reason"}."""

    rules = (
        Rule(
            "!has(self.caConfigMap) || self.url.startsWith('https://')",
            "caConfigMap applies only to an https url: remove it, or change the url",
            ".caConfigMap",
        ),
    )
    url: Address = Field(description="Where the document is posted.")
    timeout: Annotated[Duration, Field(json_schema_extra=between("1s", "10s"))] = Field(
        default="5s", description="Longest time to answer; later there is no answer, which holds as an outage does."
    )
    token_secret: SecretKey | None = Field(default=None, description="Holds a bearer token that is sent along.")
    ca_config_map: ConfigMapKey | None = Field(default=None, description="Holds the CA that signed its certificate.")


class JudgeJob(Part):
    """A container of yours that judges by its exit code: 0 passes, failExitCode fails, any other is no answer."""

    image: Image = Field(description="Image of the judge.")
    command: Annotated[tuple[Text, ...], Field(max_length=64)] = Field(
        default=(), description="Entrypoint; default: the image's."
    )
    args: Annotated[tuple[Text, ...], Field(max_length=64)] = Field(default=(), description="Arguments.")
    env: EnvVars = Field(default=(), description="Environment variables.")
    resources: Resources = Field(default=Resources(cpu="100m", memory="256Mi"), description="Of the judge's container.")
    timeout: Annotated[Duration, Field(json_schema_extra=between("1s", "24h"))] = Field(
        default=JOB_TIMEOUT, description="Longest time of one Job, with what it waits for; later there is no answer."
    )
    interval: Annotated[Duration, Field(json_schema_extra=between("1s", "24h"))] = Field(
        default="1m",
        description="Least time from one judged window to the next; until then the last answer stands, in its step.",
    )
    fail_exit_code: Annotated[int, Field(ge=1, le=125)] = Field(
        default=FAIL_EXIT_CODE, description="The exit code that says Fail."
    )


class Judge(Part):
    """Somebody else who has to agree."""

    rules = (Rule("has(self.webhook) != has(self.job)", "set exactly one of webhook and job"),)
    name: Name = Field(description="What it is called in sentences.")
    webhook: Webhook | None = Field(default=None, description="Asked after each window.")
    job: JudgeJob | None = Field(default=None, description="Run for a window, and again for a later one.")


Judges = Annotated[
    tuple[Judge, ...],
    Field(max_length=5, json_schema_extra=checked(list_type="map", list_map_keys=["name"])),
]
