"""What came of copies of requests, as a window of evidence: the two answers to one request are a pair."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from plimsoll.core.predictions import increase, known_pods
from plimsoll.facts import ArmCounts, Sample, Window

#: Outcomes of a pair that count for both arms. Where both failed, nothing is said of the difference.
_COMPARED = ("match", "mismatch", "stable_error", "candidate_error", "unreachable", "timeout")
#: Those in which only the candidate failed.
_FAILED = ("candidate_error", "unreachable", "timeout")


def paired(window: Window, previous: Sample, current: Sample, arms: tuple[str, str]) -> Window:
    """The window with the pairs of copies as the requests of both arms, `arms` being stable and candidate.

    The requests are the same for both, so that failures which only one of them had are all that differs; times stay
    what each arm's pods measured. A window with a gap stays as it is.
    """
    if window.gap is not None:
        return window
    counts: dict[str, int] = defaultdict(int)
    for outcome, count in _increases(previous, current, arms):
        counts[outcome] += count
    requests = sum(counts[outcome] for outcome in _COMPARED)
    failures = sum(counts[outcome] for outcome in _FAILED)
    stable = _arm(window.stable, requests, counts["stable_error"])
    candidate = _arm(window.candidate, requests, failures)
    candidate = replace(candidate, timeouts=counts["timeout"], unreachable=counts["unreachable"])
    return replace(window, stable=stable, candidate=candidate)


def _arm(arm: ArmCounts, requests: int, failures: int) -> ArmCounts:
    return replace(arm, requests=requests, failures=failures, client_errors=0, timeouts=0, unreachable=0)


def _increases(previous: Sample, current: Sample, arms: tuple[str, str]) -> Iterator[tuple[str, int]]:
    """By outcome, what each pod counted."""
    for base, pod in known_pods(previous, current):
        grown = increase(base, pod, arms) or {}  # one that fell has made the window a gap already
        yield from ((key[3], int(count)) for key, count in grown.items() if key[0] == "pair")
