"""The laws of a release hold whatever people, pods and the world do, and in whatever order."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plimsoll.facts import Ref

from tests.builders.release import NAMESPACE, SERVICE, Character, Life, service, version

RELEASES: list[dict[str, Any]] = [
    {},
    {"strategy": "Recreate"},
    {"onInconclusive": "Rollback", "progressDeadline": "20s"},
    {"holdback": 0, "progressDeadline": "20s"},
]
CHARACTERS: dict[str, dict[str, Any]] = {
    "healthy": {},
    "failing": {"failing": 0.4},
    "slow to start": {"boot": 8.0},
    "crashing": {"crashes": True},
    "too large": {"unschedulable": True},
    "without image": {"image_missing": True},
}
_people = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from(sorted(CHARACTERS))),
    st.tuples(st.just("publish"), st.just("healthy")),
    st.tuples(st.just("pin"), st.integers(1, 4)),
    st.tuples(st.just("follow"), st.none()),
    st.tuples(st.just("edit runtime"), st.integers(0, 2)),
    st.tuples(st.just("scale"), st.integers(1, 3)),
    st.tuples(st.just("change token"), st.integers(0, 2)),
    st.tuples(st.just("command"), st.sampled_from(["promote", "abort", "pause", "resume", "retry"])),
    st.tuples(st.just("degrade"), st.sampled_from([0.0, 0.5])),
)
_world = st.one_of(
    st.tuples(st.just("send"), st.sampled_from([0.0, 3.0, 400.0])),
    st.tuples(st.just("blind"), st.booleans()),
    st.tuples(st.just("deafen"), st.none()),
    st.tuples(st.just("hold cache"), st.none()),
    st.tuples(st.just("catch up"), st.none()),
    st.tuples(st.just("crash after"), st.integers(1, 6)),
    st.tuples(st.just("lose a write"), st.integers(1, 4)),
    st.tuples(st.just("drop an answer"), st.integers(1, 4)),
    st.tuples(st.just("sleep"), st.sampled_from([3.0, 100.0])),
)
_time = st.tuples(st.just("run"), st.sampled_from([0.4, 2.0, 5.0, 15.0]))
EVENTS = st.lists(st.one_of(_time, _people, _time, _world, _time), min_size=4, max_size=16)


class Witness:
    """Looks after every pass and remembers what must never be taken back."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.epoch = 0
        self.meanings: dict[int, str] = {}
        self.status: dict[str, Any] = {}
        self.waived: set[int] = set()
        life.observer = self.look

    def look(self) -> None:
        status = self.life.status
        if status != self.status:
            self._status(self.status, status)
            self.status = status
        found = self.life.cluster.objects.get(Ref("v1", "ConfigMap", NAMESPACE, "digits-route"))
        if found is not None:
            self._route(json.loads(found["data"]["route.json"]))

    def _route(self, route: dict[str, Any]) -> None:
        weights = [arm["weight"] for arm in route["arms"]]
        assert all(0 <= weight <= 100 for weight in weights)
        assert sum(weights) == 100
        assert sum(weight > 0 for weight in weights) <= 2, "at most two revisions take traffic"
        assert route["primary"] in {arm["revision"] for arm in route["arms"]}
        assert route["epoch"] >= self.epoch, "the epoch only rises"
        assert route["epoch"] <= self.status.get("epoch", 0), "the intent is written before the effect"
        self.epoch = route["epoch"]
        meaning = json.dumps(
            [route["primary"], sorted((arm["revision"], arm["weight"]) for arm in route["arms"] if arm["weight"])]
        )
        assert self.meanings.setdefault(route["epoch"], meaning) == meaning, "an epoch has one meaning"

    def _status(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        assert 0 <= after.get("weight", 0) <= 100
        assert after.get("epoch", 0) >= before.get("epoch", 0)
        assert after.get("attempt", 0) >= before.get("attempt", 0)
        if (after.get("verdict") or {}).get("outcome") == "Fail":
            assert after["weight"] == 0, "a failed verdict leaves no share"
        self._quarantine(after)
        self._advance(before, after)
        self._primary(before, after)

    def _quarantine(self, status: dict[str, Any]) -> None:
        token = self.life.cluster.objects[SERVICE]["spec"]["release"].get("retryToken")
        locked = {one["revision"] for one in status.get("quarantine", ()) if one.get("retryToken") == token}
        candidate = (status.get("candidate") or {}).get("revision")
        assert not (status.get("weight") and candidate in locked), "a quarantined revision gets no share"
        assert (status.get("stable") or {}).get("revision") not in locked

    def _advance(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """A share only rises on a pass that rests on requests that were counted at the share before."""
        if set(after.get("commands", ())) - set(before.get("commands", ())) and self._verb() == "promote":
            self.waived.add(after["attempt"])
        same = after.get("attempt") == before.get("attempt") and after["attempt"] not in self.waived
        was, now = before.get("weight", 0), after.get("weight", 0)
        if same and 0 < was < now:
            assert before["verdict"]["outcome"] == "Pass"
            counted = [one for one in before["windows"] if one["weight"] == was and "gap" not in one]
            assert any(not one["candidate"].endswith("/0") for one in counted), "no evidence, no advance"

    def _verb(self) -> str:
        annotations = self.life.cluster.objects[SERVICE]["metadata"].get("annotations") or {}
        return str(json.loads(annotations["plimsoll.dev/command"])["verb"])

    def _primary(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Whoever becomes primary by promotion brings as much as the old one had."""
        new, candidate, stable = after.get("primary"), after.get("candidate"), before.get("stable")
        promoted = candidate is not None and new == candidate["revision"] != before.get("primary")
        if new is None or not promoted or stable is None or self.life.stale:
            return
        had = len(self.life.ready(stable["revision"]))
        assert len(self.life.ready(new)) >= had


class Story:
    """Plays events on a service."""

    def __init__(self, release: dict[str, Any]) -> None:
        self.life = Life(version(1), service(replicas=2, **release))
        self.witness = Witness(self.life)
        self.published = 1
        self.commands = 0

    def play(self, events: list[tuple[str, Any]]) -> None:
        for name, value in events:
            getattr(self, f"_{name.replace(' ', '_')}")(value)

    def _publish(self, character: str) -> None:
        if self.published < 4:
            self.published += 1
            self.life.characters[str(self.published)] = Character(**CHARACTERS[character])
            self.life.add(version(self.published))

    def _pin(self, number: int) -> None:
        self.life.edit(lambda body: body["spec"]["model"].update(version=str(number)))

    def _follow(self, _: None) -> None:
        self.life.edit(lambda body: body["spec"]["model"].update(version="auto"))

    def _edit_runtime(self, value: int) -> None:
        self.life.edit(lambda body: body["spec"]["runtime"].update(env=[{"name": "KNOB", "value": str(value)}]))

    def _scale(self, replicas: int) -> None:
        self.life.edit(lambda body: body["spec"]["runtime"].update(replicas=replicas))

    def _change_token(self, token: int) -> None:
        self.life.edit(lambda body: body["spec"]["release"].update(retryToken=f"t{token}"))

    def _command(self, verb: str) -> None:
        self.commands += 1
        self.life.command(f"c{self.commands}", verb)

    def _degrade(self, share: float) -> None:
        self.life.character(self.published).failing = share

    def _send(self, rate: float) -> None:
        self.life.rate = rate

    def _blind(self, blind: bool) -> None:
        self.life.blind = blind

    def _deafen(self, _: None) -> None:
        self.life.deaf |= set(sorted(self.life.servers)[:1])

    def _hold_cache(self, _: None) -> None:
        self.life.cluster.hold_cache()
        self.life.stale = True

    def _catch_up(self, _: None) -> None:
        self.life.cluster.catch_up()
        self.life.stale = False

    def _crash_after(self, k: int) -> None:
        self.life.crash_after(k)

    def _lose_a_write(self, k: int) -> None:
        self.life.lose(k)

    def _drop_an_answer(self, k: int) -> None:
        self.life.drop_answer(k)

    def _sleep(self, seconds: float) -> None:
        """The operator is away; pods and users go on."""
        self.life.asleep = True
        self.life.run(seconds)
        self.life.asleep = False
        self.life.ring()

    def _run(self, seconds: float) -> None:
        self.life.run(seconds)

    def calm(self) -> None:
        """Nothing goes wrong any more, and a person resumes what was paused."""
        self._catch_up(None)
        self.life.spare()
        self.life.deaf.clear()
        self.life.blind, self.life.rate = False, 400.0
        for character in self.life.characters.values():
            character.unschedulable = character.image_missing = False
        self._command("resume")
        self.life.run(60)
        self._command("resume")


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(RELEASES), EVENTS)
def test_the_laws_hold_and_a_calm_world_comes_to_rest(release: dict[str, Any], events: list[tuple[str, Any]]) -> None:
    story = Story(release)
    story.play(events)
    story.calm()
    life = story.life
    settled = {"Idle", "RolledBack", "Pending"}
    assert life.run(400, stop=lambda: life.next_pass is None), json.dumps(life.status, indent=1)
    assert life.status["phase"] in settled or life.status["heldReason"] in {"CrashLoop", "Aborted"}, json.dumps(
        life.status, indent=1
    )
    before = len(life.effects)
    life.run(30)
    life.ring()
    life.run(30)
    assert life.effects[before:] == [], "planning a converged world is empty"
    assert sum(count > 0 for count in life.replicas().values()) <= 2
