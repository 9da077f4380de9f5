"""The laws of a release hold whatever people, pods and the world do, and in whatever order."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from plimsoll.core.release.commands import VERBS

from tests.builders.release import Character, Life, service, version
from tests.laws.witness import Witness

STEPS = [{"weight": 20, "minDuration": "2s", "minRequests": 20, "approval": "Manual"}, {"pause": {"duration": "3s"}}]
COPIES = {"percent": 50, "minDuration": "2s", "minRequests": 20}
RELEASES: list[dict[str, Any]] = [
    {},
    {"strategy": "Recreate"},
    {"strategy": "BlueGreen", "shadowFirst": COPIES, "onPass": "Hold"},
    {"strategy": "Shadow", "shadow": COPIES, "onPass": "Promote", "progressDeadline": "20s"},
    {"strategy": "Shadow", "shadow": COPIES, "onPass": "Keep", "onInconclusive": "Rollback"},
    {"strategy": "ABTest", "test": {"weight": 40, "minDuration": "4s", "minRequests": 40}},
    {"steps": [*STEPS, {"pause": {}}], "shadowFirst": COPIES},
    {"onInconclusive": "Rollback", "progressDeadline": "20s"},
    {"holdback": 0, "progressDeadline": "20s"},
    {"analysis": {"window": "2s", "baseline": "Fresh"}, "progressDeadline": "60s"},
    {"analysis": {"window": "2s", "prePeriod": "10s"}, "progressDeadline": "20s"},
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
    st.tuples(st.just("command"), st.sampled_from(sorted(VERBS))),
    st.tuples(st.just("roll back"), st.integers(1, 4)),
    st.tuples(st.just("degrade"), st.sampled_from([0.0, 0.5])),
    st.tuples(st.just("freeze"), st.sampled_from([0, 1])),
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


class Story:
    """Plays events on a service."""

    def __init__(self, release: dict[str, Any]) -> None:
        body = service(replicas=2, **release)
        if release.get("strategy", "Canary") != "Canary":
            del body["spec"]["release"]["steps"]
        self.life = Life(version(1), body)
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

    def _freeze(self, minutes: int) -> None:
        """Until the next minute but so many; 0: no more."""
        until = datetime.fromtimestamp(self.life.time + 60 * minutes, UTC).isoformat(timespec="minutes")[:16]
        found = [{"from": "2000-01-01", "to": until}] if minutes else []
        self.witness.frozen_until = 0.0
        self.life.edit(lambda body: body["spec"]["release"].update(freezeWindows=found))
        if minutes:
            self.witness.frozen_until = datetime.fromisoformat(until).replace(tzinfo=UTC).timestamp()

    def _roll_back(self, number: int) -> None:
        self.commands += 1
        self.life.command(f"c{self.commands}", "rollback", to=str(number))

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
        for _ in range(6):
            self._command("resume")
            self.life.run(20)


#: What chance rarely puts together: silence in the middle of a step, a deaf pod, a probation without requests.
SILENT_STEP: list[tuple[str, Any]] = [
    ("run", 5.0), ("publish", "healthy"), ("run", 22.0), ("blind", True), ("run", 90.0), ("blind", False),
]  # fmt: skip
DEAF_POD: list[tuple[str, Any]] = [("run", 5.0), ("deafen", None), ("publish", "healthy"), ("run", 15.0)]
QUIET_PROBATION: list[tuple[str, Any]] = [
    ("run", 5.0), ("send", 2000.0), ("publish", "healthy"), ("run", 4.4), ("send", 0.0), ("run", 90.0),
]  # fmt: skip
FROZEN_STEP: list[tuple[str, Any]] = [
    ("run", 5.0), ("publish", "healthy"), ("run", 5.0), ("freeze", 1), ("run", 40.0), ("publish", "failing"),
]  # fmt: skip
LONG_STEP = {"steps": [{"weight": 20, "minDuration": "30s", "minRequests": 20}], "onInconclusive": "Rollback"}


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(RELEASES), EVENTS)
@example(LONG_STEP, SILENT_STEP)
@example({}, DEAF_POD)
@example(RELEASES[3], SILENT_STEP)
@example(RELEASES[6], FROZEN_STEP)
@example({}, QUIET_PROBATION)
@example({"progressDeadline": "20s"}, QUIET_PROBATION)
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
