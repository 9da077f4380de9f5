"""`why`: a verdict explained from its ledger, window by window, and reached again here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from plimsoll import names
from plimsoll.cli.kubectl import SERVICES, Kubectl
from plimsoll.cli.libraries import loaded
from plimsoll.cli.options import cluster, complete_services, connection, examples, output, show
from plimsoll.cli.recorded import Recorded, recorded
from plimsoll.cli.trouble import NO, Trouble

Object = dict[str, Any]


@click.command(
    epilog=examples("""
    kubectl plimsoll why churn
    kubectl plimsoll why churn --attempt 7
    kubectl plimsoll why --file 7.json
    kubectl plimsoll why churn --attempt 3 --file 3.json
    """)
)
@click.argument("name", required=False, shell_complete=complete_services)
@click.option("--attempt", type=click.IntRange(1), help="number of the release; default: the latest")
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="a ledger from the store, ledger/NAME/UID/ATTEMPT.json")  # fmt: skip
@output
@connection
def why(name: str | None, attempt: int | None, path: Path | None, form: str | None) -> None:
    """Explain a verdict, window by window.

    The windows of the release are judged again here, by the function that the operator uses, and the verdict is
    compared with the one that the operator wrote. Exit code 3: they differ. With --file alone no cluster is asked.
    """
    if name is None and path is None:
        raise click.UsageError("name an InferenceService, or a --file with a ledger")
    kubectl = cluster() if name is not None else None
    service = kubectl.get(SERVICES, name) if kubectl is not None and name is not None else None
    number = attempt or (_latest(service) if service is not None else None)
    text = path.read_text() if path is not None else _stored(kubectl, name, number)
    found = _explained(text, recorded(service, number))
    show(found, form, lambda: _rendered(found))
    if found["same"] is False:
        sys.exit(NO)


def _latest(service: Object) -> int:
    number = int((service.get("status") or {}).get("attempt", 0))
    if number == 0:
        raise Trouble(f"{service['metadata']['name']} has not released anything yet")
    return number


def _stored(kubectl: Kubectl | None, name: str | None, number: int | None) -> str:
    """The ledger as the cluster has it. The first release has none: it was compared with nothing."""
    assert kubectl is not None
    found = kubectl.find("configmap", f"{name}-attempt-{number}")
    text = ((found or {}).get("data") or {}).get(names.LEDGER_KEY)
    if text is None:
        raise Trouble(
            f"the cluster has no ledger of attempt {number} of {name}: what was compared with nothing has none, "
            f"and only the last two stay; fetch ledger/{name}/…/{number}.json from the store and give it as --file"
        )
    return str(text)


def _explained(text: str, expected: Recorded) -> Object:
    found: Object = _replay().explain(text, expected)
    return found


def _rendered(found: Object) -> str:
    text: str = _replay().render(found)
    return text


def _replay() -> Any:
    return loaded("plimsoll.cli.replay", "why", ("numpy", "scipy"))
