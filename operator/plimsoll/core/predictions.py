"""What a window says of predictions: their bins, the labels that came for them, and shadows beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from math import inf

from plimsoll.facts import Cohort, Differences, Labels, OutputBins, Pairs, PodCounters, Sample
from plimsoll.names import LABEL_AGES, PAIR_FAILURES

#: As PodCounters.counts.
Counts = Mapping[tuple[str, ...], float]

_NUMBER, _VALUE = "le:", "value:"
_BELOW, _ABOVE, _FINITE, _OTHER = "below_range", "above_range", "finite", "other"


def increase(before: PodCounters, after: PodCounters, arms: tuple[str, str]) -> Counts | None:
    """What a pod counted between two readings of one process that matters to these arms; None when a count fell.

    Counts that are not known at either end tell nothing.
    """
    if before.counts is None or after.counts is None:
        return {}
    now, then = (_relevant(one.counts or {}, after.revision, arms) for one in (after, before))
    grown = {key: now.get(key, 0) - then.get(key, 0) for key in now.keys() | then.keys()}
    return None if min(grown.values(), default=0) < 0 else grown


def _relevant(counts: Counts, revision: str, arms: tuple[str, str]) -> Counts:
    def matters(key: tuple[str, ...]) -> bool:
        match key:
            case ("bin", *_):
                return revision in arms
            case ("pair" | "difference", stable, candidate, *_):
                return (stable, candidate) == arms
            case ("fallback", arm):
                return arm in arms
        return True

    return {key: count for key, count in counts.items() if matters(key)}


def pruned(pod: PodCounters, arms: tuple[str, str], versions: Iterable[str]) -> PodCounters:
    """The pod without what is of no use to these arms: what is kept of it has a bound."""
    if pod.counts is None:
        return pod
    known = set(versions)
    kept = _relevant(pod.counts, pod.revision, arms)
    counts = {key: count for key, count in kept.items() if key[0] != "feedback" or key[1] in known}
    return replace(pod, counts=counts)


# --- bins -----------------------------------------------------------------------------------------------------------


def outputs(stable: Sequence[Counts], candidate: Sequence[Counts]) -> tuple[OutputBins, ...]:
    """Rows by bin of each output that both versions have, by its name; those without a row in either are left out.

    `stable` and `candidate` are what the pods of each counted. Beside classes numbers only say how sure a model is,
    which differs from one sort of model to another: of them only what is no number is compared.
    """
    arms = [_by_output(counts) for counts in (stable, candidate)]
    found = [common(name, arms[0][name], arms[1][name]) for name in sorted(arms[0].keys() & arms[1].keys())]
    kept = [one for one in found if one is not None and (any(one.stable) or any(one.candidate))]
    classes = any(_kind(label) == _VALUE for one in kept for label in one.bins)
    return tuple(_without_numbers(one) if classes else one for one in kept)


def _without_numbers(output: OutputBins) -> OutputBins:
    """With all finite numbers in one bin."""
    if not any(_kind(label) == _NUMBER for label in output.bins):
        return output
    arms = [dict(zip(output.bins, counts, strict=True)) for counts in (output.stable, output.candidate)]
    merged = [_merged(arm, (), ()) for arm in arms]
    bins = tuple(sorted(merged[0], key=_place))
    stable, candidate = (tuple(arm[label] for label in bins) for arm in merged)
    return OutputBins(output.name, bins, stable, candidate)


def _by_output(counts: Iterable[Counts]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for key, count in (item for one in counts for item in one.items()):
        if key[0] == "bin":
            found[key[1]][key[2]] += int(count)
    return found


def common(name: str, stable: Mapping[str, int], candidate: Mapping[str, int]) -> OutputBins | None:
    """Each version counts by the bins of its own profile: where they differ, those that meet at an edge of both.

    Bins that only one version has are put together: numbers up to the next common edge, values with the others. None
    where one has numbers and the other has values.
    """
    kinds = [{_kind(label) for label in arm} for arm in (stable, candidate)]
    if any(_VALUE in kinds[i] and kinds[1 - i] & {_NUMBER, _FINITE} for i in (0, 1)):
        return None
    shared = stable.keys() & candidate.keys()
    edges = sorted(_edge(label) for label in shared if _kind(label) == _NUMBER)
    merged = [_merged(arm, shared, edges) for arm in (stable, candidate)]
    bins = tuple(sorted(merged[0].keys() | merged[1].keys(), key=_place))
    before, after = (tuple(arm.get(label, 0) for label in bins) for arm in merged)
    return OutputBins(name, bins, before, after)


def _merged(arm: Mapping[str, int], shared: Iterable[str], edges: Sequence[float]) -> dict[str, int]:
    known = set(shared)
    found: dict[str, int] = defaultdict(int)
    for label, count in arm.items():
        found[_shared(label, known, edges)] += count
    return dict(found)


def _shared(label: str, shared: set[str], edges: Sequence[float]) -> str:
    """The bin of both versions that holds this one. Ranges are each profile's own: what is outside is at an end."""
    kind = _kind(label)
    if kind == _NUMBER:
        at = -inf if label == _BELOW else inf if label == _ABOVE else _edge(label)
        upper = next((edge for edge in edges if edge >= at), None)
        return _FINITE if upper is None else _label(upper)
    return _OTHER if kind == _VALUE and label not in shared else label


