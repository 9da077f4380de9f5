"""Why a port could not do what a pass asked. Both wings speak of these; nothing here does anything."""

from __future__ import annotations

from plimsoll.facts import Ref


class Conflict(Exception):
    """Somebody else wrote first (HTTP 409 on a resourceVersion): plan again."""


class NameConflict(Exception):
    """An object of the wanted name exists and is not ours."""

    def __init__(self, ref: Ref) -> None:
        super().__init__(
            f"{ref.kind} {ref.name} exists and is not controlled by this object: delete it, or rename one of them"
        )
        self.ref = ref


class Refused(Exception):
    """The API server refuses the object for good (HTTP 403 or 422): a quota, an admission policy, an invalid value."""

    def __init__(self, ref: Ref, why: str) -> None:
        super().__init__(f"{ref.kind} {ref.name} was refused: {why}")
        self.ref = ref


class Unavailable(Exception):
    """The world's failure (network, 5xx, time-out): retry with backoff."""
