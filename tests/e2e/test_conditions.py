"""Bad input that only the running operator can see becomes a condition, with the sentence that the user reads.

What the API server can see is refused at `kubectl apply`: see tests/integration/api/bad_manifests.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from demo import install, store, watch
from demo.shell import Kubernetes
from tests.e2e.bad_input import ROWS, Place, files, words

IMAGE = "localhost/plimsoll-training:dev"


@pytest.fixture(scope="module")
def place(kubernetes: Kubernetes) -> Iterator[Place]:
    """All that the rows apply at once is applied; the files are in the bucket."""
    names = [f"e2e-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    for name in names:
        install.restricted_namespace(kubernetes, name)
    found = Place(kubernetes, names[0], words(kubernetes, names[0], names[1], IMAGE))
    first, *others = ROWS
    found.apply(first["apply"])
    _upload(kubernetes, names[0])
    found.apply([one for row in others for one in row.get("apply", ())])
    yield found
    kubernetes.kubectl("delete", "namespace", *names, "--wait=false")


@pytest.fixture
def namespace(place: Place) -> str:
    """For the report of a failure."""
    return place.namespace


def _upload(kubernetes: Kubernetes, namespace: str) -> None:
    """As soon as the operator has made the bucket for the first TrainingJob."""
    watch.until(kubernetes, namespace, "secret", "plimsoll-store", bool)
    with store.bucket(kubernetes, namespace) as bucket:
        for name, content in files().items():
            store.upload(bucket, f"s3://plimsoll-{namespace}/{name}", content)


@pytest.mark.parametrize("row", ROWS, ids=[row["case"] for row in ROWS])
def test_bad_input_becomes_a_condition_with_a_sentence(place: Place, namespace: str, row: dict[str, Any]) -> None:
    for step in row.get("steps", ()):
        place.step(step)
    of = row.get("of") or row["apply"][-1]
    says = place.filled(row["says"])
    assert place.told(of, row["told"], says) == says
