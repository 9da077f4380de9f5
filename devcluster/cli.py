"""The command line: one verb, its arguments, one sentence when something is wrong."""

import argparse
import os
import shlex
from collections.abc import Callable

from devcluster import checks, cluster, images, lock, parts, teardown, volumes
from devcluster.paths import Paths
from devcluster.reporting import DevclusterError, complain, say, step

Verb = Callable[[Paths, argparse.Namespace], int]


def main(argv: list[str]) -> int:
    """Run one verb; returns the exit code: 0 done, 1 not well or failed, 2 wrong usage (by argparse)."""
    arguments = parser().parse_args(argv)
    verb: Verb = arguments.verb
    try:
        return verb(Paths.from_environment(), arguments)
    except DevclusterError as error:
        complain(error)
        return 1


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="devcluster", description="A real single-node Kubernetes without Docker.")
    verbs = whole.add_subparsers(required=True, metavar="VERB")

    def add(name: str, verb: Verb, help_text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=help_text, description=help_text)
        sub.set_defaults(verb=verb)
        return sub

    add("up", _alone(_up), "build what is missing, start every part, wait until the node is Ready")
    add("down", _down, "end the cluster and leave nothing behind but the cache")
    add("env", _env, "print the exports that point kubectl and helm at the cluster")
    add("status", _status, "one line for each part")
    add("recycle-volumes", _alone(_recycle), "empty released volumes and make them available again")
    build = add("images", _alone(_images), "build images from this checkout and import them")
    build.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(images.NAMES)} (all when none is given) or gateway"
    )
    build.add_argument("--tag", default="dev", help="the tag to give them (default: dev)")
    for name, verb, text in (
        ("logs", _logs, "print the log of a part"),
        ("start", _alone(_start), "start a part that was stopped"),
        ("stop", _alone(_stop), "stop a part, as an outage would"),
        ("restart", _alone(_restart), "stop and start a part"),
    ):
        add(name, verb, text).add_argument("part", metavar="PART", help=", ".join(part.name for part in parts.PARTS))
    return whole


def _alone(verb: Verb) -> Verb:
    """The same verb as root, one at a time on this machine."""

    def locked(paths: Paths, arguments: argparse.Namespace) -> int:
        checks.root()
        with lock.exclusive(paths):
            return verb(paths, arguments)

    return locked


def _up(paths: Paths, _: argparse.Namespace) -> int:
    cluster.up(paths)
    return 0


def _down(paths: Paths, arguments: argparse.Namespace) -> int:
    if not paths.state.exists():
        say("there is no cluster: nothing to remove")
        return 0
    return _alone(_tear_down)(paths, arguments)


def _tear_down(paths: Paths, _: argparse.Namespace) -> int:
    teardown.everything(paths)
    return 0


def _env(paths: Paths, _: argparse.Namespace) -> int:
    say(f"export KUBECONFIG={shlex.quote(str(paths.kubeconfig))}")
    say(f'export PATH={shlex.quote(str(paths.bin))}:"$PATH"')
    return 0


def _status(paths: Paths, _: argparse.Namespace) -> int:
    return 0 if cluster.status(paths) else 1


def _recycle(paths: Paths, _: argparse.Namespace) -> int:
    recycled = volumes.recycle(paths)
    say(f"{len(recycled)} volumes recycled" + (f": {', '.join(recycled)}" if recycled else ""))
    return 0


def _images(paths: Paths, arguments: argparse.Namespace) -> int:
    images.ensure(paths, [images.by_name(name) for name in arguments.names or images.NAMES], arguments.tag)
    return 0


def _logs(paths: Paths, arguments: argparse.Namespace) -> int:
    log = parts.log_of(paths, parts.by_name(arguments.part))
    if not log.exists():
        raise DevclusterError(f"{arguments.part} has no log yet; run `python3 devcluster up`.")
    os.execvp("cat", ["cat", str(log)])


def _start(paths: Paths, arguments: argparse.Namespace) -> int:
    part = parts.by_name(arguments.part)
    if not paths.kubeconfig.exists():
        raise DevclusterError("there is no cluster; run `python3 devcluster up`.")
    with step(f"starting {part.name}"):
        parts.start(paths, part)
    return 0


def _stop(paths: Paths, arguments: argparse.Namespace) -> int:
    part = parts.by_name(arguments.part)
    with step(f"stopping {part.name}"):
        parts.stop(paths, part)
    return 0


def _restart(paths: Paths, arguments: argparse.Namespace) -> int:
    _stop(paths, arguments)
    return _start(paths, arguments)
