"""Which revision the spec asks for."""

from __future__ import annotations

from typing import Any

import pytest
from plimsoll.api.inferenceservice import InferenceServiceSpec, InferenceServiceStatus
from plimsoll.core.release.choice import Choice, choose, refuses_stable_inputs
from plimsoll.core.release.observed import Observed
from plimsoll.core.revision import Revision
from plimsoll.facts import Settings

from tests.builders.release import service, version


def observed(
    *versions: dict[str, Any],
    wanted: str = "auto",
    token: str | None = None,
    revisions: tuple[Revision, ...] = (),
    **status: Any,
) -> Observed:
    release: dict[str, Any] = {"retryToken": token} if token else {}
    manifest = service(version=wanted, **release)
    return Observed(
        owner=manifest,
        spec=InferenceServiceSpec.model_validate(manifest["spec"]),
        status=InferenceServiceStatus.model_validate(status),
        settings=Settings(),
        now=0.0,
        versions=versions,
        revisions=revisions,
    )


def chosen(choice: Choice) -> str | None:
    return choice.revision.version if choice.revision else None


def name(number: int) -> str:
    revision = choose(observed(version(number), wanted=str(number))).revision
    assert revision is not None
    return revision.name


def stable(number: int) -> dict[str, Any]:
    return {"stable": {"revision": name(number), "version": str(number)}}


def quarantine(*numbers: int, token: str | None = None) -> list[dict[str, Any]]:
    return [
        {"revision": name(n), "version": str(n), "retryToken": token, "reason": "failed", "at": "2026-11-22T12:00:00Z"}
        for n in numbers
    ]


def test_auto_follows_the_newest_version_that_is_ready() -> None:
    versions = [version(9), version(10), version(11, phase="PendingApproval")]
    assert chosen(choose(observed(*versions))) == "10"


def test_auto_passes_over_what_is_in_quarantine() -> None:
    found = choose(observed(version(1), version(2), quarantine=quarantine(2), **stable(1)))
    assert chosen(found) == "1"
    assert found.passed_over == (name(2),)


def test_another_token_opens_the_quarantine() -> None:
    found = choose(observed(version(1), version(2), token="again", quarantine=quarantine(2), **stable(1)))
    assert chosen(found) == "2"


def test_auto_never_goes_below_the_stable_version_by_itself() -> None:
    runtime_failed = quarantine(2)
    assert chosen(choose(observed(version(1), version(2), quarantine=runtime_failed, **stable(2)))) is None
    assert chosen(choose(observed(version(1), **stable(2)))) is None


def test_auto_leaves_a_stable_version_that_was_rejected_since() -> None:
    assert chosen(choose(observed(version(1), version(2, phase="Rejected"), **stable(2)))) == "1"


def test_a_pinned_version_may_be_older_than_the_stable_one() -> None:
    assert chosen(choose(observed(version(1), version(2), wanted="1", **stable(2)))) == "1"


@pytest.mark.parametrize(
    ("versions", "reason"),
    [
        ([version(1)], "ModelVersionNotFound"),
        ([version(2, phase="PendingApproval")], "ModelVersionNotReady"),
        ([version(2, phase="Invalid")], "ModelVersionNotReady"),
    ],
)
def test_a_pinned_version_that_cannot_be_served_says_why(versions: list[dict[str, Any]], reason: str) -> None:
    found = choose(observed(*versions, wanted="2"))
    assert (found.revision, found.reason) == (None, reason)
    assert "digits-v2" in found.message


def test_versions_of_other_models_are_not_looked_at() -> None:
    other = version(5)
    other["spec"]["model"], other["metadata"]["name"] = "faces", "faces-v5"
    assert chosen(choose(observed(version(1), other))) == "1"


def test_a_stored_revision_is_taken_before_one_is_rendered() -> None:
    first = choose(observed(version(1))).revision
    assert first is not None
    again = choose(observed(version(1), revisions=(first,))).revision
    assert again is first


def revision(*inputs: tuple[str, str, list[int]]) -> Revision:
    signature = {"inputs": [{"name": n, "datatype": d, "shape": s} for n, d, s in inputs], "outputs": []}
    return Revision("a", "digits", "demo", "1", "", "", {}, signature)


STABLE = revision(("input", "FP32", [-1, 64]))


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        (revision(("input", "FP32", [-1, 64])), None),
        (revision(("input", "FP32", [-1, -1])), None),
        (revision(("input", "FP32", [-1, 65])), "input input: FP32 [-1, 64] became FP32 [-1, 65]"),
        (revision(("input", "INT64", [-1, 64])), "became INT64"),
        (revision(("input", "FP32", [-1, 64]), ("age", "FP32", [-1, 1])), "input age is new"),
        (revision(("other", "FP32", [-1, 64])), "input input is unknown to the candidate"),
    ],
)
def test_a_candidate_must_accept_what_clients_send_now(candidate: Revision, said: str | None) -> None:
    found = refuses_stable_inputs(candidate, STABLE)
    assert found is None if said is None else found is not None and said in found
