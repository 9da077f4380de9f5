"""The directory of documents, one file a service: a mounted ConfigMap, replaced as a whole by one symlink."""

from pathlib import Path

from plimsoll_serving.logs import LOGGER
from plimsoll_serving.pool.document import Member, parse
from plimsoll_serving.route import RouteError

MAX_BYTES = 1 << 20
SUFFIX = ".json"

Stamp = tuple[int, int, int]


class Documents:
    """Reads what changed. A malformed document is logged once, and the one before it stays in force."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamps: dict[str, Stamp] = {}
        self._whole: Stamp | None = None
        self._members: dict[str, Member] = {}
        self._texts: dict[str, bytes] = {}

    def changed(self) -> dict[str, Member] | None:
        """All members by service when anything changed since the last call; None when nothing did."""
        mounted = self._folder / "..data"
        whole = _stamp(mounted) or _stamp(self._folder)
        if whole is None or (whole == self._whole and mounted.exists()):
            return None
        # kubelet makes the links of new files only after it has moved this one: they are not to be relied on.
        folder = mounted if mounted.exists() else self._folder
        found: dict[str, Path] = {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}
        if folder is mounted and _stamp(mounted) != whole:
            return None  # it was moved again meanwhile, and what was listed may be half of it: at the next call
        before = dict(self._members)
        for gone in self._members.keys() - found.keys():
            del self._members[gone], self._stamps[gone], self._texts[gone]
        for service, path in found.items():
            self._read(service, path)
        first, self._whole = self._whole is None, whole
        return dict(self._members) if first or before != self._members else None

    def _read(self, service: str, path: Path) -> None:
        stamp = _stamp(path)
        if stamp is None or stamp == self._stamps.get(service):
            return
        self._stamps[service] = stamp
        try:
            with path.open("rb") as file:
                text = file.read(MAX_BYTES)
            if text == self._texts.get(service):
                return  # another service's document changed: all files are new
            member = parse(text)
            if member.service != service:
                raise RouteError(f"service is {member.service!r}, not the name of the file")
        except (OSError, RouteError) as error:
            LOGGER.error("document ignored, the old one stays: %s", error, extra={"fields": {"service": service}})
            return
        self._members[service], self._texts[service] = member, text


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size)
