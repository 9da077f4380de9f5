"""A service whose judges are Jobs: they get pods, run for a while and end as `says` has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from plimsoll import names
from plimsoll.core.conditions import timestamp
from plimsoll.facts import Manifest, Ref

from tests.builders.release import NAMESPACE, Life

#: Exit code and last words of a judge's container.
End = tuple[int, str]


class JudgedLife(Life):
    """`takes` is how long a Job runs, in seconds; `says` how it ends, by its variables; None: by its deadline.

    `lag` is how long its pod's end stays unseen after the Job's own, `lost` takes its pods away when it ends.
    """

    def __init__(self, *manifests: Manifest, **more: Any) -> None:
        self.takes = 3.0
        self.says: Callable[[Mapping[str, str]], End | None] = lambda told: (0, "")
        self.lag = 0.0
        self.lost = False
        self.pending: str | None = None
        self.started: list[Mapping[str, str]] = []
        super().__init__(*manifests, **more)

    def live(self, seconds: float) -> None:
        super().live(seconds)
        for job in list(self.jobs()):
            self._work(job)

    def jobs(self) -> list[dict[str, Any]]:
        """The Jobs of judges as they are stored."""
        return super()._there("Job")

    def _there(self, kind: str) -> list[dict[str, Any]]:
        """Judges' pods are no servers."""
        found = super()._there(kind)
        return [one for one in found if (one["metadata"].get("labels") or {}).get(names.LABEL_COMPONENT) != "judge"]

    def _work(self, job: dict[str, Any]) -> None:
        meta = job["metadata"]
        ref = Ref("v1", "Pod", NAMESPACE, f"{meta['name']}-pod")
        told = told_of(job)
        if "born" not in job:
            job["born"] = self.time
            self.started.append(told)
            self.cluster.add(_pod(job, ref.name, self.pending))
        age = self.time - job["born"] - self.takes
        deadline = job["spec"]["activeDeadlineSeconds"]
        end = None if self.pending else self.says(told)
        if "status" not in job and ((age >= 0 and end is not None) or age + self.takes >= deadline):
            code = None if age < 0 or end is None else end[0]
            self.cluster.edit(Ref.of(job), lambda body: body.update(status=self._status(job, code)), spec=False)
            if self.lost or code is None:
                self.cluster.remove(ref)
            self.ring()
        if "status" in job and age >= self.lag and end is not None and ref in self.cluster.objects:
            terminated = {"exitCode": end[0], "message": end[1], "reason": "OOMKilled" if end[0] == 137 else ""}
            state = [{"name": "judge", "state": {"terminated": terminated}}]
            self.cluster.edit(ref, lambda body: body.update(status={"containerStatuses": state}), spec=False)

    def _status(self, job: Manifest, code: int | None) -> dict[str, Any]:
        (fails,) = job["spec"]["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"]
        reasons = {None: "DeadlineExceeded", fails: "PodFailurePolicy"}
        condition = {"type": "Failed", "reason": reasons.get(code, "BackoffLimitExceeded")}
        ended = {"type": "Complete"} if code == 0 else condition
        return {"conditions": [{"status": "True", "lastTransitionTime": timestamp(self.time), **ended}]}


def told_of(job: Manifest) -> dict[str, str]:
    """The variables that a Job's container gets."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"]}


def _pod(job: Manifest, name: str, pending: str | None) -> dict[str, Any]:
    meta = job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True}
    labels = dict(job["spec"]["template"]["metadata"]["labels"])
    head = {"name": name, "namespace": NAMESPACE, "labels": labels, "ownerReferences": [owner]}
    status: dict[str, Any] = {"phase": "Running"}
    if pending:
        waiting = {"name": "judge", "image": "judge:1", "state": {"waiting": {"reason": pending}}}
        status = {"phase": "Pending", "containerStatuses": [waiting]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": head, "spec": {}, "status": status}
