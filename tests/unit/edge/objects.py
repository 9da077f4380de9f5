"""Objects as the API server would tell them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plimsoll import names


def an_object(kind: str, name: str, version: int, **more: Any) -> dict[str, Any]:
    """An object of namespace `demo` at a resourceVersion; `uid` defaults to one made of kind and name.

    `labels`, `owner` (an object), `api_version` and `spec` may be given.
    """
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": more.get("namespace", "demo"),
        "uid": more.get("uid", f"{kind}/{name}"),
        "resourceVersion": str(version),
        "labels": dict(more.get("labels") or {}),
    }
    if owner := more.get("owner"):
        metadata["ownerReferences"] = [_reference(owner)]
    return {
        "apiVersion": more.get("api_version", "v1"),
        "kind": kind,
        "metadata": metadata,
        "spec": dict(more.get("spec") or {}),
    }


def ours(kind: str, name: str, version: int = 1, **more: Any) -> dict[str, Any]:
    """An object of one of our kinds."""
    return an_object(kind, name, version, api_version=names.API_VERSION, **more)


def _reference(owner: Mapping[str, Any]) -> dict[str, Any]:
    meta = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }
