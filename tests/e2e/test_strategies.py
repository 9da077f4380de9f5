"""The manifests of examples/strategies on real pods, side by side: a good version is promoted, a bad one taken back."""

from __future__ import annotations

import itertools
import json
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from demo import install, load, store, watch
from demo.shell import ROOT, Kubernetes
from examples.quickstart import elsewhere
from tests.e2e.releases import fragile, sound, sound_again, sound_too, wrong_answers

IMAGE = "localhost/plimsoll-serving:dev"
NAMESPACE = f"e2e-strategies-{uuid.uuid4().hex[:6]}"
MODEL = "digits"
MANIFESTS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / "examples" / "strategies").glob("*.yaml")}
#: Those that ask for a person on the way, and where.
WAITS = {"shadow": "AwaitingApproval", "canary": "PauseStep"}
#: Those in which a version that is bad by its copies never answers a user.
SHADOWED = ("shadow", "canary")
#: Those in which users get an answer whatever the candidate does: it is never the one that they ask.
SPARED = tuple(example for example in MANIFESTS if example != "blue-green")
#: The versions that are promoted and taken back: what a shadow answers must be what users got, but for a tenth.
GOOD = dict.fromkeys(MANIFESTS, "2") | {"shadow": "4"}
BAD = dict.fromkeys(MANIFESTS, "3") | {"shadow": "2"}
#: A verdict takes some hundred answers of each arm: where one has but a few percent, users ask more often.
RATES = {"canary": 160, "baseline": 160, "blue-green": 160}
Status = dict[str, Any]


def quick(manifest: dict[str, Any], version: str) -> dict[str, Any]:
    """The manifest with this version, in seconds. Latency is left out: nothing here depends on the machine."""
    made: dict[str, Any] = json.loads(json.dumps(manifest))
    release = made["spec"]["release"]
    analysis = release.get("analysis", {}) | {"window": "1s", "latency": {"enabled": False}}
    if release["strategy"] == "ABTest":
        analysis["prePeriod"] = "10s"
    release |= {"analysis": analysis, "probation": "2s"}
    # The calendar is tried without a cluster: these tests run on any day.
    release.pop("freezeWindows", None)
    stages = [release.get(key) for key in ("shadow", "shadowFirst", "test")] + release.get("steps", [])
    for stage in (one for one in stages if one and "pause" not in one):
        stage |= {"minDuration": "2s", "minRequests": 60}
    made["spec"]["model"]["version"] = version
    # Two cores have room for the candidates of all strategies beside the revisions that the last release left warm.
    made["spec"]["runtime"]["resources"]["cpu"] = "40m"
    return made


