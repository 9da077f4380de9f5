"""What is missing for a pod is told with what to do about it."""

from __future__ import annotations

import pytest
from plimsoll.core.release.observed import pod_trouble


@pytest.mark.parametrize(
    ("kubelet", "remedy"),
    [
        ('secret "plimsoll-payload-log" not found', "make this Secret with AWS_ACCESS_KEY_ID"),
        ("couldn't find key AWS_SECRET_ACCESS_KEY in Secret demo/plimsoll-payload-log", "or change the sink"),
        ('secret "plimsoll-store" not found', "see docs/store.md"),
    ],
)
def test_a_secret_that_is_missing_is_nobodys_fault_and_told_with_the_remedy(kubelet: str, remedy: str) -> None:
    waiting = {"reason": "CreateContainerConfigError", "message": kubelet}
    server = {"name": "server", "state": {"waiting": waiting}, "restartCount": 0}
    trouble = pod_trouble({"metadata": {"name": "p"}, "status": {"containerStatuses": [server]}})
    assert trouble is not None
    assert (trouble.reason, trouble.fault) == ("ConfigurationMissing", False)
    assert kubelet in trouble.message and remedy in trouble.message
