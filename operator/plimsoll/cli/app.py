"""The command line: subcommands are imported when they are used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from plimsoll.cli import __version__
from plimsoll.cli.options import connection

#: Where each subcommand is, in the order in which the help has them.
COMMANDS = {
    "status": "plimsoll.cli.status",
    "why": "plimsoll.cli.why",
    "history": "plimsoll.cli.history",
    "events": "plimsoll.cli.events",
    "diff": "plimsoll.cli.diff",
    "wait": "plimsoll.cli.wait",
    "simulate": "plimsoll.cli.simulate",
    "promote": "plimsoll.cli.orders",
    "abort": "plimsoll.cli.orders",
    "pause": "plimsoll.cli.orders",
    "resume": "plimsoll.cli.orders",
    "retry": "plimsoll.cli.orders",
    "unquarantine": "plimsoll.cli.orders",
    "rollback": "plimsoll.cli.orders",
    "completion": "plimsoll.cli.completion",
}

_HELP = """Releases of models: what they do and why, and commands to them.

\b
Exit codes:
  0  done
  1  the cluster or kubectl said no, or a manifest would be refused
  2  wrong usage
  3  the answer is no: a command was refused, what was waited for can no longer come, a replay differs
  4  the time given was not enough
"""


class Lazy(click.Group):
    """A group that knows its subcommands by name and imports one when it is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        found: click.Command = getattr(importlib.import_module(module), cmd_name)
        return found


@click.group(cls=Lazy, name="kubectl plimsoll", help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
@connection
def app() -> None:
    """The group; every subcommand takes kubectl's flags as well."""


def main(arguments: Sequence[str] | None = None) -> Any:
    """Run. Does not return: exits with the code that the help names."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["__complete"]:
        from plimsoll.cli.completion import for_kubectl

        return for_kubectl(app, given[1:])
    return app.main(given, prog_name="kubectl plimsoll", complete_var="_KUBECTL_PLIMSOLL_COMPLETE")
