"""How soon a pod sees a changed ConfigMap, with and without a patch of an annotation of the pod."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest
from kubernetes.client import CoreV1Api

from tests.integration.facts.pods import Pods, eventually

#: Prints the time and the mounted value each time that it changes.
WATCHER = """
import pathlib, time
last = None
while True:
    now = pathlib.Path("/config/epoch").read_text()
    if now != last:
        print(time.time(), now)
        last = now
    time.sleep(0.01)
"""
#: kubelet looks at every pod at least once a minute (syncFrequency), give or take half of it.
ANYWAY = 180.0
#: A pod that has just become ready is looked at anyway.
AT_REST = 5.0


@pytest.fixture
def change(pods: Pods) -> Callable[[str], float]:
    """Sets the epoch and returns when, in Unix seconds. The pod `watcher` runs with epoch 0."""
    core = CoreV1Api(pods.api)
    core.create_namespaced_config_map(pods.namespace, {"metadata": {"name": "route"}, "data": {"epoch": "0"}})
    pods.run("watcher", WATCHER, volume="route")
    eventually(lambda: seen(pods, "0"), "the first epoch")

    def to(epoch: str) -> float:
        core.patch_namespaced_config_map("route", pods.namespace, {"data": {"epoch": epoch}})
        return time.time()

    return to


def seen(pods: Pods, epoch: str) -> float | None:
    """When the pod saw the epoch, in Unix seconds of the node."""
    for line in pods.printed("watcher"):
        at, value = line.split()
        if value == epoch:
            return float(at)
    return None


@pytest.mark.parametrize("pause", [0.0, 2.0], ids=["one after the other", "two seconds apart"])
def test_a_patch_of_the_pod_makes_it_see_the_change(pods: Pods, change: Callable[[str], float], pause: float) -> None:
    took = []
    for epoch in map(str, range(1, 6)):
        time.sleep(pause)
        changed = change(epoch)
        pods.annotate("watcher", epoch)
        took.append(eventually(partial(seen, pods, epoch), f"epoch {epoch}", ANYWAY) - changed)
    print(f"with the patch, {pause:g} s between:", ", ".join(f"{seconds:.2f} s" for seconds in took))


def test_without_a_patch_the_pod_sees_it_too_but_late(pods: Pods, change: Callable[[str], float]) -> None:
    time.sleep(AT_REST)
    changed = change("1")
    took = eventually(lambda: seen(pods, "1"), "epoch 1", ANYWAY) - changed
    print(f"without a patch: {took:.1f} s")


def test_a_patch_that_came_before_the_change_is_made_good_by_its_repeat(
    pods: Pods, change: Callable[[str], float]
) -> None:
    """kubelet may look before its own watch has the new ConfigMap: hence the repeat after 2 s."""
    time.sleep(AT_REST)
    pods.annotate("watcher", "early")
    time.sleep(1)
    changed = change("1")
    time.sleep(2)
    still = seen(pods, "1") is None
    pods.annotate("watcher", "repeat")
    took = eventually(lambda: seen(pods, "1"), "epoch 1", ANYWAY) - changed
    print(
        f"patched before the change: after 2 s {'not seen' if still else 'seen'}; repeated at 2 s, seen at {took:.2f} s"
    )


def test_an_older_epoch_never_follows_a_newer_one(pods: Pods, change: Callable[[str], float]) -> None:
    for epoch in map(str, range(1, 9)):
        change(epoch)
        pods.annotate("watcher", epoch)
    eventually(lambda: seen(pods, "8"), "epoch 8", ANYWAY)
    order = [int(line.split()[1]) for line in pods.printed("watcher")]
    assert order == sorted(order)
