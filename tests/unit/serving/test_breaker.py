"""When delegation stops and when it is tried again."""

import pytest
from plimsoll_serving.breaker import Breaker


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(0.0)


def fail(breaker: Breaker, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        assert breaker.allows(now)
        breaker.failed(now)


def test_four_failures_in_a_row_are_borne(breaker: Breaker) -> None:
    fail(breaker, 4)
    assert breaker.allows(0.0)


def test_five_failures_in_a_row_open_it_for_thirty_seconds(breaker: Breaker) -> None:
    fail(breaker, 5)
    assert breaker.is_open(29.9)
    assert not breaker.allows(29.9)
    assert breaker.allows(30.0)


def test_a_success_between_starts_the_row_anew(breaker: Breaker) -> None:
    fail(breaker, 4)
    breaker.succeeded()
    fail(breaker, 4)
    assert breaker.allows(0.0)


def test_half_of_the_last_twenty_open_it(breaker: Breaker) -> None:
    for _ in range(9):
        breaker.succeeded()
        fail(breaker, 1)
    assert breaker.allows(0.0)
    breaker.succeeded()
    fail(breaker, 1)
    assert not breaker.allows(0.0)


def test_fewer_than_half_of_the_last_twenty_leave_it_closed(breaker: Breaker) -> None:
    for _ in range(30):
        breaker.succeeded()
        breaker.succeeded()
        fail(breaker, 1)
    assert breaker.allows(0.0)


def test_after_the_pause_one_request_at_a_time_tries(breaker: Breaker) -> None:
    fail(breaker, 5)
    assert breaker.allows(30.0)
    assert not breaker.allows(30.0)


def test_a_trial_that_succeeds_closes_it(breaker: Breaker) -> None:
    fail(breaker, 5)
    assert breaker.allows(30.0)
    breaker.succeeded()
    assert breaker.allows(30.0)
    assert breaker.allows(30.0)


def test_a_trial_that_fails_opens_it_for_thirty_seconds_more(breaker: Breaker) -> None:
    fail(breaker, 5)
    assert breaker.allows(30.0)
    breaker.failed(31.0)
    assert not breaker.allows(60.9)
    assert breaker.allows(61.0)


def test_a_late_success_from_before_the_opening_does_not_close_it(breaker: Breaker) -> None:
    fail(breaker, 5)
    breaker.succeeded()
    assert not breaker.allows(1.0)


def test_late_failures_from_before_the_opening_do_not_make_it_longer(breaker: Breaker) -> None:
    fail(breaker, 5)
    for _ in range(5):
        breaker.failed(10.0)
    assert breaker.allows(30.0)


def test_a_trial_whose_caller_left_decides_nothing(breaker: Breaker) -> None:
    fail(breaker, 5)
    assert breaker.allows(30.0)
    breaker.left()
    assert breaker.allows(30.0), "the next request tries"
    breaker.failed(30.0)
    assert not breaker.allows(59.9)


def test_an_arm_that_was_never_reached_is_tried_again_soon_by_one_at_a_time(breaker: Breaker) -> None:
    assert breaker.allows(1.0)
    assert breaker.puts_off(1.0)
    assert not breaker.allows(1.0)
    assert breaker.allows(1.2)
    assert not breaker.allows(1.2)
    breaker.reached()
    breaker.succeeded()
    assert breaker.allows(1.2)
    assert breaker.allows(1.2)


def test_only_for_ten_seconds_is_it_no_failure_that_an_arm_cannot_be_reached(breaker: Breaker) -> None:
    assert breaker.puts_off(9.9)
    assert not breaker.puts_off(10.0)


def test_an_arm_that_was_reached_once_has_no_excuse(breaker: Breaker) -> None:
    breaker.reached()
    assert not breaker.puts_off(0.1)
