"""kubectl over a world in memory: what the API server would store and answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from plimsoll import names
from plimsoll.cli.kubectl import SERVICES, VERSIONS, Kubectl
from plimsoll.cli.trouble import Conflict, NotFound
from plimsoll.facts import Ref

from tests.builders.release import NAMESPACE, SERVICE, Life

_KINDS = {
    SERVICES: (names.API_VERSION, "InferenceService"),
    VERSIONS: (names.API_VERSION, "ModelVersion"),
    "configmap": ("v1", "ConfigMap"),
}


class FakeKubectl(Kubectl):
    """Time goes on in the world whenever it is asked; `between` happens before a patch."""

    def __init__(self, life: Life, between: Callable[[], None] = lambda: None) -> None:
        super().__init__("kubectl")
        object.__setattr__(self, "life", life)
        object.__setattr__(self, "between", between)

    life: Life
    between: Callable[[], None]

    def get(self, kind: str, name: str) -> dict[str, Any]:
        self.life.run(1)
        found = self.find(kind, name)
        if found is None:
            raise NotFound(f'{kind} "{name}" not found')
        return found

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        stored = self.life.cluster.objects.get(Ref(*_KINDS[kind], NAMESPACE, name))
        return None if stored is None else json.loads(json.dumps(stored))

    def every(self, kinds: str, *arguments: str) -> list[dict[str, Any]]:
        if kinds == "events":
            return []
        assert kinds == "pods"
        return [json.loads(json.dumps(pod)) for pod in self.life.cluster.all("Pod")]

    def names(self, kind: str) -> list[str]:
        return [ref.name for ref in self.life.cluster.objects if ref.kind == _KINDS[kind][1]]

    def patch(self, kind: str, name: str, change: Mapping[str, Any]) -> None:
        self.between()
        stored = self.life.cluster.read(SERVICE)
        if change["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified")
        notes = change["metadata"]["annotations"]
        self.life.cluster.edit(
            SERVICE, lambda body: body["metadata"].setdefault("annotations", {}).update(notes), spec=False
        )
        self.life.ring()

    def user(self) -> str:
        return "ann"

    def watch(
        self, *selections: Sequence[str], seconds: float | None = None
    ) -> Iterator[tuple[str, dict[str, Any]] | None]:
        end = None if seconds is None else self.life.time + seconds
        while end is None or self.life.time < end:
            yield "MODIFIED", self.get(SERVICE_KIND, SERVICE.name)


SERVICE_KIND = SERVICES
