"""The champions that gates compare with: what InferenceServices serve as stable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plimsoll.api.gates import Gate
from plimsoll.core import versions
from plimsoll.facts import Manifest


@dataclass(frozen=True, slots=True)
class Missing:
    """A champion that cannot be found; `message` has the remedy."""

    message: str


def champions(
    gates: Sequence[Gate], services: Mapping[str, Manifest], known: Sequence[Manifest]
) -> dict[str, dict[str, Any] | None] | Missing:
    """`champions` of run.json by InferenceService.

    None is a service without a stable version: its gate passes, for there is no champion yet.
    """
    found: dict[str, dict[str, Any] | None] = {}
    for name in sorted({gate.compared_to.inference_service for gate in gates if gate.compared_to}):
        service = services.get(name)
        if service is None:
            return Missing(
                f"A gate compares with InferenceService {name}, which does not exist: create it or remove comparedTo."
            )
        stable = (service.get("status") or {}).get("stable")
        if not stable:
            found[name] = None
            continue
        version = _served(service, stable, known)
        if version is None:
            served = f"InferenceService {name} serves version {stable['version']}"
            return Missing(f"{served}, whose ModelVersion does not exist: restore it or remove comparedTo.")
        artifact = version["spec"]["artifact"]
        found[name] = {"uri": artifact["uri"], "sha256": artifact["sha256"]}
    return found


def _served(service: Manifest, stable: Mapping[str, Any], known: Sequence[Manifest]) -> Manifest | None:
    numbered = versions.of_model(known, service["spec"]["model"]["name"])
    return numbered.get(int(stable["version"]))
