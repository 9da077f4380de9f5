from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plimsoll.converge.schedule import CONFLICT, HASTE, OURS, WORLD, Schedule
from plimsoll.facts import Ref
from plimsoll.failures import Conflict, Refused, Unavailable

A, B = (Ref("plimsoll.dev/v1alpha1", "TrainingJob", "demo", name) for name in "ab")


@pytest.fixture
def schedule() -> Schedule:
    return Schedule(jitter=lambda: 0.0)


def test_bells_before_a_pass_are_one_pass(schedule: Schedule) -> None:
    for _ in range(3):
        schedule.ring(A, 0.0)

    assert schedule.take(0.0) == A
    assert schedule.take(0.0) is None


def test_a_running_object_is_not_taken_again(schedule: Schedule) -> None:
    schedule.ring(A, 0.0)
    schedule.take(0.0)
    schedule.ring(A, 1.0)

    assert schedule.take(1.0) is None


def test_bells_during_a_pass_are_one_more_pass_after_it(schedule: Schedule) -> None:
    schedule.ring(A, 0.0)
    schedule.take(0.0)
    schedule.ring(A, 1.0)
    schedule.ring(A, 2.0)
    schedule.succeeded(A, None, 3.0)

    assert schedule.take(3.0) == A
    schedule.succeeded(A, None, 4.0)
    assert schedule.take(4.0) is None


def test_objects_are_taken_in_the_order_of_their_bells(schedule: Schedule) -> None:
    schedule.ring(B, 0.0)
    schedule.ring(A, 0.0)

    assert [schedule.take(0.0), schedule.take(0.0)] == [B, A]


def test_a_pass_comes_back_when_it_asked_to(schedule: Schedule) -> None:
    schedule.ring(A, 0.0)
    schedule.take(0.0)
    schedule.succeeded(A, 10.0, 1.0)

    assert schedule.next_due() == 11.0
    assert schedule.take(10.9) is None
    assert schedule.take(11.0) == A
    assert schedule.next_due() is None


def test_a_bell_before_the_timer_takes_its_place(schedule: Schedule) -> None:
    schedule.ring(A, 0.0)
    schedule.take(0.0)
    schedule.succeeded(A, 10.0, 0.0)
    schedule.ring(A, 1.0)

    assert schedule.take(1.0) == A
    schedule.succeeded(A, None, 2.0)
    assert schedule.take(100.0) is None


def test_failures_in_a_row_are_repeated_after_doubled_delays(schedule: Schedule) -> None:
    delays, now = [], 0.0
    schedule.ring(A, now)
    for _ in range(9):
        assert schedule.take(now) == A
        delays.append(schedule.failed(A, Unavailable("down"), now))
        now += delays[-1]

    assert delays == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_a_success_forgets_the_failures_before_it(schedule: Schedule) -> None:
    for now in (0.0, 100.0):
        schedule.ring(A, now)
        schedule.take(now + HASTE)
        schedule.failed(A, Unavailable("down"), now)
    schedule.take(200.0)
    schedule.succeeded(A, None, 200.0)
    schedule.ring(A, 200.0)
    schedule.take(200.0)

    assert schedule.failed(A, Unavailable("down"), 200.0) == WORLD.first


@pytest.mark.parametrize(
    ("error", "first"),
    [
        (Conflict("late"), CONFLICT.first),
        (Unavailable("down"), WORLD.first),
        (Refused(A, "quota"), OURS.first),
        (ZeroDivisionError("ours"), OURS.first),
    ],
)
def test_each_sort_of_failure_has_its_own_patience(schedule: Schedule, error: Exception, first: float) -> None:
    schedule.ring(A, 0.0)
    schedule.take(0.0)

    assert schedule.failed(A, error, 0.0) == first


def test_a_bell_brings_a_failed_object_forward_but_not_into_a_hot_loop(schedule: Schedule) -> None:
    now = 0.0
    schedule.ring(A, now)
    for _ in range(4):
        schedule.take(now)
        now += schedule.failed(A, ZeroDivisionError("ours"), now)
    schedule.take(now)
    schedule.failed(A, ZeroDivisionError("ours"), now)
    schedule.ring(A, now + 1.0)

    assert schedule.next_due() == now + HASTE


def test_a_bell_does_not_delay_a_repetition_that_is_sooner(schedule: Schedule) -> None:
    schedule.ring(A, 0.0)
    schedule.take(0.0)
    schedule.failed(A, Conflict("late"), 0.0)
    schedule.ring(A, 0.05)

    assert schedule.next_due() == CONFLICT.first


def test_a_bell_for_a_failed_object_that_already_waits_for_a_worker_changes_nothing(schedule: Schedule) -> None:
    for ref in (A, B):
        schedule.ring(ref, 0.0)
        schedule.take(0.0)
        schedule.failed(ref, Conflict("late"), 0.0)
    assert schedule.take(1.0) == A
    schedule.ring(B, 1.0)

    assert schedule.take(1.0) == B
    assert schedule.take(1.0) is None


@given(failures=st.integers(1, 10_000), jitter=st.floats(0, 1))
def test_jitter_takes_off_at_most_a_half_and_no_delay_is_longer_than_the_longest(failures: int, jitter: float) -> None:
    for backoff in (CONFLICT, WORLD, OURS):
        whole = backoff.delay(failures, 0.0)
        assert whole / 2 <= backoff.delay(failures, jitter) <= whole <= backoff.longest


STEPS = st.lists(
    st.tuples(st.sampled_from(["ring", "take", "ok", "again", "fail"]), st.sampled_from([A, B])), max_size=60
)


@given(STEPS)
def test_no_object_is_taken_twice_and_no_bell_is_lost(steps: list[tuple[str, Ref]]) -> None:
    schedule, running, now = Schedule(jitter=lambda: 0.5), set[Ref](), 0.0
    owed: set[Ref] = set()
    for step, ref in steps:
        now += 1.0
        if step == "ring":
            schedule.ring(ref, now)
            owed.add(ref)
        elif step == "take" and (taken := schedule.take(now)) is not None:
            assert taken not in running
            running.add(taken)
            owed.discard(taken)
        elif ref in running:
            running.discard(ref)
            if step == "fail":
                schedule.failed(ref, Unavailable("down"), now)
            else:
                schedule.succeeded(ref, 5.0 if step == "again" else None, now)
    for ref in running:
        schedule.succeeded(ref, None, now)
    later = {schedule.take(now + 1000.0) for _ in range(3)}
    assert owed <= later
