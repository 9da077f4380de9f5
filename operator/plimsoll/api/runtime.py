"""How a server runs: its pods or its pool, how requests share a run, and what is logged of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from plimsoll.api.cel import CREDENTIALS, Rule, checked
from plimsoll.api.common import EnvVars, Name, Part, Resources, Short


class Batching(Part):
    """Which requests share a run of the model. Models whose rows affect each other never share one."""

    max_batch_size: Annotated[int, Field(ge=1, le=65536)] | None = Field(
        default=None, description="Most rows of one run; 1 turns batches off. Default: 1024."
    )
    max_delay_milliseconds: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        default=None,
        description="How long a run waits for more rows, at the cost of every answer; default: 0, what has arrived.",
    )


class PayloadLog(Part):
    """A sample of requests and answers as CloudEvents."""

    sample_percent: Annotated[float, Field(gt=0, le=100)] = Field(description="Percent of the answers.")
    sink: Annotated[
        str,
        Field(
            max_length=512,
            json_schema_extra=checked(
                Rule(
                    "self.matches('^(https?://[^ /]+(/[^ ]*)?|file:///tmp/[^ ]+"
                    "|s3://[a-z0-9][-.a-z0-9]{1,61}[a-z0-9](/[^ ?#]*)?)$')",
                    "must be http(s)://host/path, s3://bucket/prefix, or file:///tmp/name, the only folder that a"
                    " server may write",
                ),
                CREDENTIALS,
            ),
        ),
    ] = Field(
        description="Where to: http(s)://host/path takes CloudEvents; s3://bucket/prefix gets objects, with the store"
        " and the keys of the Secret plimsoll-payload-log; file:///tmp/name stays in the pod."
    )
    mask: Annotated[
        tuple[
            Annotated[
                str,
                Field(
                    min_length=1,
                    max_length=253,
                    json_schema_extra=checked(Rule("!self.contains(',')", "must be one name, without a comma")),
                ),
            ],
            ...,
        ],
        Field(max_length=64),
    ] = Field(default=(), description="Inputs, outputs and features whose values are never written.")


_EXTENDED = Rule(
    r"self.all(name, name.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+"
    r"/[a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?$') && !name.contains('kubernetes.io/')"
    " && !name.startsWith('requests.'))",
    "keys must be names of extended resources, such as nvidia.com/gpu",
)


class ServingResources(Resources):
    """Requests and limits of the server."""

    extended: Annotated[
        dict[Short, Annotated[int, Field(ge=1, le=64)]], Field(max_length=8, json_schema_extra=checked(_EXTENDED))
    ] = Field(
        default_factory=dict, description="Devices of the node, by the names of their resources: nvidia.com/gpu: 1."
    )


class PoolRef(Part):
    """The pool whose pods serve the model."""

    name: Name = Field(description="Name of a ServingPool of this namespace.")


def _of_the_pool(field: str, untouched: str, remedy: str = "set spec.{field} of the ServingPool instead") -> Rule:
    """A field that says how pods are made does not apply where they are the pool's."""
    return Rule(
        f"!has(self.pool) || {untouched}",
        f"{field} does not apply with pool, whose pods are shared: leave it out, or {remedy.format(field=field)}",
        f".{field}",
    )


class Runtime(Part):
    """How the server runs: in pods of its own, or in those of a pool."""

    rules = (
        _of_the_pool("replicas", "self.replicas == 1"),
        _of_the_pool(
            "resources",
            "(string(self.resources.cpu) == '500m' && string(self.resources.memory) == '512Mi'"
            " && !has(self.resources.cpuLimit) && !has(self.resources.extended))",
        ),
        _of_the_pool("executionProvider", "!has(self.executionProvider)", "serve the model from pods of its own"),
        Rule(
            "!has(self.executionProvider) || self.executionProvider != 'CUDAExecutionProvider' ||"
            " (has(self.resources.extended) && self.resources.extended.exists(name, name.startsWith('nvidia.com/')))",
            "executionProvider CUDAExecutionProvider needs a GPU: ask for one in resources.extended, such as"
            " nvidia.com/gpu: 1",
            ".executionProvider",
        ),
        _of_the_pool("env", "!has(self.env) || size(self.env) == 0"),
        _of_the_pool("intraOpThreads", "!has(self.intraOpThreads)"),
        Rule(
            "!has(self.pool) || !has(self.payloadLog) || self.payloadLog.sink.startsWith('http')",
            "sink must be http(s)://host/path with pool: the files of all services would share the pods' small /tmp,"
            " and their servers hold no keys of a store",
            ".payloadLog.sink",
        ),
        _of_the_pool("nodeSelector", "!has(self.nodeSelector) || size(self.nodeSelector) == 0"),
        _of_the_pool("terminationGracePeriodSeconds", "self.terminationGracePeriodSeconds == 45"),
    )
    pool: PoolRef | None = Field(
        default=None, description="Serve from the pods of this ServingPool, together with other models."
    )
    replicas: Annotated[int, Field(ge=1, le=100)] = Field(default=1, description="Pods that serve the stable version.")
    resources: ServingResources = Field(default_factory=ServingResources, description="Of each server.")
    execution_provider: Literal["CPUExecutionProvider", "OpenVINOExecutionProvider", "CUDAExecutionProvider"] | None = (
        Field(
            default=None,
            description="What ONNX Runtime runs the model on, in the install's image for it; default:"
            " CPUExecutionProvider. Pods whose model cannot run on it at all do not start.",
        )
    )
    env: EnvVars = Field(default=(), description="Environment variables of the server.")
    intra_op_threads: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="Threads of one inference; default: the CPU limit."
    )
    batching: Batching | None = Field(
        default=None,
        description="Which requests share a run; default: the pool's, else the server's. A change is a new revision.",
    )
    payload_log: PayloadLog | None = Field(
        default=None, description="A sample of requests and answers, sent elsewhere; a change is a new revision."
    )
    node_selector: Annotated[dict[Short, Annotated[str, Field(max_length=63)]], Field(max_length=16)] = Field(
        default_factory=dict, description="Labels of nodes that may run the pods."
    )
    termination_grace_period_seconds: Annotated[int, Field(ge=15, le=600)] = Field(
        default=45, description="Longest time for a pod to finish its requests."
    )
