"""From raw counters of pods to windows of evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from plimsoll.core import predictions
from plimsoll.core.predictions import Counts
from plimsoll.facts import ArmCounts, PodCounters, Sample, Window
from plimsoll.names import FAILURE_OUTCOMES, LATENCY_EDGES

_BUCKETS = len(LATENCY_EDGES) + 1
#: Percent.
_ALL = 100


@dataclass(frozen=True, slots=True)
class _Delta:
    """What one pod counted within the window. `latency` holds cumulative buckets, +Inf last."""

    pod: str
    revision: str
    arms: Mapping[tuple[str, str], int]
    latency: tuple[int, ...]
    version: str
    counts: Counts
    served: Mapping[str, int]


def window_between(
    previous: Sample,
    current: Sample,
    *,
    index: int,
    step: int,
    weight: int,
    stable: str,
    candidate: str,
    rest: str | None = None,
    gap: str | None = None,
) -> Window:
    """The window between two samples; `stable` and `candidate` are revision names, `weight` is the candidate's in
    percent.

    `rest` is a third arm: with a baseline as `stable` the pods of the stable version that serve beside it. What it was
    given counts for the split; its pods say how noisy the version is, as long as they have a share.

    Requests, failures and client errors of an arm are summed over the pods that chose it; times come from the
    revision's own pods. A process that started after `previous.at` counts from zero; what its predecessor counted
    since then is lost for both arms alike. A pod first seen with older counts is left out until the next window. The
    order of pods does not matter. A window that cannot count keeps its zeros and says why in `gap`: the caller's
    `gap` first, then

    * `reset: …` counts that matter here fell in a running process (or a restart that cannot be dated);
    * `down: …` no pod answered;
    * `missing: …` pods answered, but there is nothing before them to compare with or no series of an arm.

    Series that exist and did not move are no gap: a window of zero requests. Raises ValueError when time does not
    rise or a pod's `latency` has not one count for each of LATENCY_EDGES and +Inf.
    """
    if current.at <= previous.at:
        raise ValueError(
            f"current.at {current.at} is not after previous.at {previous.at}: pass the samples in order of time"
        )
    deltas, broken = _deltas(previous, current, (stable, candidate), rest)
    gap = gap or broken or _absent(previous, current, deltas, (stable, candidate))
    if gap is not None:
        return Window(index, previous.at, current.at, step, weight, ArmCounts(), ArmCounts(), (), gap)
    beside = 0 if rest is None else _counts(rest, deltas, ()).requests
    noisy = rest if rest is not None and 2 * weight < _ALL else stable
    alone = _counts if rest is None or noisy == rest else _answered
    pods = tuple(alone(noisy, (pod,), (pod,)) for pod in deltas if pod.revision == noisy)
    servers = [tuple(pod for pod in deltas if pod.revision == arm) for arm in (stable, candidate)]
    before, after = _counts(stable, deltas, servers[0]), _counts(candidate, deltas, servers[1])
    versions = tuple(next((pod.version for pod in serving), "") for serving in servers)
    return Window(
        index, previous.at, current.at, step, weight, before, after, pods,
        turned_away=(_turned_away(stable, before, deltas) + beside, _turned_away(candidate, after, deltas)),
        outputs=predictions.outputs(*([pod.counts for pod in serving] for serving in servers)),
        cohorts=predictions.cohorts([pod.counts for pod in deltas], (versions[0], versions[1])),
        pairs=predictions.pairs([pod.counts for pod in deltas], stable, candidate),
        differences=predictions.differences([pod.counts for pod in deltas], stable, candidate),
    )  # fmt: skip


def uncompared(window: Window) -> Window:
    """The window without the stable arm: nothing is compared, but what the candidate did still counts against it."""
    others = window.turned_away[0] + window.stable.requests
    return replace(window, stable=ArmCounts(), stable_pods=(), outputs=(), turned_away=(others, window.turned_away[1]))


def _deltas(
    previous: Sample, current: Sample, arms: tuple[str, str], rest: str | None
) -> tuple[tuple[_Delta, ...], str | None]:
    """What each pod counted, in order of the pods' names, and the reason when one of them cannot be trusted."""
    before = {pod.pod: pod for pod in previous.pods}
    found = []
    for pod in sorted(current.pods, key=lambda pod: pod.pod):
        if len(pod.latency) != _BUCKETS:
            raise ValueError(
                f"latency of pod {pod.pod} has {len(pod.latency)} counts, not {_BUCKETS}: one for each edge and +Inf"
            )
        base = before.get(pod.pod)
        if base is None or base.started != pod.started:
            if pod.started > previous.at:
                base = PodCounters(pod.pod, pod.revision, pod.started, None, {}, (0,) * _BUCKETS, counts={})
            elif base is None:
                continue
            else:
                return (), f"reset: pod {pod.pod} counts anew, but not since a known moment"
        delta = _delta(base, pod, arms, rest)
        if delta is None:
            return (), f"reset: counters of pod {pod.pod} fell without a restart"
        found.append(delta)
    return tuple(found), None


