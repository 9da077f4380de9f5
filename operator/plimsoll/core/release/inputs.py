"""What the versions are given: like inputs, or other ones than each other's, or than those that they were judged by.

A model answers otherwise when it is asked otherwise. So inputs never fail a candidate; they say what a shift of the
predictions comes from. They are kept in memory: an operator that begins anew knows of none until enough have come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import InferenceServiceStatus as Status
from plimsoll.core import route
from plimsoll.core.conditions import Finding, find
from plimsoll.core.predictions import common
from plimsoll.core.release import pace, watching
from plimsoll.core.release.observed import Inputs, Observed
from plimsoll.core.statistics.inputs import LEAST_PSI, FeatureShift, InputShift, input_shift
from plimsoll.facts import Features, OutputBins, PodInputs

#: What came so many seconds ago counts half.
HALF_LIFE_SECONDS = 1800.0
#: A feature that was said to differ is said so until its index is below this part of LEAST_PSI.
_STICKS = 0.5
_NAMED = 3
#: Of the condition.
TYPE = "InputsAsProfiled"


def arms(status: Status) -> tuple[str, ...]:
    """Whose inputs matter: what the candidate is compared with, and the candidate as soon as it is given any."""
    compared, candidate = route.compared(status), status.candidate
    shared = candidate is not None and bool(status.weight or status.mirror)
    return tuple(one.revision for one in (compared, candidate if shared else None) if one is not None)


def matter(observed: Observed, status: Status) -> bool:
    """Whether they are looked at: in a release, and after it where the spec asks for somebody who watches. A pod of a
    pool counts those of many models."""
    watched = observed.spec.monitoring is not None and watching.applies(replace(observed, status=status))
    return observed.pool is None and (watched or len(arms(status)) == 2)


def is_due(observed: Observed, known: Inputs | None) -> bool:
    """Whether the pods have to be asked in this pass: it reads them anyway, and the last look is a window old."""
    if observed.sample is None:
        return False
    if known is None or known.arms != arms(observed.status) or known.at > observed.now:
        return True
    return observed.now >= known.at + seconds(observed.spec.release.analysis.window) - pace.EARLY_SECONDS


def look(known: Inputs | None, found: Iterable[PodInputs], status: Status, now: float) -> Inputs:
    """What is known after the pods were asked again; of other arms than before nothing is."""
    pods = {pod.pod: pod for pod in found if pod.revision in arms(status)}
    profile = {pod.revision: pod.profile for pod in pods.values()}
    if known is None or known.arms != arms(status) or now <= known.at:
        return Inputs(arms(status), now, pods, {}, profile)
    kept = 0.5 ** ((now - known.at) / HALF_LIFE_SECONDS)
    counted: dict[str, dict[tuple[str, str], float]] = {
        revision: {key: kept * n for key, n in rows.items()} for revision, rows in known.counted.items()
    }
    for pod in pods.values():
        sums = counted.setdefault(pod.revision, {})
        for key, rows in _increase(known, pod).items():
            sums[key] = sums.get(key, 0.0) + rows
    return Inputs(known.arms, now, pods, counted, profile)


def _increase(known: Inputs, pod: PodInputs) -> Features:
    """Rows since the last look, at most one for each request: those of one request may be all alike."""
    before = known.pods.get(pod.pod)
    if before is None or before.started != pod.started:
        if pod.started <= known.at:
            return {}
        before = replace(pod, requests=0, features={})
    grown = {key: rows - before.features.get(key, 0.0) for key, rows in pod.features.items()}
    requests = pod.requests - before.requests
    if requests <= 0 or min(grown.values(), default=0.0) < 0:
        return {}
    by_feature: dict[str, float] = {}
    for (feature, _), rows in grown.items():
        by_feature[feature] = by_feature.get(feature, 0.0) + rows
    thinned = max(1.0, max(by_feature.values(), default=0.0) / requests)
    return {key: rows / thinned for key, rows in grown.items()}


# --- what differs ---------------------------------------------------------------------------------------------------


def between_arms(inputs: Inputs) -> InputShift | None:
    """The candidate's from those of what it is compared with; None when nobody can tell."""
    if len(inputs.arms) != 2:
        return None
    there, here = (inputs.counted.get(arm, {}) for arm in inputs.arms)
    return _told(here, there, LEAST_PSI)


