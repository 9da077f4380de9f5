"""Commands given at the terminal to an operator that really reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plimsoll import names
from plimsoll.core.release.commands import VERBS

from tests.builders.release import SERVICE, version
from tests.unit.cli.conftest import Terminal


def analyzing(terminal: Terminal) -> None:
    terminal.life.add(version(2))
    terminal.life.until("Analyzing")


def annotation(terminal: Terminal) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        terminal.life.cluster.read(SERVICE)["metadata"]["annotations"][names.ANNOTATION_COMMAND]
    )
    return found


def test_a_command_is_given_and_what_became_of_it_is_told(terminal: Terminal) -> None:
    analyzing(terminal)
    done = terminal.run("abort", "digits", "--reason", "complaints")
    assert (done.exit_code, done.output) == (0, "digits: aborted by ann: complaints\n")
    terminal.life.until("RolledBack")
    given = annotation(terminal)
    assert list(given) == ["id", "verb", "by", "reason", "expires"]
    assert (given["verb"], given["by"], given["expires"][:14]) == ("abort", "ann", "2026-11-22T12:")


def test_a_command_that_the_operator_refuses_ends_with_three_and_its_reason(terminal: Terminal) -> None:
    done = terminal.run("promote", "digits")
    assert done.exit_code == 3
    assert "Error: the operator refused promote: nothing is being released" in done.output


@pytest.mark.parametrize("verb", VERBS)
def test_there_is_a_subcommand_for_every_command_that_the_operator_obeys(terminal: Terminal, verb: str) -> None:
    more = ["--to=1"] if verb == "rollback" else []
    done = terminal.run(verb, "digits", *more, "--wait=0s", "-o", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["outcome"] == "Given"
    assert annotation(terminal)["verb"] == verb


def test_a_rollback_needs_a_version_and_takes_it_with_its_v(terminal: Terminal) -> None:
    assert terminal.run("rollback", "digits").exit_code == 2
    done = terminal.run("rollback", "digits", "--to=v1")
    assert done.output == "digits: rollback to version 1 asked for by ann\n"
    assert annotation(terminal)["to"] == "1"


def test_an_abort_that_was_not_read_is_not_written_over(terminal: Terminal) -> None:
    analyzing(terminal)
    terminal.life.asleep = True
    assert terminal.run("abort", "digits", "--wait=0s", "--id=first").exit_code == 0
    done = terminal.run("promote", "digits", "--wait=3s")
    assert done.exit_code == 1
    assert "abort by ann (id first) has not been read yet: nothing was written over it" in done.output
    assert annotation(terminal)["id"] == "first"


def test_a_command_waits_until_the_earlier_one_was_read(terminal: Terminal) -> None:
    analyzing(terminal)
    terminal.life.command("first", "pause")
    done = terminal.run("resume", "digits")
    assert (done.exit_code, done.output) == (0, "digits: resumed by ann\n")
    assert terminal.life.status["commands"][1] == "first"


def test_an_abort_waits_for_nothing(terminal: Terminal) -> None:
    analyzing(terminal)
    terminal.life.asleep = True
    terminal.life.command("first", "promote")
    assert terminal.run("abort", "digits", "--wait=0s", "--id=second").exit_code == 0
    assert annotation(terminal)["id"] == "second"


def test_who_gives_a_command_at_the_same_moment_is_not_written_over(terminal: Terminal) -> None:
    """The other's abort comes between our reading and our writing."""
    analyzing(terminal)

    def other() -> None:
        terminal.between = lambda: None
        terminal.life.command("theirs", "abort")

    terminal.between = other
    done = terminal.run("promote", "digits")
    assert done.exit_code == 3
    assert "theirs" in terminal.life.status["commands"]
    terminal.life.until("RolledBack")


def test_a_repeated_call_with_an_id_gives_the_command_once(terminal: Terminal) -> None:
    analyzing(terminal)
    for _ in range(2):
        done = terminal.run("pause", "digits", "--id=job-17")
        assert (done.exit_code, done.output) == (0, "digits: paused by ann\n")
    terminal.run("resume", "digits")
    assert terminal.run("pause", "digits", "--id=job-17").output == "digits: it was read before another command was\n"
    assert terminal.life.status["phase"] != "Held"


def test_an_operator_that_does_not_read_is_told_with_four(terminal: Terminal) -> None:
    analyzing(terminal)
    terminal.life.asleep = True
    done = terminal.run("pause", "digits", "--wait=3s")
    assert done.exit_code == 4
    assert "has not read it in 3 s: it holds for 600 s. Is the operator running?" in done.output


@pytest.mark.parametrize("reason", ['say "no"', "a\\b", "a\nb", "x" * 257])
def test_a_reason_that_the_policy_would_refuse_is_refused_here(terminal: Terminal, reason: str) -> None:
    done = terminal.run("pause", "digits", "--reason", reason)
    assert done.exit_code == 1
    assert "--reason: at most 256 characters" in done.output


def test_what_is_no_json_is_no_command_that_waits(terminal: Terminal) -> None:
    notes = {names.ANNOTATION_COMMAND: "promote"}
    terminal.life.cluster.edit(SERVICE, lambda body: body["metadata"].update(annotations=notes), spec=False)
    assert terminal.run("pause", "digits", "--wait=0s").exit_code == 0
