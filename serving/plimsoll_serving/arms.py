"""Which arm a request belongs to. Pure: chance and hash come in as a point of [0, 100)."""

import hashlib
from collections.abc import Sequence

from plimsoll_serving.route import Arm

SPACE = 2**64


class Split:
    """The stretches of [0, 100) that belong to the arms of one route; weights must sum to 100.

    The newest version lies at the start whatever the order in the document and whoever is primary, so a rising weight
    only adds users to it and a promotion moves nobody.
    """

    def __init__(self, arms: Sequence[Arm]) -> None:
        salt = "\0".join(sorted(arm.revision for arm in arms)).encode()
        self._key = hashlib.sha256(salt).digest()
        self._edges: list[tuple[int, Arm]] = []
        edge = 0
        for arm in sorted(arms, key=_newest_first):
            edge += arm.weight
            self._edges.append((edge, arm))

    def point_of(self, value: bytes) -> float:
        """The point of a sticky header's value: uniform over values, the same in every pod.

        The revisions are part of the hash: across releases it is not always the same users who meet the candidate
        first.
        """
        digest = hashlib.blake2b(value, digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "big") / SPACE * 100

    def at(self, point: float) -> Arm:
        """The arm whose stretch holds ``point``."""
        for edge, arm in self._edges:
            if point < edge:
                return arm
        return self._edges[-1][1]


def _newest_first(arm: Arm) -> tuple[int, str]:
    return (-int(arm.version) if arm.version.isdecimal() else 0, arm.revision)