class Services:
    """The services of the namespace by the name of their example."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self.kubernetes = kubernetes
        self.models: dict[str, bytes] = {}
        self._commands = itertools.count(1)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.kubernetes.kubectl("-n", NAMESPACE, *arguments, stdin=stdin)

    def publish(self, number: int, content: bytes) -> None:
        uri = f"s3://plimsoll-{NAMESPACE}/uploads/{number}/model.onnx"
        with store.bucket(self.kubernetes, NAMESPACE) as bucket:
            store.upload(bucket, uri, content)
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(elsewhere.manifest(MODEL, number, uri, content)))
        self.models[str(number)] = content

    def serving(self, versions: dict[str, str]) -> None:
        """Every example serves its version under traffic; those that do not are made anew with it."""
        with ThreadPoolExecutor(len(MANIFESTS)) as together:
            list(together.map(self._serving, *zip(*versions.items(), strict=True)))

    def _serving(self, example: str, version: str) -> None:
        found = self.kubectl("get", "inf", f"digits-{example}", "--ignore-not-found", "-o", "json")
        status: Status = json.loads(found).get("status", {}) if found else {}
        if (status.get("phase"), (status.get("stable") or {}).get("version")) == ("Idle", version):
            return
        self.kubectl("delete", "inf", f"digits-{example}", "--ignore-not-found", "--cascade=foreground")
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(quick(MANIFESTS[example], version)))
        self.until(example, "Idle", version)
        url = f"http://digits-{example}.{NAMESPACE}.svc/v2/models/{MODEL}/infer"
        options = ("--url", url, "--rate", str(RATES.get(example, 60)), "--connections", "2")
        load.start(self.kubernetes, NAMESPACE, f"digits-{example}", IMAGE, *options, pod=f"traffic-{example}")

    def release(self, versions: dict[str, str]) -> None:
        for example, version in versions.items():
            change = json.dumps({"spec": {"model": {"version": version}}})
            self.kubectl("patch", "inf", f"digits-{example}", "--type=merge", "-p", change)

    def until(self, example: str, phase: str, version: str | None = None) -> Status:
        """The status once it is in the phase, or held for that reason, with this version as stable."""

        def there(service: dict[str, Any]) -> bool:
            status = service.get("status", {})
            stable = (status.get("stable") or {}).get("version")
            return phase in (status.get("phase"), status.get("heldReason")) and version in (None, stable)

        where = (self.kubernetes, NAMESPACE, "inferenceservice", f"digits-{example}")
        found: Status = watch.until(*where, there, seconds=300)["status"]
        return found

    def resume(self, example: str) -> None:
        user = json.loads(self.kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"]
        command = {"id": f"c{next(self._commands)}", "verb": "resume", "by": user}
        written = json.dumps(command, separators=(",", ":"))
        self.kubectl("annotate", "inf", f"digits-{example}", "--overwrite", f"plimsoll.dev/command={written}")

    def ledger(self, example: str) -> tuple[int, dict[str, Any]]:
        """The number of its last release, and what that was judged by."""
        attempt: int = self.kubernetes.get("inferenceservice", f"digits-{example}", NAMESPACE)["status"]["attempt"]
        found = self.kubernetes.get("configmap", f"digits-{example}-attempt-{attempt}", NAMESPACE)
        return attempt, json.loads(found["data"]["ledger.json"])

    def counted(self, example: str) -> dict[str, Any]:
        return load.report(self.kubernetes, NAMESPACE, f"traffic-{example}")


@pytest.fixture(scope="module")
def namespace(kubernetes: Kubernetes) -> Iterator[str]:
    install.restricted_namespace(kubernetes, NAMESPACE)
    yield NAMESPACE
    kubernetes.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def services(kubernetes: Kubernetes, namespace: str) -> Services:
    """The versions: 2 is as good as 1, 3 fails on every fifth row, 4 answers what 1 does."""
    found = Services(kubernetes)
    # The first artifact that is to be read makes the operator prepare the bucket; nobody waits for this one.
    nowhere = elsewhere.manifest("nothing", 1, f"s3://plimsoll-{namespace}/nothing.onnx", b"nothing")
    found.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(nowhere))
    watch.until(kubernetes, namespace, "secret", "plimsoll-store", bool)
    for number, content in enumerate((sound(), sound_too(), fragile(), sound_again()), 1):
        found.publish(number, content)
    return found


def test_a_good_version_is_promoted_by_every_strategy_and_no_request_fails(services: Services) -> None:
    services.serving(dict.fromkeys(MANIFESTS, "1"))
    services.release(GOOD)
    for example, reason in WAITS.items():
        services.until(example, reason)
        if example == "shadow":
            assert GOOD[example] not in services.counted(example)["requests"], "a shadow answers nobody"
        services.resume(example)
    for example in MANIFESTS:
        status = services.until(example, "Idle", GOOD[example])
        assert (status["history"][0]["outcome"], status["verdict"]["outcome"]) == ("Promoted", "Pass"), example
        counted = services.counted(example)
        assert counted["failures"] == {}, example
        assert wrong_answers(services.models, counted["answers"]) == 0
    attempt, ledger = services.ledger("baseline")
    assert ledger["stable"].endswith(f"-b{attempt}"), "it was compared with pods as young as its own"
    beside = [row[6]["a"][0] for row in ledger["windows"] if row[4] == 10 and row[5] is None]
    assert sum(beside) > 0, "the old pods answered the most of them"
    alone = [row for row in services.ledger("ab-test")[1]["windows"] if row[4] == 0 and row[5] is None]
    assert sum(row[2] - row[1] for row in alone) >= 3, "the old version was watched before the test"
    assert sum(row[7][0] for row in alone) > 0 and not any(row[8][0] for row in alone)


def test_a_bad_version_is_taken_back_by_every_strategy(services: Services) -> None:
    services.serving(GOOD)
    before = {example: services.counted(example) for example in MANIFESTS}
    services.release(BAD)
    reasons = {}
    for example in MANIFESTS:
        status = services.until(example, "RolledBack", GOOD[example])
        reasons[example] = status["history"][0]["reason"]
        assert not status.get("mirror") and not status["weight"]
    assert re.match(r"Fail: shadow disagreement candidate \d+/\d+ pairs ", reasons.pop("shadow")), "it failed nobody"
    assert all(one.startswith("Fail: error rate candidate ") for one in reasons.values()), reasons
    after = {example: services.counted(example) for example in MANIFESTS}
    for example in SPARED:
        assert after[example]["failures"] == before[example]["failures"] == {}, example
        assert sum(after[example]["requests"].values()) > sum(before[example]["requests"].values())
        assert wrong_answers(services.models, after[example]["answers"]) == 0
    for example in SHADOWED:
        assert BAD[example] not in after[example]["requests"], "users were spared"
    attempt, ledger = services.ledger("baseline")
    fresh = ledger["stable"]
    assert fresh.endswith(f"-b{attempt}"), "a candidate is taken back, too, by pods as young as its own"
    services.kubectl("wait", "pod", "-l", f"plimsoll.dev/revision={fresh}", "--for=delete", "--timeout=300s")
    assert services.kubectl("get", "deployments", "-l", f"plimsoll.dev/revision={fresh}", "-o", "name") == ""
