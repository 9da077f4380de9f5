"""What a release is judged by: the spec's analysis in the terms of the verdict."""

from __future__ import annotations

from plimsoll.api.common import seconds
from plimsoll.api.inferenceservice import InferenceServiceSpec
from plimsoll.core.release import pace, sources
from plimsoll.core.release.observed import Observed
from plimsoll.core.statistics.allotment import of_attempt
from plimsoll.core.verdict import Mode, Policy

#: How far the split may be from the one that was asked, as a part of the smaller arm's share.
_SPLIT_TOLERANCE = 0.1


def mode(observed: Observed) -> Mode:
    """Without two arms that take requests there is nothing to compare."""
    status = observed.status
    two = status.mirror or 0 < (status.weight or 0) < 100 or pace.precedes(observed, status)
    return "Sequential" if two else "Absolute"


def policy(observed: Observed) -> Policy:
    """What the release is judged by where it is now."""
    status, least = observed.status, pace.least_requests(observed, observed.status)
    return policy_of(observed.spec, mirrored=bool(status.mirror), min_requests=least, attempt=status.revision_attempt)


def policy_of(spec: InferenceServiceSpec, *, mirrored: bool, min_requests: int, attempt: int | None = 1) -> Policy:
    """The spec's analysis in the verdict's terms, of copies of requests or of users' own. `attempt` counts those of one
    revision, which share alpha; None is one that began before they were counted, and keeps all of it."""
    asked = spec.release.analysis
    errors, latency, shift = asked.error_rate, asked.latency, asked.prediction_shift
    labels = asked.accuracy
    # No user got the answers to copies, and nobody can say what would have been right.
    labelled = labels.enabled and not mirrored
    # With sticky users and sessions users are split, not requests, and nobody counts users; with an armHeader callers
    # choose.
    traffic = spec.traffic
    ref = traffic.gateway_ref
    chosen = ref is not None and (ref.arm_header is not None or ref.session is not None)
    by_request = traffic.sticky_header is None and not chosen
    return Policy(
        alpha=asked.alpha if attempt is None else of_attempt(asked.alpha, attempt),
        error_margin=errors.margin if errors.enabled else None,
        error_max=errors.max if errors.max is not None and errors.max < 1 else None,
        latency_margin=latency.margin if latency.enabled else None,
        latency_max_p99_seconds=seconds(latency.max_p99) if latency.max_p99 else None,
        min_requests=min_requests,
        shift_psi=shift.max_psi if shift.enabled else None,
        shift_fails=shift.enabled and shift.on_shift == "Rollback",
        split_tolerance=_SPLIT_TOLERANCE if by_request else None,
        accuracy_drop=labels.max_drop if labelled else None,
        error_rise=labels.max_error_rise if labelled else None,
        min_labels=labels.min_labels,
        oldest_label=labels.max_label_age,
        disagreement_max=asked.shadow.max_disagreement if asked.shadow else None,
        one_sided_max=asked.shadow.max_one_sided if asked.shadow else None,
        external=sources.demands(asked),
    )
