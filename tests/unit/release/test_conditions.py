"""Conditions and times."""

from __future__ import annotations

import pytest
from plimsoll.core.conditions import Finding, conditions, find, precise, shortened, timestamp, unix

NOON = 1795348800.0


def test_the_transition_time_stays_while_the_status_stays() -> None:
    first = conditions((), [Finding("Ready", "True", "Serving", "one")], now=NOON, generation=1)
    second = conditions(first, [Finding("Ready", "True", "Serving", "two")], now=NOON + 60, generation=2)
    third = conditions(second, [Finding("Ready", "False", "NoPodReady")], now=NOON + 120, generation=2)
    assert second[0].last_transition_time == first[0].last_transition_time
    assert (second[0].message, second[0].observed_generation) == ("two", 2)
    assert third[0].last_transition_time == timestamp(NOON + 120)


def test_a_condition_that_does_not_apply_is_removed() -> None:
    first = conditions((), [Finding("Ready", "True", "A"), Finding("Progressing", "True", "B")], now=NOON, generation=1)
    assert find(conditions(first, [Finding("Ready", "True", "A")], now=NOON, generation=1), "Progressing") is None


@pytest.mark.parametrize("write", [timestamp, precise])
def test_a_time_is_read_back_as_it_was_written(write: object) -> None:
    assert callable(write)
    assert unix(write(NOON)) == NOON


def test_fractions_of_a_second_are_kept_where_they_matter() -> None:
    assert precise(NOON + 0.25) == "2026-11-22T12:00:00.250Z"
    assert unix(precise(NOON + 0.25)) == NOON + 0.25


def test_a_long_message_is_cut_and_says_so() -> None:
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcd", 4) == "abcd"