def from_profile(inputs: Inputs, revision: str, least: float = LEAST_PSI) -> InputShift | None:
    """A revision's from those that its version was judged by; None when nobody can tell."""
    return _told(inputs.counted.get(revision, {}), inputs.profile.get(revision, {}), least)


def _told(here: Features, there: Features, least: float) -> InputShift | None:
    found = input_shift(tuple(_features(here, there)), least)
    return found if found.told else None


def _features(here: Features, there: Features) -> Iterable[OutputBins]:
    """Features of both sides by the bins that both have."""
    sides = [_by_feature(side) for side in (there, here)]
    for name in sorted(sides[0].keys() & sides[1].keys()):
        found = common(name, _whole(sides[0][name]), _whole(sides[1][name]))
        if found is not None:
            yield found


def _by_feature(rows: Features) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for (feature, label), count in rows.items():
        found.setdefault(feature, {})[label] = count
    return found


def _whole(rows: Mapping[str, float]) -> dict[str, int]:
    return {label: round(count) for label, count in rows.items()}


# --- what is said of it ---------------------------------------------------------------------------------------------


def explained(inputs: Inputs | None) -> str:
    """What the inputs say of a shift between the versions, to go on a sentence with; empty when nobody can tell."""
    shift = between_arms(inputs) if inputs is not None else None
    if inputs is None or shift is None:
        return ""
    if shift.shifts:
        return (
            f"; their inputs differ, too: {_most(shift.shifts[0], 'candidate', 'stable')}: whoever splits the traffic"
            " sends them other requests, so that it need not be the model"
        )
    others = _shifted_everywhere(inputs, LEAST_PSI)
    if others:
        return f"; both get like inputs, though others than those that they were judged by ({_named(others)})"
    return "; both get like inputs: the difference is the model's"


def _most(shift: FeatureShift, here: str, there: str) -> str:
    return (
        f"{shift.name} (PSI {shift.psi:.2g}; most in {shift.bin}: {here} {shift.here:.0%}, {there} {shift.there:.0%})"
    )


def _named(features: Iterable[str]) -> str:
    names = sorted(features)
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _shifted_everywhere(inputs: Inputs, least: float) -> frozenset[str]:
    """Features that every arm gets otherwise than its version was judged by."""
    found = [from_profile(inputs, arm, least) for arm in inputs.arms]
    named = [frozenset(shift.name for shift in one.shifts) if one else frozenset() for one in found]
    return frozenset.intersection(*named) if named else frozenset()


def finding(inputs: Inputs | None, before: Status, after: Status) -> Finding | None:
    """The condition: whether what serves is given what it was judged by. During a release both versions have to be
    given something else: what one of them alone is given is told by the release. It has no number that changes from
    look to look: each would be a write."""
    had = find(before.conditions, TYPE)
    kept = Finding(had.type, had.status, had.reason, had.message) if had and before.stable == after.stable else None
    if inputs is None or inputs.arms != arms(after) or any(from_profile(inputs, arm) is None for arm in inputs.arms):
        return kept
    shifted = _shifted_everywhere(inputs, LEAST_PSI)
    if kept is not None and kept.status == "False" and _shifted_everywhere(inputs, _STICKS * LEAST_PSI):
        return kept
    if not shifted:
        return Finding(TYPE, "True", "AsProfiled", "requests are like those that the version was judged by")
    who = "both versions, so that it is not the candidate's doing" if len(inputs.arms) == 2 else "what serves"
    told = f"{_named(shifted)}: requests differ from those that the version was judged by; they reach {who}"
    return Finding(TYPE, "False", "InputShift", told)