def _delta(base: PodCounters, pod: PodCounters, compared: tuple[str, str], rest: str | None) -> _Delta | None:
    """What was counted between the two, or None when a count of these arms, or of latency, fell or vanished.

    What an earlier operator did not ask for is not known at the beginning: it counts from the next window on.
    """
    revisions = {*compared, rest}
    if any(key[0] in revisions and key not in pod.arm_requests for key in base.arm_requests):
        return None
    arms = {key: n - base.arm_requests.get(key, 0) for key, n in pod.arm_requests.items() if key[0] in revisions}
    latency = tuple(now - then for now, then in zip(pod.latency, base.latency, strict=True))
    if min(arms.values(), default=0) < 0 or list(latency) != sorted(latency) or latency[0] < 0:
        return None
    counts = predictions.increase(base, pod, compared)
    served = {outcome: max(0, n - base.served.get(outcome, 0)) for outcome, n in pod.served.items()}
    return None if counts is None else _Delta(pod.pod, pod.revision, arms, latency, pod.version, counts, served)


def _absent(previous: Sample, current: Sample, deltas: tuple[_Delta, ...], arms: tuple[str, str]) -> str | None:
    if not current.pods:
        why = "; ".join(f"{pod}: {reason}" for pod, reason in sorted(current.absent.items())[:3])
        return (
            f"down: none of {len(current.absent)} pods answered ({why})"
            if current.absent
            else "missing: there was no pod to ask"
        )
    if not deltas:
        return f"missing: no earlier counts of the {len(current.pods)} pods" + (
            "" if previous.pods else ", the last sample was empty"
        )
    for name, arm in zip(("stable", "candidate"), arms, strict=True):
        if not any(revision == arm for pod in deltas for revision, _ in pod.arms):
            return f"missing: no pod has series of the {name} arm {arm}"
    return None


def _counts(arm: str, choosers: tuple[_Delta, ...], servers: tuple[_Delta, ...]) -> ArmCounts:
    chosen = [
        (outcome, count) for pod in choosers for (revision, outcome), count in pod.arms.items() if revision == arm
    ]
    buckets = [sum(pod.latency[i] for pod in servers) for i in range(_BUCKETS)]
    return ArmCounts(
        requests=sum(count for _, count in chosen),
        failures=sum(count for outcome, count in chosen if outcome in FAILURE_OUTCOMES),
        client_errors=sum(count for outcome, count in chosen if outcome == "client_error"),
        timed=buckets[-1],
        slower=tuple(buckets[-1] - count for count in buckets[:-1]),
        timeouts=sum(count for outcome, count in chosen if outcome == "timeout"),
        unreachable=sum(count for outcome, count in chosen if outcome == "unreachable"),
    )


def _answered(arm: str, choosers: tuple[_Delta, ...], servers: tuple[_Delta, ...]) -> ArmCounts:
    """Of pods for which others choose: what they answered."""
    found = _counts(arm, choosers, servers)
    if found.requests:
        return found
    told = [(outcome, n) for pod in servers for outcome, n in pod.served.items()]
    return replace(
        found,
        requests=sum(n for _, n in told),
        failures=sum(n for outcome, n in told if outcome in FAILURE_OUTCOMES),
        client_errors=sum(n for outcome, n in told if outcome == "client_error"),
    )


def _turned_away(arm: str, seen: ArmCounts, deltas: tuple[_Delta, ...]) -> int:
    """Requests that pods which choose arms answered themselves although they had chosen this one, and that no outcome
    tells of: its breaker was open. At least so many, for not every client error falls back."""
    choosers = (pod for pod in deltas if any(pod.arms.values()))
    fallbacks = sum(pod.counts.get(("fallback", arm), 0) for pod in choosers if pod.revision != arm)
    return max(0, int(fallbacks) - seen.failures - seen.client_errors)
