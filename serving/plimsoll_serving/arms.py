"""Which arm a request belongs to. Pure: chance and hash come in as a point of [0, 100)."""

import hashlib
from collections.abc import Sequence

from plimsoll_serving.route import Arm

SPACE = 2**64


def point_of(value: bytes, arms: Sequence[Arm]) -> float:
    """The point of a sticky header's value: uniform over values, the same in every pod.

    The revisions are part of the hash: across releases it is not always the same users who meet the candidate first.
    """
    salt = "\0".join(sorted(arm.revision for arm in arms)).encode()
    digest = hashlib.blake2b(value, digest_size=8, key=hashlib.sha256(salt).digest()).digest()
    return int.from_bytes(digest, "big") / SPACE * 100


def choose(arms: Sequence[Arm], point: float) -> Arm:
    """The arm whose stretch of [0, 100) holds ``point``; weights must sum to 100.

    The newest version lies at the start whatever the order in the document and whoever is primary, so a rising weight
    only adds users to it and a promotion moves nobody.
    """
    edge = 0
    ordered = sorted(arms, key=_newest_first)
    for arm in ordered:
        edge += arm.weight
        if point < edge:
            return arm
    return ordered[-1]


def _newest_first(arm: Arm) -> tuple[int, str]:
    return (-int(arm.version) if arm.version.isdecimal() else 0, arm.revision)
