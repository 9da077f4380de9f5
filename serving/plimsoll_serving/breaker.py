"""A breaker per arm: stops delegation to an arm that keeps failing. Pure: the time comes in, monotonic seconds."""

from collections import deque

CONSECUTIVE = 5
RECENT = 20
OPEN_SECONDS = 30.0
NEW_SECONDS = 10.0
AGAIN_SECONDS = 0.1


class FirstContact:
    """Whether an arm was reached yet. A Service's address works a moment after its pod is ready, when each node's
    kube-proxy has followed: until then, for at most 10 s, it is no failure of the arm that it is not there.

    Args:
        now: when the arm is met.
    """

    def __init__(self, now: float) -> None:
        self._until = now + NEW_SECONDS

    def made(self) -> None:
        self._until = 0.0

    def pending(self, now: float) -> bool:
        return now < self._until


class Breaker:
    """Opens for 30 s after 5 failures in a row or 10 in the last 20; then one request at a time tries the arm again."""

    def __init__(self, now: float) -> None:
        self._contact = FirstContact(now)
        self._recent: deque[bool] = deque(maxlen=RECENT)
        self._in_a_row = 0
        self._opened_at: float | None = None
        self._trying = False

    def allows(self, now: float) -> bool:
        """Whether a request may go to the arm. A True answer must be followed by `succeeded`, `failed` or `left`."""
        if self._opened_at is None:
            return True
        if now - self._opened_at < OPEN_SECONDS or self._trying:
            return False
        self._trying = True
        return True

    def is_open(self, now: float) -> bool:
        return self._opened_at is not None and now - self._opened_at < OPEN_SECONDS

    def reached(self) -> None:
        """The arm was at its address."""
        self._contact.made()

    def puts_off(self, now: float) -> bool:
        """Whether an arm that was not at its address may just not be known there yet. It is tried again soon, by one
        request at a time; a True answer takes the place of `failed`."""
        if not self._contact.pending(now):
            return False
        self._opened_at, self._trying = now - OPEN_SECONDS + AGAIN_SECONDS, False
        return True

    def succeeded(self) -> None:
        if self._opened_at is not None and not self._trying:
            return  # an answer from before the opening proves nothing about now
        self._opened_at, self._trying = None, False
        self._in_a_row = 0
        self._recent.append(True)

    def failed(self, now: float) -> None:
        if self._opened_at is not None and not self._trying:
            return  # nor does a failure from before
        self._in_a_row += 1
        self._recent.append(False)
        failures = self._recent.count(False)
        if self._trying or self._in_a_row >= CONSECUTIVE or (len(self._recent) == RECENT and failures * 2 >= RECENT):
            self._open(now)

    def left(self) -> None:
        """The caller stopped waiting before the arm's time was over: that tells nothing about the arm."""
        self._trying = False

    def _open(self, now: float) -> None:
        self._opened_at, self._trying = now, False
        self._recent.clear()
        self._in_a_row = 0
