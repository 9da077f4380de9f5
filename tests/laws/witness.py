"""What must hold after every pass, whatever happened before it. A pass knows only what is stored: each is a restart.

The laws are those of the design: intent before effect; the share that the pods report before evidence; no advance
without evidence; no data and no outage is a pass or a failure; nothing is counted twice; abort beats promote;
quarantine; a new attempt begins at no share and waits for the end of a probation; two revisions at most; capacity.
"""

from __future__ import annotations

import json
from typing import Any

from plimsoll import names
from plimsoll.core import ledger
from plimsoll.core.release import pace
from plimsoll.core.release.archive import ledger_name
from plimsoll.core.release.record import digest
from plimsoll.facts import Ref

from tests.builders.release import NAMESPACE, SERVICE, Life

Status = dict[str, Any]
#: After so many seconds without an answer a window must have said so.
_SEEN_AS_OUTAGE = 6.0


class Witness:
    """Looks after every pass and remembers what must never be taken back."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.epoch = 0
        self.meanings: dict[int, str] = {}
        self.status: Status = {}
        self.waived: set[int] = set()
        self.aborted: set[int] = set()
        self.replayed = ""
        self.saw_at = life.time
        self.frozen_until = 0.0
        life.observer = self.look

    def look(self) -> None:
        if not self.life.blind:
            self.saw_at = self.life.time
        status = self.life.status
        if status != self.status:
            self._status(self.status, status)
            self.status = status
        found = self.life.cluster.objects.get(Ref("v1", "ConfigMap", NAMESPACE, "digits-route"))
        if found is not None:
            self._route(json.loads(found["data"]["route.json"]))
        self._ledger()

    def _status(self, before: Status, after: Status) -> None:
        assert 0 <= after.get("weight", 0) <= 100
        assert after.get("epoch", 0) >= before.get("epoch", 0)
        assert after.get("attempt", 0) >= before.get("attempt", 0)
        assert len(after.get("windows", ())) <= 10
        if (after.get("verdict") or {}).get("outcome") == "Fail":
            assert after["weight"] == 0, "a failed verdict leaves no share"
        self._commands(before, after)
        self._quarantine(after)
        self._in_force(before, after)
        self._share(before, after)
        self._step(before, after)
        self._attempt(before, after)
        self._primary(before, after)
        self._ended(before, after)
        self._frozen(before, after)
        self._shadow(before, after)

    # --- the route --------------------------------------------------------------------------------------------------

    def _route(self, route: dict[str, Any]) -> None:
        assert all(0 <= arm["weight"] <= 100 for arm in route["arms"])
        serving = [arm for arm in route["arms"] if arm["mode"] == "Serve"]
        beside = [arm for arm in serving if arm["weight"] and _is_baseline(arm["revision"])]
        assert sum(arm["weight"] for arm in serving) == 100
        assert sum(arm["weight"] > 0 for arm in serving) - len(beside) <= 2, "at most two revisions take traffic"
        assert len(beside) <= 1 and not _is_baseline(route["primary"]), "a baseline is alone, and nobody's primary"
        assert route["primary"] in {arm["revision"] for arm in route["arms"] if arm["mode"] == "Serve"}
        assert sum(arm["weight"] > 0 for arm in route["arms"]) - len(beside) <= 2, "a shadow is one of the two"
        assert route["epoch"] >= self.epoch, "the epoch only rises"
        assert route["epoch"] <= self.status.get("epoch", 0), "the intent is written before the effect"
        self.epoch = route["epoch"]
        meaning = json.dumps(
            [
                route["primary"],
                sorted((one["revision"], one["weight"], one["mode"]) for one in route["arms"] if one["weight"]),
            ]
        )
        assert self.meanings.setdefault(route["epoch"], meaning) == meaning, "an epoch has one meaning"

    # --- evidence ---------------------------------------------------------------------------------------------------

    def _ledger(self) -> None:
        """No second is counted twice, and the verdict of the status follows from the ledger that it cites."""
        name = ledger_name("digits", self.status.get("attempt", 0))
        found = self.life.cluster.objects.get(Ref("v1", "ConfigMap", NAMESPACE, name))
        text = found["data"][names.LEDGER_KEY] if found else ""
        if not text or text == self.replayed or self.status.get("ledger") != digest(text):
            return
        self.replayed, record = text, ledger.decode(text)
        for one, following in zip(record.windows, record.windows[1:], strict=False):
            assert following.start >= one.end and following.index > one.index
        verdict = self.status.get("verdict")
        if verdict and record.windows and verdict["metric"] not in {"readiness", "crashes"}:
            assert ledger.replay(record)[-1].reason == verdict["reason"], "a verdict is replayed from its ledger"

    def _in_force(self, before: Status, after: Status) -> None:
        """Windows begin only once every ready pod of both arms reports the share; no window counts before."""
        since, known = after.get("stepSince"), before.get("stepSince")
        if since and since != known and not self.life.stale:
            parts = ("stable", "candidate", *(["baseline"] if 0 < after["weight"] < 100 else []))
            arms = [after[part]["revision"] for part in parts if after.get(part)]
            pods = [pod for arm in arms for pod in self.life.ready(arm)]
            assert all(pod.document and pod.document["epoch"] >= after["epoch"] for pod in pods)
        if _last(after) > _last(before) and before.get("attempt") == after.get("attempt"):
            assert known, "no evidence of the candidate before the share is in force"

    def _share(self, before: Status, after: Status) -> None:
        """A share rises on requests that were counted at the share before, and never above the ready capacity."""
        was, now = before.get("weight", 0), after.get("weight", 0)
        if self._compares(before, after) and 0 < was < now:
            assert before["verdict"]["outcome"] == "Pass"
            counted = [one for one in before["windows"] if one["weight"] == was and "gap" not in one]
            assert any(not one["candidate"].endswith("/0") for one in counted), "no evidence, no advance"
        if now > was and not self.life.stale:
            replicas = self.life.cluster.objects[SERVICE]["spec"]["runtime"]["replicas"]
            alone = not after.get("stable") or not self.life.ready(after["stable"]["revision"])
            needed = 1 if alone else pace.share(replicas, now)
            parts = ["candidate"] if alone or not after.get("baseline") else ["candidate", "baseline"]
            for part in parts:
                assert len(self.life.ready(after[part]["revision"])) >= needed, "no share without the pods for it"

    def _step(self, before: Status, after: Status) -> None:
        """The next step, and the end of a probation, follow from a window just counted, never from time alone."""
        if not self._compares(before, after):
            return
        taken_over = before.get("phase") == "Analyzing" and after.get("phase") == "Promoting"
        forward = taken_over or _number(after) > _number(before) > 0
        proven = "Probation" in (before.get("phase"), before.get("heldPhase")) and after.get("phase") == "Idle"
        if proven:
            proven = after["history"][0]["outcome"] == "Promoted" and after["verdict"]["mode"] == "Sequential"
        if proven:
            heard = [one for one in after["windows"] if one["weight"] == before["weight"]]
            assert any(not one["candidate"].endswith("/0") for one in heard), "no data is no pass"
        if forward or proven:
            assert after["verdict"]["outcome"] == "Pass"
            assert "gap" not in after["windows"][-1], "an outage holds"

    def _ended(self, before: Status, after: Status) -> None:
        """Nobody is taken back for want of data."""
        history = after.get("history") or []
        if not history or len(history) == len(before.get("history") or ()) or history[0]["outcome"] != "RolledBack":
            return
        verdict, reason = after.get("verdict") or {}, history[0]["reason"]
        if verdict.get("outcome") == "Fail" and verdict["metric"] != "crashes" and "judge" not in verdict["metric"]:
            assert any(not one["candidate"].startswith("0/") for one in after["windows"]), "no data is no failure"
        if before.get("weight") and "no progress" in reason and "pods that it needs" not in reason:
            assert self.life.time - self.saw_at < _SEEN_AS_OUTAGE, "an outage holds"

    def _frozen(self, before: Status, after: Status) -> None:
        """In a freeze nothing new begins and no share rises, unless nothing serves or a person promotes."""
        if self.life.time >= self.frozen_until or after["attempt"] in self.waived or self.life.stale:
            return
        stable = before.get("stable")
        if not stable or not self.life.ready(stable["revision"]):
            return
        assert after["attempt"] == before["attempt"], "no release begins in a freeze"
        for share in ("weight", "mirror"):
            assert (after.get(share) or 0) <= (before.get(share) or 0), "no step advances in a freeze"

    def _shadow(self, before: Status, after: Status) -> None:
        """Copies are for the stable version's primary; what follows them follows from evidence."""
        if after.get("mirror"):
            assert after["weight"] == 0 and after["primary"] == after["stable"]["revision"]
        on = before.get("phase") == "Shadowing" and after.get("phase") in {"Analyzing", "Promoting"}
        if on and self._compares(before, after):
            assert after["verdict"]["outcome"] == "Pass" and "gap" not in after["windows"][-1]

    # --- people -----------------------------------------------------------------------------------------------------

    def _commands(self, before: Status, after: Status) -> None:
        """Abort beats promote: what was aborted is never promoted."""
        if set(after.get("commands", ())) - set(before.get("commands", ())):
            annotations = self.life.cluster.objects[SERVICE]["metadata"].get("annotations") or {}
            verb = json.loads(annotations["plimsoll.dev/command"])["verb"]
            if verb == "promote":
                self.waived.add(after["attempt"])
            if verb == "abort" and before.get("candidate") and before.get("stable"):
                self.aborted.add(after["attempt"])
        for one in after.get("history", ()):
            assert one["outcome"] != "Promoted" or one["attempt"] not in self.aborted

    def _quarantine(self, status: dict[str, Any]) -> None:
        token = self.life.cluster.objects[SERVICE]["spec"]["release"].get("retryToken")
        locked = {one["revision"] for one in status.get("quarantine", ()) if one.get("retryToken") == token}
        candidate = (status.get("candidate") or {}).get("revision")
        assert not (status.get("weight") and candidate in locked), "a quarantined revision gets no share"
        assert (status.get("stable") or {}).get("revision") not in locked

    def _attempt(self, before: Status, after: Status) -> None:
        """A new attempt begins at no share; it waits while the candidate that it would replace serves."""
        if after.get("attempt") == before.get("attempt"):
            return
        assert after.get("weight", 0) == 0 and "stepSince" not in after
        serves = before.get("candidate") and before.get("primary") == before["candidate"]["revision"]
        assert not serves or before["phase"] == "Held", "during a probation a new spec waits"

    def _compares(self, before: Status, after: Status) -> bool:
        return after.get("attempt") == before.get("attempt") and after["attempt"] not in self.waived

    def _primary(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Whoever becomes primary by promotion brings as much as the old one had."""
        new, candidate, stable = after.get("primary"), after.get("candidate"), before.get("stable")
        promoted = candidate is not None and new == candidate["revision"] != before.get("primary")
        if new is None or not promoted or stable is None or self.life.stale:
            return
        had = len(self.life.ready(stable["revision"]))
        assert len(self.life.ready(new)) >= had


def _last(status: Status) -> int:
    """The newest window that counts; those before the first share say nothing of the candidate."""
    seen = [one for one in status.get("windows", ()) if one["weight"] or not one["candidate"].endswith("/0")]
    return max((one["index"] for one in seen if "gap" not in one), default=0)


def _is_baseline(revision: str) -> bool:
    """By its name: digits-0a1b2c3d-b7."""
    return revision.count("-") == 2


def _number(status: Status) -> int:
    return int((status.get("step") or "0").partition("/")[0])