def _kind(label: str) -> str:
    if label.startswith(_NUMBER) or label in (_BELOW, _ABOVE):
        return _NUMBER
    return _VALUE if label.startswith(_VALUE) else label


def _edge(label: str) -> float:
    return float(label.removeprefix(_NUMBER)) if label.startswith(_NUMBER) else inf


def _label(edge: float) -> str:
    return f"{_NUMBER}+Inf" if edge == inf else f"{_NUMBER}{edge!r}"


def _place(label: str) -> tuple[int, float, str]:
    """Numbers by their edge, then values, then words."""
    kind = _kind(label)
    return (0, _edge(label), "") if kind == _NUMBER else (1 if kind == _VALUE else 2, 0.0, label)


# --- labels and shadows ---------------------------------------------------------------------------------------------


def cohorts(counts: Iterable[Counts], versions: tuple[str, str]) -> tuple[Cohort, ...]:
    """Labels by age, the youngest first; those without any are left out. Two revisions of one version have none: its
    labels do not say which of them predicted."""
    if versions[0] == versions[1] or not all(versions):
        return ()
    sums: dict[tuple[str, str, str], float] = defaultdict(float)
    for key, count in (item for one in counts for item in one.items()):
        if key[0] == "feedback":
            sums[key[1], key[2], key[3]] += count
    found = [Cohort(age, *(_labels(sums, version, age) for version in versions)) for age in LABEL_AGES]
    return tuple(one for one in found if one.stable != Labels() or one.candidate != Labels())


def _labels(sums: Mapping[tuple[str, str, str], float], version: str, age: str) -> Labels:
    counted = (int(sums.get((version, age, what), 0)) for what in ("correct", "incorrect", "measured"))
    errors = (sums.get((version, age, what), 0.0) for what in ("over", "under", "squared"))
    return Labels(*counted, *errors)


def known_pods(previous: Sample, current: Sample) -> Iterator[tuple[PodCounters, PodCounters]]:
    """Each pod of the second sample with where it counts from: from nothing where its process has started since the
    first. A pod first seen with older counts waits for the next sample."""
    before = {pod.pod: pod for pod in previous.pods}
    for pod in current.pods:
        base = before.get(pod.pod)
        if base is not None and base.started == pod.started:
            yield base, pod
        elif pod.started > previous.at:
            yield replace(pod, counts={}), pod


def labelled(previous: Sample, current: Sample, version: str) -> Labels:
    """What labels of every age said of a version's predictions between two samples, whichever pod they came to.

    Those of a pod first seen with older counts wait for the next sample, and counts that fell tell nothing.
    """
    sums: dict[tuple[str, str, str], float] = defaultdict(float)
    for base, pod in known_pods(previous, current):
        if pod.counts is None or base.counts is None:
            continue
        for key in (key for key in pod.counts if key[:2] == ("feedback", version)):
            sums[version, "", key[3]] += max(0.0, pod.counts[key] - base.counts.get(key, 0))
    return _labels(sums, version, "")


def pairs(counts: Iterable[Counts], stable: str, candidate: str) -> Pairs | None:
    """Mirrored requests; None when there was none."""
    sums: dict[str, int] = defaultdict(int)
    for key, count in (item for one in counts for item in one.items()):
        if key[:3] == ("pair", stable, candidate):
            sums[key[3]] += int(count)
    found = Pairs(sums["match"], sums["mismatch"], sum(sums[outcome] for outcome in PAIR_FAILURES))
    return None if found == Pairs() else found


def differences(counts: Iterable[Counts], stable: str, candidate: str) -> tuple[Differences, ...]:
    """Of the numbers of mirrored requests, by the names of the outputs; those without a request are left out."""
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for key, count in (item for one in counts for item in one.items()):
        if key[:3] == ("difference", stable, candidate):
            sums[key[3], key[4]] += count
    found = [_differences(sums, name) for name in sorted({name for name, _ in sums})]
    return tuple(one for one in found if one.requests)


def _differences(sums: Mapping[tuple[str, str], float], name: str) -> Differences:
    return Differences(name, *(sums.get((name, one.name), 0.0) for one in fields(Differences)[1:]))
