"""`python -m plimsoll`: runs the operator."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence

from kubernetes.aio.config import ConfigException

from plimsoll import logs
from plimsoll.edge.lease import Lost
from plimsoll.edge.rest import Api, ApiError, configuration
from plimsoll.edge.signing import SigningKeyError
from plimsoll.failures import Unavailable
from plimsoll.handlers import PASSES, WatchEnded
from plimsoll.process import Process
from plimsoll.settings import Install, SettingsError, load

logger = logging.getLogger("plimsoll")

_EXAMPLE = """\
example, from outside a cluster:
  export KUBECONFIG=~/.kube/config
  export PLIMSOLL_NAMESPACE=plimsoll-system PLIMSOLL_NAMESPACES=demo
  export PLIMSOLL_STORE_ENDPOINT=http://127.0.0.1:7070
  export PLIMSOLL_STORE_PUBLIC_ENDPOINT=http://plimsoll-store.plimsoll-system.svc:7070
  export PLIMSOLL_STORE_ACCESS_KEY_ID=plimsoll-root PLIMSOLL_STORE_SECRET_ACCESS_KEY=…
  python -m plimsoll

Exit codes: 0 stopped, 1 must be started again, 2 wrong settings.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parsed = argparse.ArgumentParser(
        prog="python -m plimsoll",
        description="The Plimsoll operator: trains, releases and watches models as their manifests say.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parsed.add_argument("command", nargs="?", choices=["run"], default="run", help="run the operator (the default)")
    parsed.add_argument("--context", help="context of the kubeconfig; default: that of the pod, else the current one")
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        install = load(os.environ)
    except SettingsError as error:
        print(f"plimsoll: {error}", file=sys.stderr)
        return 2
    logs.configure(install.log_level)
    try:
        asyncio.run(_run(install, options.context))
    except ConfigException as error:
        print(f"plimsoll: no cluster is configured ({error}): set KUBECONFIG or run in a pod", file=sys.stderr)
        return 2
    except (Lost, WatchEnded, ApiError, Unavailable, SigningKeyError, OSError) as error:
        logger.error("The operator ends and must be started again: %s", error)
        return 1
    return 0


async def _run(install: Install, context: str | None) -> None:
    api = Api(await configuration(context))
    running = asyncio.create_task(Process(install, api, lambda: configuration(context), PASSES).run())
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        logger.info("Stopped in order")
    finally:
        await api.close()


if __name__ == "__main__":
    sys.exit(main())
