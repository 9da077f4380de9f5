"""Who may approve a ModelVersion, and in whose name."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.integration.admission.conftest import Installed, Person, Refused

NUMBERS = itertools.count(1)


def version(**spec: Any) -> dict[str, Any]:
    """A ModelVersion that waits for an approval."""
    artifact = {"uri": "s3://plimsoll-demo/m.onnx", "sha256": "a" * 64, "sizeBytes": 1, "format": "onnx"}
    return {
        "apiVersion": "plimsoll.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": f"digits-v{next(NUMBERS)}"},
        "spec": {"model": "digits", "artifact": artifact, "requireApproval": True, **spec},
    }


def approval(by: str, decision: str = "Approved") -> dict[str, Any]:
    return {"approval": {"decision": decision, "by": by}}


def may_not(user: str) -> str:
    return (
        f"spec.approval: {user} may not approve here: ask for the verb approve on modelversions.plimsoll.dev "
        "(ClusterRole plimsoll-admin)"
    )


def not_yourself(user: str) -> str:
    return f"spec.approval.by: must be your own user name, {user}"


WITHDRAWN = "spec.approval: a decision is not withdrawn; set decision to Rejected instead"


@pytest.fixture
def waiting(installed: Installed) -> str:
    """The name of a version that nobody has decided on."""
    name: str = installed.administrator.create("modelversions", version())["metadata"]["name"]
    return name


def refused(person: Person, name: str, spec: dict[str, Any] | None) -> tuple[int, str]:
    with pytest.raises(Refused) as refusal:
        person.patch("modelversions", name, {"spec": spec})
    return refusal.value.code, refusal.value.sentence


def test_who_may_approve_approves(installed: Installed, waiting: str) -> None:
    stored = installed.administrator.named("approver").patch("modelversions", waiting, {"spec": approval("approver")})
    assert stored["spec"]["approval"] == {"decision": "Approved", "by": "approver"}


def test_who_may_only_edit_does_not_approve(installed: Installed, waiting: str) -> None:
    person = installed.administrator.named("editor")
    assert refused(person, waiting, approval("editor")) == (403, may_not("editor"))


def test_an_editor_does_not_reject_either(installed: Installed, waiting: str) -> None:
    person = installed.administrator.named("editor")
    assert refused(person, waiting, approval("editor", "Rejected")) == (403, may_not("editor"))


def test_nobody_approves_in_another_name(installed: Installed, waiting: str) -> None:
    person = installed.administrator.named("approver")
    assert refused(person, waiting, approval("somebody")) == (403, not_yourself("approver"))


def test_who_acts_for_others_carries_their_decision(installed: Installed, waiting: str) -> None:
    person = installed.administrator.named("git")
    stored = person.patch("modelversions", waiting, {"spec": approval("approver")})
    assert stored["spec"]["approval"]["by"] == "approver"


def test_a_decision_may_be_changed_in_ones_own_name_only(installed: Installed, waiting: str) -> None:
    person = installed.administrator.named("approver")
    person.patch("modelversions", waiting, {"spec": approval("approver")})
    assert refused(person, waiting, {"approval": {"reason": "x", "by": "somebody"}}) == (403, not_yourself("approver"))
    stored = person.patch("modelversions", waiting, {"spec": approval("approver", "Rejected")})
    assert stored["spec"]["approval"]["decision"] == "Rejected"


@pytest.mark.parametrize("require", [True, False])
def test_a_decision_is_not_withdrawn(installed: Installed, require: bool) -> None:
    """Without it, a rejected version that needs no approval would be served again."""
    person = installed.administrator.named("approver")
    name = person.create("modelversions", version(requireApproval=require))["metadata"]["name"]
    person.patch("modelversions", name, {"spec": approval("approver", "Rejected")})
    code, sentence = refused(person, name, {"approval": None})
    assert (code, sentence) == (422, WITHDRAWN)


def test_a_version_is_not_made_with_an_approval_of_somebody_else(installed: Installed) -> None:
    for user, sentence in (("editor", may_not("editor")), ("approver", not_yourself("approver"))):
        with pytest.raises(Refused) as refusal:
            installed.administrator.named(user).create("modelversions", version(**approval("somebody")))
        assert (refusal.value.code, refusal.value.sentence) == (403, sentence)


def test_a_version_may_be_made_with_ones_own_approval(installed: Installed) -> None:
    stored = installed.administrator.named("approver").create("modelversions", version(**approval("approver")))
    assert stored["spec"]["approval"]["by"] == "approver"


def test_a_promoted_manifest_keeps_its_approval_when_git_brings_it(installed: Installed) -> None:
    stored = installed.administrator.named("git").create("modelversions", version(**approval("somebody")))
    assert stored["spec"]["approval"]["by"] == "somebody"


def test_an_editor_may_change_what_is_no_approval(installed: Installed, waiting: str) -> None:
    person = installed.administrator.named("editor")
    stored = person.patch("modelversions", waiting, {"metadata": {"labels": {"team": "a"}}})
    assert stored["metadata"]["labels"]["team"] == "a"


def test_an_editor_may_touch_an_approved_version_without_changing_the_approval(
    installed: Installed, waiting: str
) -> None:
    installed.administrator.named("approver").patch("modelversions", waiting, {"spec": approval("approver")})
    person = installed.administrator.named("editor")
    stored = person.patch(
        "modelversions", waiting, {"metadata": {"labels": {"team": "b"}}, "spec": approval("approver")}
    )
    assert stored["spec"]["approval"]["by"] == "approver"
