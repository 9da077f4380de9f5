"""What the watches, the lists and our own writes have told us of the cluster. In memory only; no requests in here.

Three sources feed it in any order, so every change is judged by resourceVersion: those of one kind are comparable as
whole numbers (KEP-5504). An object that was deleted does not come back by an older word of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from plimsoll.edge.telemetry import CACHED_OBJECTS
from plimsoll.facts import Manifest, Ref

#: Called with an object after it came, changed or went.
Listener = Callable[[Manifest], None]

_GRAVES = 10_000


class Cache:
    """Objects by kind and namespace. Not for threads: all calls come from the event loop."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], dict[str, dict[str, Manifest]]] = {}
        self._refs: dict[str, Ref] = {}
        self._graves: OrderedDict[str, int] = OrderedDict()
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` after each change."""
        self._listeners.append(listener)

    def get(self, ref: Ref) -> Manifest | None:
        """The object as last heard of."""
        return self._kinds.get((ref.api_version, ref.kind), {}).get(ref.namespace, {}).get(ref.name)

    def by_uid(self, uid: str) -> Manifest | None:
        """The object with this UID."""
        ref = self._refs.get(uid)
        return self.get(ref) if ref else None

    def select(
        self, api_version: str, kind: str, namespace: str, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        """Objects of a kind in a namespace that have all these labels, ordered by name."""
        found = self._kinds.get((api_version, kind), {}).get(namespace, {})
        wanted = (labels or {}).items()
        return [
            found[name] for name in sorted(found) if wanted <= (found[name]["metadata"].get("labels") or {}).items()
        ]

    def every(self, api_version: str, kind: str) -> Iterator[Manifest]:
        """Objects of a kind in all namespaces, in no order."""
        return (one for found in self._kinds.get((api_version, kind), {}).values() for one in found.values())

    def put(self, manifest: Manifest) -> bool:
        """Take in an object; False when what is here is as new, or when it was deleted since."""
        ref, uid, version = Ref.of(manifest), _uid(manifest), version_of(manifest)
        if self._graves.get(uid, -1) >= version:
            return False
        before = self.get(ref)
        if before is not None and version_of(before) >= version:
            return False
        if before is not None and _uid(before) != uid:
            self._refs.pop(_uid(before), None)
        self._namespace(ref)[ref.name] = _lean(manifest)
        self._refs[uid] = ref
        self._tell(manifest)
        return True

    def remove(self, manifest: Manifest) -> bool:
        """Take out a deleted object; False when it was not here, or when its name was taken by a newer one."""
        ref, uid = Ref.of(manifest), _uid(manifest)
        self._bury(uid, version_of(manifest))
        before = self.get(ref)
        if before is None or _uid(before) != uid:
            return False
        del self._namespace(ref)[ref.name]
        self._refs.pop(uid, None)
        self._tell(manifest)
        return True

    def replace(
        self, api_version: str, kind: str, listed: Iterable[Manifest], *, version: int, namespace: str = ""
    ) -> int:
        """Take in a whole list, as of the list's `version`; of all namespaces when `namespace` is empty.

        What is here but not in the list, and not newer than it, has vanished. Returns how many vanished.
        """
        present = set()
        for manifest in listed:
            present.add(_uid(manifest))
            self.put(manifest)
        kinds = self._kinds.get((api_version, kind), {})
        scope = [kinds.get(namespace, {})] if namespace else list(kinds.values())
        vanished = [
            m for objects in scope for m in objects.values() if _uid(m) not in present and version_of(m) <= version
        ]
        return sum(self.remove(manifest) for manifest in vanished)

    def _namespace(self, ref: Ref) -> dict[str, Manifest]:
        return self._kinds.setdefault((ref.api_version, ref.kind), {}).setdefault(ref.namespace, {})

    def _bury(self, uid: str, version: int) -> None:
        self._graves[uid] = version
        while len(self._graves) > _GRAVES:
            self._graves.popitem(last=False)

    def _tell(self, manifest: Manifest) -> None:
        kind = str(manifest["kind"])
        objects = self._kinds.get((manifest["apiVersion"], kind), {})
        CACHED_OBJECTS.labels(kind).set(sum(len(names) for names in objects.values()))
        for listener in self._listeners:
            listener(manifest)


def version_of(manifest: Manifest) -> int:
    """The object's resourceVersion as a number."""
    return int(manifest["metadata"]["resourceVersion"])


def controller_of(manifest: Manifest) -> Mapping[str, str] | None:
    """The controlling ownerReference."""
    owners: Sequence[Mapping[str, str]] = manifest["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)


def _uid(manifest: Manifest) -> str:
    return str(manifest["metadata"]["uid"])


def _lean(manifest: Manifest) -> Manifest:
    """Without managedFields: they are half of an object's bytes and nobody here reads them."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    return {**manifest, "metadata": metadata}
