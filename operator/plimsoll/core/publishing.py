"""From an accepted result to its end: failed gates, a rejected model, or a ModelVersion under the next number."""

from __future__ import annotations

from collections.abc import Sequence

from plimsoll.core import versions
from plimsoll.core.conditions import Finding, shortened
from plimsoll.core.pods import sentence
from plimsoll.core.result import GateEntry, Result
from plimsoll.core.trainingstatus import Seen, Stored, failed, outcome
from plimsoll.facts import Action, Create, Manifest, Plan, PutObject

#: Which metric speaks for a model that no gate measures.
_FOREMOST = ("accuracy", "balanced_accuracy", "f1_macro", "r2", "root_mean_squared_error", "mean_absolute_error")


def settle(seen: Seen, stored: Stored, now: float) -> Plan:
    """What an accepted result leads to."""
    result = stored.result
    assert isinstance(result, Result)
    note: tuple[Action, ...] = ()
    if stored.note is not None:
        note = (PutObject(seen.run.namespace, seen.run.accepted_key, stored.note),)
    if result.verdict == "GatesFailed":
        return _gates_failed(seen, result, now, note, trained(seen, stored))
    if result.verdict == "Rejected":
        message = f"The model was not accepted: {sentence(result.reason or 'publish gave no reason')}"
        plan = failed(seen, "ModelRejected", message, now, trained(seen, stored))
        return Plan(before=note, status=plan.status, notices=plan.notices)
    return _passed(seen, stored, now, note)


def trained(seen: Seen, stored: Stored) -> Finding:
    """The condition Trained of a run that has a result."""
    if stored.adopted:
        return Finding(
            "Trained",
            "True",
            "Adopted",
            f"Run {seen.run.hash} had ended before with the same inputs; its result is used.",
        )
    return Finding("Trained", "True", "Trained", f"Job {seen.run.base}-train trained the model.")


def measured(result: Result) -> str:
    """`accuracy 0.9711 (min 0.9)`: the first failed gate, else the first gate, else the foremost metric."""
    shown = sorted(result.gates, key=lambda gate: gate.passed)
    if shown and shown[0].measured is not None:
        return shortened(f"{shown[0].metric} {_number(shown[0].measured)} ({shown[0].requirement})", 200)
    return headline(result.metrics)


def headline(metrics: dict[str, float]) -> str:
    """`accuracy 0.9711`: the foremost metric, or an empty text."""
    name = next((name for name in (*_FOREMOST, *sorted(metrics)) if name in metrics), None)
    return f"{name} {_number(metrics[name])}" if name else ""


def _number(value: float) -> str:
    return f"{value:.4g}"


def _gates_failed(seen: Seen, result: Result, now: float, note: Sequence[Action], trained_: Finding) -> Plan:
    missed = [gate for gate in result.gates if not gate.passed]
    asked = "; ".join(_missed(gate) for gate in missed)
    message = f"{len(missed)} of {len(result.gates)} gates failed: {asked}. Change the data, the trainer or spec.gates."
    findings = (
        Finding("Ready", "False", "GatesFailed", message),
        trained_,
        Finding("GatesPassed", "False", "GatesFailed", message),
        Finding("Published", "False", "GatesFailed", "A model that misses a gate does not become a version."),
    )
    return outcome(seen, "GatesFailed", findings, now, before=note, **_found(result))


def _missed(gate: GateEntry) -> str:
    if gate.message:
        return gate.message
    what = "nothing" if gate.measured is None else _number(gate.measured)
    return f"{gate.metric}: measured {what}, asked {gate.requirement}"


def _found(result: Result) -> dict[str, object]:
    return {
        "digest": result.artifact.sha256 if result.artifact else None,
        "metrics": result.metrics,
        "gates": tuple(gate.shown() for gate in result.gates),
        "summary": measured(result) or None,
    }


def _gates(result: Result) -> Finding:
    total = len(result.gates)
    if not total:
        return Finding("GatesPassed", "True", "NoGates", "No gates are set: nothing was asked of the model.")
    return Finding("GatesPassed", "True", "GatesPassed", f"{total} of {total} gates passed: {measured(result)}.")


def _passed(seen: Seen, stored: Stored, now: float, note: tuple[Action, ...]) -> Plan:
    result = stored.result
    assert isinstance(result, Result) and result.artifact is not None
    existing = versions.with_digest(seen.versions, seen.spec.model, result.artifact.sha256)
    if existing is not None:
        return _succeeded(seen, stored, existing, now, note)
    claim = stored.claim
    assert claim is not None
    name = f"{seen.spec.model}-v{claim.number}"
    if len(name) > versions.NAME_LIMIT:
        message = f"{name} has {len(name)} characters, {versions.NAME_LIMIT} are allowed: choose a shorter spec.model."
        return failed(seen, "NameTooLong", message, now, trained(seen, stored), _gates(result))
    if claim.made:
        step: Action = Create(
            versions.manifest(seen.run, seen.spec, result, claim.number, stored.provenance), adopt=True
        )
    else:
        key = versions.claim_key(seen.spec.model, claim.number)
        step = PutObject(seen.run.namespace, key, versions.claim_body(result.artifact.sha256))
    message = f"The model passed and becomes {name}."
    findings = (
        Finding("Ready", "False", "Publishing", message),
        trained(seen, stored),
        _gates(result),
        Finding("Published", "False", "Publishing", message),
    )
    return outcome(seen, "Publishing", findings, now, before=(*note, step), requeue_after=0.5, **_found(result))


def _succeeded(seen: Seen, stored: Stored, version: Manifest, now: float, note: Sequence[Action]) -> Plan:
    result = stored.result
    assert isinstance(result, Result)
    name = version["metadata"]["name"]
    made_here = (version["spec"].get("lineage") or {}).get("run") == seen.run.hash
    if made_here:
        published = Finding("Published", "True", "Published", f"ModelVersion {name} holds the model.")
    else:
        message = f"The model is byte for byte that of {name}: no further version was made."
        published = Finding("Published", "True", "AlreadyPublished", message)
    says = measured(result)
    ready = Finding("Ready", "True", "Succeeded", f"{published.message[:-1]}{'; ' + says if says else ''}.")
    findings = (ready, trained(seen, stored), _gates(result), published)
    return outcome(seen, "Succeeded", findings, now, before=note, model_version=name, **_found(result))
