"""ServingPool: pods that several InferenceServices share, each with its own model and its own release."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from plimsoll.api.common import Conditions, Cpu, EnvVars, Memory, Part, Resources, Short, StatusPart, Text
from plimsoll.api.runtime import Batching


class PoolResources(Resources):
    """Requests and limits of the server of each pod."""

    cpu: Cpu = Field(default="1", description="CPU request, for example 500m or 2.")
    memory: Memory = Field(default="1Gi", description="Memory request and limit, for example 2Gi.")


class ServingPoolSpec(Part):
    """Pods that host the models of all InferenceServices that name this pool in runtime.pool."""

    replicas: Annotated[int, Field(ge=1, le=100)] = Field(
        default=1, description="Pods; each of them serves every model of the pool."
    )
    resources: PoolResources = Field(
        default_factory=PoolResources,
        description="Of each server. Models in memory share about half of it; the least recently used is put out.",
    )
    storage: Memory = Field(
        default="5Gi", description="Room in each pod for the files of all models; what is beyond it is not served."
    )
    env: EnvVars = Field(default=(), description="Environment variables of the server.")
    intra_op_threads: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None, description="Threads of one inference; default: the CPU limit."
    )
    batching: Batching | None = Field(
        default=None, description="Which requests share a run, for services that say nothing of it themselves."
    )
    node_selector: Annotated[dict[Short, Annotated[str, Field(max_length=63)]], Field(max_length=16)] = Field(
        default_factory=dict, description="Labels of nodes that may run the pods."
    )
    termination_grace_period_seconds: Annotated[int, Field(ge=15, le=600)] = Field(
        default=45, description="Longest time for a pod to finish its requests."
    )


class ServingPoolStatus(StatusPart):
    """What the pool's pods are, and how many services they serve."""

    observed_generation: int | None = Field(default=None, description="The generation acted on.")
    phase: Literal["Pending", "Ready", "Degraded"] | None = Field(
        default=None, description="Whether pods serve: Degraded when none does."
    )
    template: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="Name of the ControllerRevision that the pods are made from."
    )
    services: int = Field(default=0, description="InferenceServices that name this pool.")
    in_use_by: Annotated[tuple[Short, ...], Field(max_length=64)] = Field(
        default=(), description="Names of these services, at most 64. While there is one, the pool is not deleted."
    )
    replicas: Annotated[str, Field(max_length=16)] | None = Field(default=None, description="Ready and wanted pods.")
    message: Text | None = Field(default=None, description="What is going on, in a sentence.")
    conditions: Conditions = Field(default=(), description="Ready.")
