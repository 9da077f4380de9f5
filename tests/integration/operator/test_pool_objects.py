"""What a ServingPool is made of, as a real API server takes it: nothing is refused, and nothing differs afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from plimsoll import names
from plimsoll.api.servingpool import ServingPoolSpec
from plimsoll.core.drift import covers
from plimsoll.core.pool import template as templates
from plimsoll.core.pool.template import Template
from plimsoll.edge.resources import resource_of
from plimsoll.edge.rest import Api, Request
from plimsoll.facts import Settings

SPECS: dict[str, dict[str, Any]] = {
    "as little as possible": {},
    "quantities in other words": {"storage": "2048Mi", "resources": {"cpu": "1000m", "memory": "1024Mi"}},
    "everything": {
        "replicas": 2, "resources": {"cpu": "2", "memory": "4Gi", "cpuLimit": "3"}, "storage": "20Gi",
        "env": [{"name": "OMP_NUM_THREADS", "value": "1"}, {"name": "EMPTY"}], "intraOpThreads": 2,
        "batching": {"maxBatchSize": 64, "maxDelayMilliseconds": 3},
        "nodeSelector": {"kubernetes.io/arch": "amd64"}, "terminationGracePeriodSeconds": 60,
    },
}  # fmt: skip


def template(namespace: str, spec: dict[str, Any]) -> Template:
    meta = {"name": "shared", "namespace": namespace}
    return templates.chosen((), meta, ServingPoolSpec.model_validate(spec), Settings())


async def tried(rest: Api, manifest: dict[str, Any]) -> Any:
    """The object as the API server would store it."""
    resource = resource_of(manifest["apiVersion"], manifest["kind"])
    params = {"dryRun": "All", "fieldValidation": "Strict"}
    return await rest.call(
        Request("POST", resource.path(manifest["metadata"]["namespace"]), resource.plural, manifest, params)
    )


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
async def test_no_object_of_a_pool_is_refused_or_written_twice(rest: Api, namespace: str, spec: dict[str, Any]) -> None:
    made = template(namespace, spec)
    wanted = [
        templates.stored(made), templates.deployment(made), templates.config_map("shared", namespace),
        templates.disruption_budget("shared", namespace),
        templates.public_service("digits", namespace, "digits", "shared"),
    ]  # fmt: skip
    for manifest in wanted:
        assert covers(await tried(rest, manifest), manifest), manifest["kind"]


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
async def test_a_pod_of_a_pool_may_run_where_pod_security_is_restricted(
    rest: Api, namespace: str, spec: dict[str, Any]
) -> None:
    made = template(namespace, spec).template
    meta = {**made["metadata"], "name": "shared-pool-x", "namespace": namespace}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {
        "name": names.SERVICE_ACCOUNTS["serve"], "namespace": namespace,
    }}  # fmt: skip
    resource = resource_of("v1", "ServiceAccount")
    await rest.call(Request("POST", resource.path(namespace), resource.plural, account))
    pod = await tried(rest, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": made["spec"]})
    assert pod["spec"]["initContainers"][0]["restartPolicy"] == "Always"
