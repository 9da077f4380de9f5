"""What ends the program before its time, and its exit codes."""

from __future__ import annotations

import click

#: The answer is no: a command was refused, what was waited for can no longer come, a replay differs.
NO = 3
#: The time given was not enough.
TOO_LATE = 4


class Trouble(click.ClickException):
    """A sentence that names the remedy; exit code 1."""


class No(Trouble):
    """The answer is no."""

    exit_code = NO


class TooLate(Trouble):
    """The time is over."""

    exit_code = TOO_LATE


class Conflict(Trouble):
    """Somebody else wrote in between: read again."""


class NotFound(Trouble):
    """There is no such object."""
