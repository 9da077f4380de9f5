"""Which files are generated, and what is in them."""

from __future__ import annotations

from plimsoll.api.kinds import KINDS
from plimsoll.crdgen.crd import manifest, template
from plimsoll.crdgen.reference import page


def generated() -> dict[str, str]:
    """Text of every generated file by its path in the checkout."""
    files: dict[str, str] = {}
    for kind in KINDS:
        files[f"crds/{kind.plural}.yaml"] = manifest(kind)
        files[f"charts/plimsoll/templates/crds/{kind.plural}.yaml"] = template(kind)
        files[f"docs/reference/{kind.name.lower()}.md"] = page(kind)
    return files
