"""Which files are generated, and what is in them."""

from __future__ import annotations

from pathlib import Path

from plimsoll.api.kinds import KINDS
from plimsoll.crdgen.argocd import patch
from plimsoll.crdgen.crd import manifest, template
from plimsoll.crdgen.reference import page

ROOT = Path(__file__).resolve().parents[3]


def generated() -> dict[str, str]:
    """Text of every generated file by its path in the checkout."""
    files = {"charts/plimsoll/argocd/argocd-cm.yaml": patch(ROOT)}
    for kind in KINDS:
        files[f"crds/{kind.plural}.yaml"] = manifest(kind)
        files[f"charts/plimsoll/templates/crds/{kind.plural}.yaml"] = template(kind)
        files[f"docs/reference/{kind.name.lower()}.md"] = page(kind)
    return files
