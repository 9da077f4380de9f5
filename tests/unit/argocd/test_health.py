"""What Argo CD makes of our objects, run by a Lua with no more libraries than Argo CD's has: base and table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime
from plimsoll.api.kinds import KINDS

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts/plimsoll/argocd"
RECORDED = yaml.safe_load((Path(__file__).parent / "objects.yaml").read_text())
CASES = [pytest.param(kind, case, id=f"{kind}: {case['case']}") for kind, cases in RECORDED.items() for case in cases]
#: What Argo CD does not open, including the methods of strings.
CLOSED = "string = nil; math = nil; io = nil; os = nil; debug = nil; package = nil; require = nil"


def health(kind: str, manifest: dict[str, Any]) -> tuple[str, str]:
    """Status and message, as Argo CD would show them."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.execute('getmetatable("").__index = nil; ' + CLOSED)
    lua.globals().obj = lua.table_from(manifest, recursive=True)
    found = lua.execute((CHART / "health" / f"{kind}.lua").read_text())
    return found.status, found.message


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
    data = yaml.safe_load((CHART / "argocd-cm.yaml").read_text())["data"]
    source = (CHART / "health" / f"{kind.name}.lua").read_text()
    assert data[f"resource.customizations.health.plimsoll.dev_{kind.name}"] == source
