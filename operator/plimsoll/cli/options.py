"""What every subcommand takes: kubectl's flags, the name of a service, the form of the output."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from plimsoll.cli.kubectl import SERVICES, VERSIONS, Kubectl
from plimsoll.cli.trouble import Trouble

Function = TypeVar("Function", bound=Callable[..., Any])
_KEY = "plimsoll.cli.flags"
#: kubectl's own flags that are passed on to it, with what they mean.
_FLAGS = (
    (("-n", "--namespace"), "the namespace; else that of the kubeconfig's context"),
    (("--context",), "the kubeconfig's context"),
    (("--kubeconfig",), "path of the kubeconfig"),
    (("--cluster",), "the kubeconfig's cluster"),
    (("--user",), "the kubeconfig's user"),
    (("--as",), "act as this user"),
    (("--as-group",), "act as a member of this group"),
    (("-s", "--server"), "address of the API server"),
    (("--token",), "bearer token"),
    (("--request-timeout",), "how long to wait for an answer, such as 10s"),
)


def _remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value:
        ctx.meta.setdefault(_KEY, {})[max(param.opts, key=len)] = value


def connection(function: Function) -> Function:
    """kubectl's flags; `cluster()` has what was given, before or after the subcommand."""
    for names, text in reversed(_FLAGS):
        option = click.option(*names, f"kubectl_{names[-1].strip('-').replace('-', '_')}", help=text, metavar="TEXT",
                              expose_value=False, callback=_remember)  # fmt: skip
        function = option(function)
    return function


def cluster() -> Kubectl:
    """The cluster that the flags lead to."""
    flags = click.get_current_context().meta.get(_KEY, {})
    return Kubectl.found([f"{name}={value}" for name, value in flags.items()])


def _complete(kind: str, ctx: click.Context, incomplete: str) -> list[str]:
    """Names of objects of a kind; none when the cluster cannot be asked: a completion does not complain."""
    flags = ctx.meta.get(_KEY, {})
    try:
        names = Kubectl.found([f"{name}={value}" for name, value in flags.items()]).names(kind)
    except Trouble:
        return []
    return [name for name in names if name.startswith(incomplete)]


def complete_services(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of InferenceServices."""
    return _complete(SERVICES, ctx, incomplete)


def _complete_versions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return _complete(VERSIONS, ctx, incomplete)


def service_name(function: Function) -> Function:
    """NAME, the name of an InferenceService."""
    return click.argument("name", shell_complete=complete_services)(function)


def version_name(argument: str) -> Callable[[Function], Function]:
    """The name of a ModelVersion."""
    return click.argument(argument, shell_complete=_complete_versions)


def output(function: Function) -> Function:
    """-o json|yaml instead of text."""
    choice = click.Choice(["json", "yaml"])
    return click.option("-o", "--output", "form", type=choice, help="json or yaml instead of text")(function)


def show(document: Any, form: str | None, text: Callable[[], str]) -> None:
    """Print a document in the form that was asked for."""
    if form == "json":
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif form == "yaml":
        import yaml

        click.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), nl=False)
    else:
        click.echo(text())


def examples(text: str) -> str:
    """The epilog of a subcommand's help."""
    lines = "\n".join(f"  {line.strip()}" for line in text.strip().splitlines())
    return f"\b\nExamples:\n{lines}"
