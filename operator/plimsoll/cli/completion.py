"""Completions: scripts for shells, and the answers that kubectl's own completion asks for."""

from __future__ import annotations

from collections.abc import Sequence

import click
from click.shell_completion import ShellComplete, get_completion_class

from plimsoll.cli.options import examples
from plimsoll.cli.trouble import Trouble

_PROGRAM, _VARIABLE = "kubectl-plimsoll", "_KUBECTL_PLIMSOLL_COMPLETE"
#: No file names: cobra's ShellCompDirectiveNoFileComp.
_NO_FILES = ":4"


@click.command(
    epilog=examples("""
    source <(kubectl plimsoll completion bash)
    source <(kubectl plimsoll completion zsh)
    kubectl plimsoll completion fish > ~/.config/fish/completions/kubectl-plimsoll.fish
    """)
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes `kubectl-plimsoll` in a shell.

    For `kubectl plimsoll` itself, kubectl's completion asks the program kubectl_complete-plimsoll, which is installed
    beside this one.
    """
    found = get_completion_class(shell)
    if found is None:
        raise Trouble(f"no completion for {shell}")
    root = click.get_current_context().find_root().command
    click.echo(found(root, {}, _PROGRAM, _VARIABLE).source())


def for_kubectl(root: click.Command, words: Sequence[str]) -> int:
    """Answer as cobra's `__complete` does: a line for each candidate, then a directive. The last word is unfinished."""
    *before, incomplete = words or [""]
    shell = ShellComplete(root, {}, "kubectl plimsoll", _VARIABLE)
    for item in shell.get_completions(list(before), incomplete):
        if item.type == "plain":
            click.echo(f"{item.value}\t{item.help}" if item.help else item.value)
    click.echo(_NO_FILES)
    return 0


def kubectl_complete() -> int:
    """The program kubectl_complete-plimsoll, as kubectl's completion calls it."""
    import sys

    from plimsoll.cli.app import app

    return for_kubectl(app, sys.argv[1:])
