"""Health of an object as Argo CD finds it: by a Lua with no more libraries than Argo CD's has, base and table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lupa.lua51 import LuaRuntime

FOLDER = Path(__file__).resolve().parents[2] / "charts/plimsoll/argocd"
#: What Argo CD does not open, including the methods of strings.
CLOSED = "string = nil; math = nil; io = nil; os = nil; debug = nil; package = nil; require = nil"


def health(kind: str, manifest: dict[str, Any]) -> tuple[str, str]:
    """Status and message, as Argo CD would show them."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.execute('getmetatable("").__index = nil; ' + CLOSED)
    lua.globals().obj = lua.table_from(manifest, recursive=True)
    found = lua.execute((FOLDER / "health" / f"{kind}.lua").read_text())
    return found.status, found.message
