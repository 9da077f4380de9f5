"""The choice of an arm: its share, and that it stays."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from plimsoll_serving.arms import Split
from plimsoll_serving.route import Arm

USERS = [f"user-{number}".encode() for number in range(4000)]


def arms(stable: int, candidate: int) -> list[Arm]:
    return [
        Arm("digits-aaaa", "9", stable, "Serve", "localhost", 1),
        Arm("digits-bbbb", "10", candidate, "Serve", "localhost", 2),
    ]


def of_candidate(weight: int) -> set[bytes]:
    split = Split(arms(100 - weight, weight))
    return {user for user in USERS if split.at(split.point_of(user)).version == "10"}


@given(st.integers(0, 100), st.floats(0, 100, exclude_max=True))
def test_a_point_below_the_weight_belongs_to_the_newest_version(weight: int, point: float) -> None:
    assert Split(arms(100 - weight, weight)).at(point).version == ("10" if point < weight else "9")


def test_the_share_of_sticky_users_is_the_weight() -> None:
    for weight in (1, 10, 50, 90):
        share = len(of_candidate(weight)) / len(USERS) * 100
        assert abs(share - weight) < 4 * (weight * (100 - weight) / len(USERS)) ** 0.5


def test_a_rising_weight_takes_no_user_back() -> None:
    steps = [of_candidate(weight) for weight in (0, 1, 5, 25, 50, 95, 100)]
    assert all(earlier <= later for earlier, later in pairwise(steps))
    assert not steps[0]
    assert len(steps[-1]) == len(USERS)


def test_neither_the_order_of_arms_nor_the_primary_moves_a_user() -> None:
    both = arms(60, 40)
    one, other = Split(both), Split(both[::-1])
    for user in USERS[:200]:
        assert one.at(one.point_of(user)) is other.at(other.point_of(user))


def test_another_release_meets_other_users_first() -> None:
    arms_later = [
        Arm("digits-bbbb", "10", 90, "Serve", "localhost", 2),
        Arm("digits-cccc", "11", 10, "Serve", "localhost", 3),
    ]
    other = Split(arms_later)
    first = {user for user in USERS if other.at(other.point_of(user)).version == "11"}
    assert len(first & of_candidate(10)) < len(first) / 4


def test_a_point_at_the_end_of_the_range_still_has_an_arm() -> None:
    assert Split(arms(90, 10)).at(100.0).version == "9"
