"""Where each kind lives in the API, and which kinds are watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from plimsoll import names
from plimsoll.facts import Ref


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind and its plural. `ours` are the kinds of our group: the others are watched by label only."""

    api_version: str
    kind: str
    plural: str

    @property
    def ours(self) -> bool:
        return self.api_version == names.API_VERSION

    @property
    def selector(self) -> str | None:
        """The label selector of lists and watches."""
        return None if self.ours else names.MANAGED_SELECTOR

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection (of all namespaces when `namespace` is empty), object or subresource."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        parts = [root, *(("namespaces", namespace) if namespace else ()), self.plural, name, subresource]
        return "/".join(part for part in parts if part)


WATCHED: Final = (
    Resource(names.API_VERSION, "TrainingJob", "trainingjobs"),
    Resource(names.API_VERSION, "ModelVersion", "modelversions"),
    Resource(names.API_VERSION, "InferenceService", "inferenceservices"),
    Resource(names.API_VERSION, "ServingPool", "servingpools"),
    Resource("batch/v1", "Job", "jobs"),
    Resource("apps/v1", "Deployment", "deployments"),
    Resource("apps/v1", "ControllerRevision", "controllerrevisions"),
    Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Resource("v1", "Pod", "pods"),
    Resource("v1", "Service", "services"),
    Resource("v1", "ConfigMap", "configmaps"),
)
HTTP_ROUTE: Final = Resource(names.GATEWAY_API_VERSION, "HTTPRoute", "httproutes")
#: Kinds of add-ons, which a cluster may lack: watched while they are served.
ADD_ONS: Final = (HTTP_ROUTE,)
EVENT: Final = Resource("v1", "Event", "events")
LEASE: Final = Resource("coordination.k8s.io/v1", "Lease", "leases")
SECRET: Final = Resource("v1", "Secret", "secrets")
SERVICE_ACCOUNT: Final = Resource("v1", "ServiceAccount", "serviceaccounts")

_BY_KIND: Final = {(r.api_version, r.kind): r for r in (*WATCHED, *ADD_ONS, EVENT, LEASE, SECRET, SERVICE_ACCOUNT)}


def resource_of(api_version: str, kind: str) -> Resource:
    """The resource of a kind. Raises KeyError, naming the kind, for one that the operator does not know."""
    try:
        return _BY_KIND[api_version, kind]
    except KeyError:
        raise KeyError(f"{api_version} {kind} is not a kind that the operator handles") from None


def path_of(ref: Ref, subresource: str = "") -> str:
    """The URL path of one object or of its subresource."""
    return resource_of(ref.api_version, ref.kind).path(ref.namespace, ref.name, subresource)
