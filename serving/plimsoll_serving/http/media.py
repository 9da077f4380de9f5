"""Media types and what a client accepts (RFC 9110, sections 8.3 and 12.5)."""

from collections.abc import Sequence


def parse_media_type(value: bytes) -> tuple[str, dict[str, str]]:
    """Type and parameters, both in lower case but for the parameters' values."""
    kind, *pairs = value.decode("latin-1").split(";")
    parameters = {}
    for pair in pairs:
        name, found, text = pair.partition("=")
        if found:
            parameters[name.strip().lower()] = text.strip().strip('"')
    return kind.strip().lower(), parameters


def weights(value: bytes) -> dict[str, float]:
    """Items of a list such as ``Accept`` with their ``q``, 1 where it is not given, 0 where it is no number."""
    found = {}
    for item in value.split(b","):
        name, parameters = parse_media_type(item)
        if name:
            found[name] = _weight(parameters.get("q", "1"))
    return found


def _weight(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def accepts(header: bytes | None, offered: Sequence[str]) -> str | None:
    """The media type of those offered that the client likes best, the earlier on a tie; None when it takes none."""
    if header is None or not header.strip():
        return offered[0]
    wanted = weights(header)

    def weight(kind: str) -> float:
        family = kind.partition("/")[0] + "/*"
        return next((wanted[name] for name in (kind, family, "*/*") if name in wanted), 0.0)

    best = max(offered, key=weight)
    return best if weight(best) > 0 else None


def accepts_coding(header: bytes, coding: str) -> bool:
    """Whether ``Accept-Encoding`` allows a coding."""
    wanted = weights(header)
    return wanted.get(coding, wanted.get("*", 0.0)) > 0
