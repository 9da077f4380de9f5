"""What Argo CD makes of our objects, by the health checks of the chart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from plimsoll.api.kinds import KINDS

from tests.builders.argocd import FOLDER, health

RECORDED = yaml.safe_load((Path(__file__).parent / "objects.yaml").read_text())
CASES = [pytest.param(kind, case, id=f"{kind}: {case['case']}") for kind, cases in RECORDED.items() for case in cases]


@pytest.mark.parametrize(("kind", "case"), CASES)
def test_argo_cd_shows_the_health_of_an_object(kind: str, case: dict[str, Any]) -> None:
    manifest = {"kind": kind, "metadata": {"name": "digits", "generation": case.get("generation", 3)}}
    if "status" in case:
        manifest["status"] = case["status"]
    assert health(kind, manifest) == (case["health"], case["message"])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_phase_has_a_health_that_argo_cd_knows(kind: Any) -> None:
    phases = kind.status.model_json_schema()["properties"]["phase"]
    names = next(option["enum"] for option in phases["anyOf"] if "enum" in option)
    for phase in names:
        status = {"observedGeneration": 1, "phase": phase, "conditions": []}
        found, _ = health(kind.name, {"metadata": {"generation": 1}, "status": status})
        assert found in {"Healthy", "Progressing", "Degraded", "Suspended"}, phase


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_patch_for_argo_cd_holds_the_same_source(kind: Any) -> None:
    data = yaml.safe_load((FOLDER / "argocd-cm.yaml").read_text())["data"]
    source = (FOLDER / "health" / f"{kind.name}.lua").read_text()
    assert data[f"resource.customizations.health.plimsoll.dev_{kind.name}"] == source
