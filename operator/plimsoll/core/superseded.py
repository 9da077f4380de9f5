"""Which Jobs and ConfigMaps of a TrainingJob no longer stand for what it asks, and how they go."""

from __future__ import annotations

from plimsoll.core.jobs import ANNOTATION_GENERATION
from plimsoll.core.trainingstatus import Seen
from plimsoll.facts import Delete, Manifest, Ref

_JOB, _CONFIG_MAP = ("batch/v1", "Job"), ("v1", "ConfigMap")


def stale(seen: Seen) -> tuple[Delete, ...]:
    """Jobs and ConfigMaps of other runs."""
    current = {f"{seen.run.base}{part}" for part in ("", "-train", "-publish")}
    others = [*((_JOB, job) for job in seen.jobs.values()), *((_CONFIG_MAP, one) for one in seen.config_maps)]
    return tuple(_delete(kind, one) for kind, one in others if one["metadata"]["name"] not in current)


def outdated(seen: Seen, now: float) -> tuple[Delete, ...]:
    """Failed Jobs that were made for an earlier spec."""
    gone: list[Delete] = []
    for component in ("train", "publish"):
        job = seen.job(component)
        if job is None or seen.report(component, now).state != "Failed":
            continue
        made_for = (job["metadata"].get("annotations") or {}).get(ANNOTATION_GENERATION)
        if made_for != str(seen.generation):
            gone += deletion(seen, job)
    return tuple(gone)


def deletion(seen: Seen, job: Manifest) -> tuple[Delete, ...]:
    """A Job and, for publish, its ConfigMap, so that the champions are looked up anew."""
    name = job["metadata"]["name"]
    maps = [_delete(_CONFIG_MAP, one) for one in seen.config_maps if one["metadata"]["name"] == name]
    return (*maps, _delete(_JOB, job))


def _delete(kind: tuple[str, str], manifest: Manifest) -> Delete:
    meta = manifest["metadata"]
    return Delete(Ref(*kind, meta["namespace"], meta["name"]), meta["uid"])
