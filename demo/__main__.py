"""`python -m demo run|cluster|install`: see --help."""

from __future__ import annotations

import argparse
import os
import sys
import time

from demo import cluster, install, story
from demo.shell import ROOT, Stop, say, step


def main() -> int:
    """0 when everything went as told; 1 with a sentence otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="The quickstart as one command. `make demo` runs it; `make down` takes the cluster down.",
        epilog="example: python -m demo run --context my-cluster",
    )
    parser.add_argument(
        "verb",
        choices=["run", "cluster", "install"],
        help="run: everything; cluster: only the cluster and images; install: and the chart",
    )
    parser.add_argument(
        "--context", help="a context of your kubeconfig; default: kind where Docker answers, else devcluster/"
    )
    options = parser.parse_args()
    began = time.monotonic()
    try:
        kubernetes = cluster.ready(options.context)
        if options.verb != "cluster":
            install.install(kubernetes)
        if options.verb == "run":
            _run(kubernetes)
    except Stop as stop:
        say(f"\nstopped: {stop}")
        return 1
    say(f"\n{options.verb}: {time.monotonic() - began:.0f} s in all")
    return 0


def _run(kubernetes: cluster.Kubernetes) -> None:
    with step(f"A fresh namespace {story.NAMESPACE}"):
        kubernetes.kubectl(
            "delete", "namespace", story.NAMESPACE, "--ignore-not-found", "--wait=true", "--timeout=180s"
        )
        install.restricted_namespace(kubernetes, story.NAMESPACE)
    (ROOT / "build").mkdir(exist_ok=True)
    registry = os.environ.get("REGISTRY", "localhost").rstrip("/")
    tag = "0.1.0" if os.environ.get("REGISTRY") else "dev"
    result = story.Story(kubernetes, f"{registry}/plimsoll-serving:{tag}").tell()
    path = story.write(result)
    say(f"\n{story.table(result)}\n\nwritten: {path.relative_to(ROOT)}")
    if result["failed_requests"] or result["wrong_answers"]:
        counts = f"{result['failed_requests']} failed requests, {result['wrong_answers']} wrong answers"
        raise Stop(f"{counts}: {result['failures']}")


if __name__ == "__main__":
    sys.exit(main())
