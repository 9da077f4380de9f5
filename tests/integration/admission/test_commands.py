"""Commands on an InferenceService: their form, in whose name, and by whom."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from plimsoll.core.release import commands

from tests.integration.admission.conftest import VERBS, Installed, Person, Refused

NUMBERS = itertools.count(1)
KEY = "plimsoll.dev/command"
FORM = (
    'metadata.annotations[plimsoll.dev/command]: write {"id":"…","verb":"promote|abort|pause|resume|retry|unquarantine|'
    'rollback","by":"your user name"}, and if you like "to":"a version", "reason":"…", '
    '"expires":"2026-11-24T12:00:00Z", in this order'
)


TO = 'metadata.annotations[plimsoll.dev/command]: "to" is the version to go back to: rollback needs it,'


def written(verb: str, by: str, **more: str) -> dict[str, Any]:
    """The annotation, as `kubectl annotate` sends it; a rollback goes to version 1."""
    more = ({"to": "1"} if verb == "rollback" and "to" not in more else {}) | more
    command = json.dumps({"id": f"c{next(NUMBERS)}", "verb": verb, "by": by} | more, separators=(",", ":"))
    return {"metadata": {"annotations": {KEY: command}}}


@pytest.fixture(scope="module")
def service(installed: Installed) -> str:
    """The name of an InferenceService."""
    body = {"apiVersion": "plimsoll.dev/v1alpha1", "kind": "InferenceService", "metadata": {"name": "digits"}}
    body["spec"] = {"model": {"name": "digits"}}
    name: str = installed.administrator.create("inferenceservices", body)["metadata"]["name"]
    return name


@pytest.fixture(autouse=True)
def read(installed: Installed, service: str) -> Iterator[None]:
    """After each test the operator has read what was written."""
    yield
    stored = installed.administrator.patch("inferenceservices", service, {})
    if (command := commands.read(stored)) is not None:
        installed.administrator.write_status("inferenceservices", service, {"commands": [command.id]})


def refused(person: Person, name: str, change: dict[str, Any]) -> tuple[int, str]:
    with pytest.raises(Refused) as refusal:
        person.patch("inferenceservices", name, change)
    return refusal.value.code, refusal.value.sentence


def may_not(user: str, verb: str) -> str:
    return (
        f"metadata.annotations[plimsoll.dev/command]: {user} may not {verb} here: ask for that verb on "
        "inferenceservices.plimsoll.dev (ClusterRole plimsoll-edit)"
    )


def test_every_command_of_the_operator_is_tried_here() -> None:
    assert VERBS == commands.VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_who_has_the_verb_gives_the_command(installed: Installed, service: str, verb: str) -> None:
    change = written(verb, verb, reason="the dashboards are green")
    stored = installed.administrator.named(verb).patch("inferenceservices", service, change)
    command = commands.read(stored)
    assert command is not None
    assert (command.verb, command.by) == (verb, verb)


@pytest.mark.parametrize("verb", VERBS)
def test_who_has_not_the_verb_does_not(installed: Installed, service: str, verb: str) -> None:
    other = next(one for one in VERBS if one != verb)
    for user in ("editor", other):
        assert refused(installed.administrator.named(user), service, written(verb, user)) == (403, may_not(user, verb))


def test_nobody_gives_a_command_in_another_name(installed: Installed, service: str) -> None:
    sentence = "metadata.annotations[plimsoll.dev/command]: by must be your own user name, promote"
    assert refused(installed.administrator.named("promote"), service, written("promote", "abort")) == (403, sentence)


def test_who_acts_for_others_carries_their_command(installed: Installed, service: str) -> None:
    stored = installed.administrator.named("git").patch("inferenceservices", service, written("abort", "abort"))
    command = commands.read(stored)
    assert command is not None
    assert command.by == "abort"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("promote", id="no JSON"),
        pytest.param('{"id":"1","verb":"promote"}', id="no name"),
        pytest.param('{"id":"","verb":"promote","by":"promote"}', id="no id"),
        pytest.param('{"id":"1","verb":"explode","by":"promote"}', id="no such verb"),
        pytest.param('{"verb":"promote","id":"1","by":"promote"}', id="another order"),
        pytest.param('{"id":"1","verb":"promote","by":"promote","verb":"abort"}', id="a verb twice"),
        pytest.param('{"id":"1","verb":"promote","by":"promote","by":"editor"}', id="a name twice"),
        pytest.param('{"id":"1","verb":"promote","by":"prom\\u006fte"}', id="an escape"),
        pytest.param('{"id":"1","verb":"promote","by":"promote","reason":"a\nb"}', id="a line break"),
        pytest.param('{"id":"1","verb":"promote","by":"promote","expires":"soon"}', id="a time that is none"),
        pytest.param('{"id":"1","verb":"promote","by":"promote","when":"now"}', id="a word that nobody reads"),
        pytest.param('{"id":"1","verb":"rollback","by":"promote","to":"auto"}', id="no version"),
        pytest.param('{"id":"1","verb":"promote","by":"promote"} ', id="something after it"),
    ],
)
def test_what_is_not_a_command_is_refused(installed: Installed, service: str, text: str) -> None:
    change = {"metadata": {"annotations": {KEY: text}}}
    assert refused(installed.administrator.named("promote"), service, change) == (422, FORM)


def test_spaces_as_json_writers_put_them_are_taken(installed: Installed, service: str) -> None:
    text = json.dumps({"id": "spaced", "verb": "promote", "by": "promote", "reason": "as json.dumps writes it"})
    change = {"metadata": {"annotations": {KEY: text}}}
    stored = installed.administrator.named("promote").patch("inferenceservices", service, change)
    assert commands.read(stored) is not None


def test_all_that_a_command_may_say_is_taken(installed: Installed, service: str) -> None:
    more = {"to": "7", "reason": "complaints", "expires": "2026-11-24T12:00:00Z"}
    change = written("rollback", "rollback", **more)
    command = commands.read(installed.administrator.named("rollback").patch("inferenceservices", service, change))
    assert command is not None
    assert (command.to, command.reason, command.expires) == tuple(more.values())


def test_a_rollback_says_where_to_and_a_promotion_does_not(installed: Installed, service: str) -> None:
    bare = {"metadata": {"annotations": {KEY: '{"id":"1","verb":"rollback","by":"rollback"}'}}}
    odd = written("promote", "promote", to="7")
    for user, change in (("rollback", bare), ("promote", odd)):
        code, sentence = refused(installed.administrator.named(user), service, change)
        assert (code, sentence.startswith(TO)) == (422, True)


def test_who_may_only_promote_does_not_roll_back_by_naming_it_in_another_field(
    installed: Installed, service: str
) -> None:
    change = written("promote", "promote", reason="rollback")
    installed.administrator.named("promote").patch("inferenceservices", service, change)
    person = installed.administrator.named("promote")
    assert refused(person, service, written("rollback", "promote")) == (403, may_not("promote", "rollback"))


@pytest.mark.parametrize("verb", ["abort", "rollback"])
def test_what_takes_something_back_is_not_written_over_before_it_was_read(
    installed: Installed, service: str, verb: str
) -> None:
    given = json.loads(
        installed.administrator.named(verb).patch("inferenceservices", service, written(verb, verb))["metadata"][
            "annotations"
        ][KEY]
    )
    sentence = (
        f"metadata.annotations[plimsoll.dev/command]: {verb} by {verb} (id {given['id']}) has not been read yet: "
        "wait until status.commands has its id; only abort may take its place"
    )
    promote, over = installed.administrator.named("promote"), written("promote", "promote")
    assert refused(promote, service, over) == (422, sentence)
    gone = {"metadata": {"annotations": {KEY: None}}}
    assert refused(installed.administrator.named("editor"), service, gone) == (422, sentence)
    assert refused(installed.administrator.named("git"), service, over) == (422, sentence)
    installed.administrator.named("editor").patch("inferenceservices", service, {"metadata": {"labels": {"a": verb}}})
    installed.administrator.write_status("inferenceservices", service, {"commands": ["other", given["id"]]})
    assert commands.read(promote.patch("inferenceservices", service, over)) is not None


def test_an_abort_takes_the_place_of_anything(installed: Installed, service: str) -> None:
    person = installed.administrator
    person.named("rollback").patch("inferenceservices", service, written("rollback", "rollback"))
    for _ in range(2):
        stored = person.named("abort").patch("inferenceservices", service, written("abort", "abort"))
    assert commands.read(stored) is not None


def test_a_pause_that_was_not_read_may_be_replaced(installed: Installed, service: str) -> None:
    person = installed.administrator
    person.named("pause").patch("inferenceservices", service, written("pause", "pause"))
    person.named("resume").patch("inferenceservices", service, written("resume", "resume"))


def test_a_service_is_not_made_with_a_command_of_somebody_without_the_verb(installed: Installed) -> None:
    body = {"apiVersion": "plimsoll.dev/v1alpha1", "kind": "InferenceService", "spec": {"model": {"name": "digits"}}}
    body |= {"metadata": {"name": "other"} | written("promote", "editor")["metadata"]}
    with pytest.raises(Refused) as refusal:
        installed.administrator.named("editor").create("inferenceservices", body)
    assert refusal.value.sentence == may_not("editor", "promote")


def test_an_editor_may_change_a_service_that_carries_an_old_command(installed: Installed, service: str) -> None:
    installed.administrator.named("pause").patch("inferenceservices", service, written("pause", "pause"))
    person = installed.administrator.named("editor")
    stored = person.patch("inferenceservices", service, {"spec": {"runtime": {"replicas": 2}}})
    assert stored["spec"]["runtime"]["replicas"] == 2


def test_an_old_command_may_be_cleared_away(installed: Installed, service: str) -> None:
    installed.administrator.named("pause").patch("inferenceservices", service, written("pause", "pause"))
    person = installed.administrator.named("editor")
    stored = person.patch("inferenceservices", service, {"metadata": {"annotations": {KEY: None}}})
    assert KEY not in stored["metadata"].get("annotations", {})


def test_the_policies_reach_no_further_than_their_namespaces(installed: Installed) -> None:
    """Another install may look after that namespace and refuse this too; ours has no say in it."""
    body = {"apiVersion": "plimsoll.dev/v1alpha1", "kind": "InferenceService", "spec": {"model": {"name": "digits"}}}
    body |= {"metadata": {"name": "elsewhere", "annotations": {KEY: "nonsense"}}}
    path = "/apis/plimsoll.dev/v1alpha1/namespaces/default/inferenceservices?dryRun=All"
    try:
        said = str(installed.administrator.call("POST", path, body))
    except Refused as refusal:
        said = str(refusal)
    assert installed.administrator.namespace not in said
