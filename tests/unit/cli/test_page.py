"""docs/kubectl-plimsoll.md is played from top to bottom: its commands run, and print what the page shows."""

from __future__ import annotations

import re
import shlex

import click
from plimsoll.cli.app import COMMANDS, app
from plimsoll.facts import Ref

from tests.builders.release import NAMESPACE, version
from tests.unit.cli.conftest import Terminal
from tests.unit.docs.pages import blocks

PAGE = "docs/kubectl-plimsoll.md"
#: Ends only when it is interrupted.
_ENDLESS = "--watch"


def world(terminal: Terminal) -> None:
    """Version 2, trained with other parameters, fails one request in fourteen and is taken back."""
    first, second = (version(number)["spec"] for number in (1, 2))
    for spec, accuracy, depth in ((first, 0.95, 3), (second, 0.97, 4)):
        spec |= {"metrics": {"accuracy": accuracy}, "lineage": {"parameters": {"max_depth": depth}, "seed": 7}}
    ref = Ref("plimsoll.dev/v1alpha1", "ModelVersion", NAMESPACE, "digits-v1")
    terminal.life.cluster.edit(ref, lambda body: body.update(spec=first), spec=False)
    terminal.life.character(2).failing = 0.07
    terminal.life.add(version(2) | {"spec": second})
    terminal.life.until("RolledBack")
    terminal.life.run(1)


def test_the_page_shows_what_the_program_prints(terminal: Terminal) -> None:
    world(terminal)
    shown = sorted((one for one in (*blocks("sh"), *blocks("text")) if one.page == PAGE), key=lambda one: one.line)
    printed, used = "", set()
    for block in shown:
        if block.language == "text":
            assert re.fullmatch(pattern(block.text), printed), f"{block.place}:\n{printed}"
            continue
        for words in (shlex.split(line) for line in block.text.splitlines()):
            if words[:2] != ["kubectl", "plimsoll"] or words[2] == "--help":
                continue
            used.add(words[2])
            given = words[2 : words.index(">") if ">" in words else None]
            if _ENDLESS in given:
                assert parsed(given)["live"]
                continue
            done = terminal.run(*given)
            assert done.exit_code in (0, 3), f"{block.place}: {words}: {done.output}"
            printed = done.output
            terminal.life.run(5)
    assert used == set(COMMANDS) - {"simulate"}, "simulate asks no cluster, and has tests of its own"


def pattern(text: str) -> str:
    """What the page leaves out as … may be anything, a line of it alone any lines; columns may be wider; times pass."""
    lines = []
    for line in text.splitlines():
        if line == "…":
            lines.append("(?:.*\n)*?")
            continue
        written = re.sub(r"(\\ ){2,}", " +", re.escape(line).replace("…", ".*"))
        lines.append(re.sub(r"for\\ \d+s$", r"for\\ \\d+s", written) + "\n")
    return "".join(lines)


def parsed(words: list[str]) -> dict[str, object]:
    """A subcommand's parameters. Raises what click says of wrong usage."""
    command = app.get_command(click.Context(app), words[0])
    assert command is not None
    return command.make_context(words[0], words[1:]).params
