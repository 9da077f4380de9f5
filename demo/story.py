"""Five releases: the first, a better one, one that its gate stops, one that fails in production, one that is slow."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from demo import load, store, watch
from demo.shell import ROOT, Kubernetes, Stop, say, step

NAMESPACE = "quickstart"
SERVICE = "digits"
EXAMPLES = ROOT / "examples" / "quickstart"


@dataclass
class Release:
    """What came of one chapter. `requests` counts the answers of each version meanwhile."""

    title: str
    version: str | None
    outcome: str
    seconds: float
    reason: str
    requests: dict[str, int] = field(default_factory=dict)
    rollback_seconds: float | None = None


class Story:
    """The chapters in order, against one cluster."""

    def __init__(self, kubernetes: Kubernetes, image: str) -> None:
        self.kubernetes, self.image = kubernetes, image
        self.releases: list[Release] = []

    def tell(self) -> dict[str, Any]:
        """All chapters; returns what build/demo.json holds."""
        self.first()
        load.start(self.kubernetes, NAMESPACE, SERVICE, self.image)
        self.better()
        self.too_weak()
        self.elsewhere("fragile", 3, "made elsewhere, fails on some real rows")
        self.same_again("fragile")
        self.elsewhere("slow", 4, "made elsewhere, right but slow")
        counted = load.report(self.kubernetes, NAMESPACE)
        wrong = self.wrong_answers(counted["answers"])
        load.stop(self.kubernetes, NAMESPACE)
        rollbacks = [release.rollback_seconds for release in self.releases if release.rollback_seconds is not None]
        return {
            "releases": [asdict(release) for release in self.releases],
            "requests": sum(counted["requests"].values()),
            "failed_requests": sum(counted["failures"].values()),
            "failures": counted["failures"],
            "wrong_answers": wrong,
            "rollback_seconds": max(rollbacks, default=None),
            "p99_ms": counted["p99_ms"],
            "connections": counted["connections"],
        }

    def first(self) -> None:
        """Chapter 1: data → training → gates → version → service."""
        began = time.monotonic()
        with step("1. A first model: train, gate, version, serve"):
            self._apply(EXAMPLES / "01-train.yaml", EXAMPLES / "02-serve.yaml")
            job = self._trained("digits-tree", "Succeeded")
            self._until("inferenceservice", SERVICE, lambda inf: inf["status"].get("phase") == "Idle" and _ready(inf))
        self._ended(
            "first version", job["status"]["modelVersion"], "Serving", began, job["status"].get("summary", ""), {}
        )

    def better(self) -> None:
        """Chapter 2: a better estimator, promoted on evidence."""
        began, before = time.monotonic(), self._requests()
        with step("2. A better estimator: canary by steps, promoted on evidence"):
            self._apply(EXAMPLES / "03-better.yaml")
            job = self._trained("digits-logistic", "Succeeded")
            version = job["status"]["modelVersion"]
            record, _ = self._released(version.rsplit("-v", 1)[1])
        self._ended("better estimator", version, record["outcome"], began, record["reason"], before)

    def too_weak(self) -> None:
        """Chapter 3: the gate fails, and no version comes of it."""
        began, before = time.monotonic(), self._requests()
        with step("3. A model that misses its gate"):
            self._apply(EXAMPLES / "04-too-weak.yaml")
            job = self._trained("digits-stump", "GatesFailed")
            if job["status"].get("modelVersion"):
                raise Stop("digits-stump missed its gate and became a version all the same")
        self._ended(
            "misses its gate", None, "GatesFailed", began, watch.condition(job, "GatesPassed")["message"], before
        )

    def elsewhere(self, sort: str, number: int, title: str) -> None:
        """Chapters 4 and 5: a version made elsewhere, taken back on evidence."""
        began, before = time.monotonic(), self._requests()
        with step(f"{number + 1}. A version {title}"):
            self._publish(sort, number)
            record, service = self._released(str(number))
        seconds = service["status"].get("rollbackSeconds") if record["outcome"] == "RolledBack" else None
        self._ended(title, f"{SERVICE}-v{number}", record["outcome"], began, record["reason"], before, seconds)

    def same_again(self, sort: str) -> None:
        """Applying the manifest of a quarantined version again changes nothing."""
        with step("   The same manifest again: it stays in quarantine"):
            leaving = True
            while leaving:
                before = self._until("inferenceservice", SERVICE, _followed)["status"]
                self._apply(ROOT / "build" / f"{SERVICE}-{sort}.yaml")
                time.sleep(8)
                after = self.kubernetes.get("inferenceservice", SERVICE, NAMESPACE)["status"]
                # A revision of an earlier release may go meanwhile, which is news of another kind.
                leaving = before.get("retiring") != after.get("retiring")
                if after != before and not leaving:
                    raise Stop(f"applying the same manifest changed the status: {before} → {after}")

    def wrong_answers(self, answers: dict[str, dict[str, dict[str, int]]]) -> int:
        """Answers that differ from what the version's own model gives for that row, by onnxruntime on this machine."""
        import numpy
        import onnxruntime
        from sklearn.datasets import load_digits

        rows, wrong = load_digits().data.astype(numpy.float32), 0
        with store.bucket(self.kubernetes, NAMESPACE) as bucket:
            for version, by_row in answers.items():
                spec = self.kubernetes.get("modelversion", f"{SERVICE}-v{version}", NAMESPACE)["spec"]
                session = onnxruntime.InferenceSession(store.download(bucket, spec["artifact"]["uri"]))
                for row, labels in by_row.items():
                    expected = str(session.run(["label"], {"input": rows[int(row)][None]})[0][0])
                    wrong += sum(count for label, count in labels.items() if label != expected)
        return wrong

    def _publish(self, sort: str, number: int) -> None:
        """What a pipeline of the user's does: build a file, upload it, apply its ModelVersion."""
        file, manifest = ROOT / "build" / f"{SERVICE}-{sort}.onnx", ROOT / "build" / f"{SERVICE}-{sort}.yaml"
        command = [sys.executable, str(EXAMPLES / "elsewhere.py"), sort, "--number", str(number)]
        command += ["--bucket", f"plimsoll-{NAMESPACE}", "--out", str(file)]
        manifest.write_text(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        uri = next(line.split("uri: ")[1] for line in manifest.read_text().splitlines() if "uri: " in line)
        with store.bucket(self.kubernetes, NAMESPACE) as bucket:
            store.upload(bucket, uri, file.read_bytes())
        self._apply(manifest)

    def _released(self, version: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The record of the ended release of `version`, and the service at that moment."""

        def ended(inf: dict[str, Any]) -> bool:
            history = inf["status"].get("history", [])
            return inf["status"]["phase"] in ("Idle", "RolledBack") and any(
                entry["version"] == version for entry in history
            )

        service = self._until("inferenceservice", SERVICE, ended)
        return next(entry for entry in service["status"]["history"] if entry["version"] == version), service

    def _trained(self, name: str, phase: str) -> dict[str, Any]:
        job = self._until(
            "trainingjob",
            name,
            lambda job: job.get("status", {}).get("phase") in ("Succeeded", "GatesFailed", "Failed"),
        )
        if job["status"]["phase"] != phase:
            raise Stop(
                f"trainingjob/{name} ended as {job['status']['phase']}: {watch.condition(job, 'Ready').get('message')}"
            )
        return job

    def _until(self, kind: str, name: str, done: Any) -> dict[str, Any]:
        return watch.until(self.kubernetes, NAMESPACE, kind, name, lambda found: "status" in found and done(found))

    def _apply(self, *files: pathlib.Path) -> None:
        for file in files:
            self.kubernetes.kubectl("-n", NAMESPACE, "apply", "-f", str(file))

    def _requests(self) -> dict[str, int]:
        return dict(load.report(self.kubernetes, NAMESPACE)["requests"])

    def _ended(
        self, title: str, version: str | None, outcome: str, began: float, reason: str,
        before: dict[str, int], rollback_seconds: float | None = None,
    ) -> None:  # fmt: skip
        now = self._requests() if self.releases else {}
        requests = {key: value - before.get(key, 0) for key, value in now.items() if value > before.get(key, 0)}
        self.releases.append(
            Release(title, version, outcome, round(time.monotonic() - began, 1), reason, requests, rollback_seconds)
        )
        say(f"   → {outcome}: {reason}")


def _ready(manifest: dict[str, Any]) -> bool:
    return watch.condition(manifest, "Ready").get("status") == "True"


def _followed(manifest: dict[str, Any]) -> bool:
    """Every pod has the route as it is."""
    return bool(manifest["status"]["followedEpoch"] == manifest["status"]["epoch"])


def table(result: dict[str, Any]) -> str:
    """The result as a table for people."""
    lines = [f"{'release':<42} {'version':<10} {'outcome':<12} {'seconds':>8}  answers by version", "─" * 100]
    for release in result["releases"]:
        answers = ", ".join(f"v{version}: {count}" for version, count in sorted(release["requests"].items()))
        name, version = f"{release['title']:<42}", f"{release['version'] or '—':<10}"
        lines.append(f"{name} {version} {release['outcome']:<12} {release['seconds']:>8}  {answers}")
        lines.append(f"    {release['reason']}")
    lines.append("─" * 100)
    lines += [
        f"{name.replace('_', ' '):<18} {result[name]}"
        for name in ("requests", "failed_requests", "wrong_answers", "rollback_seconds")
    ]
    return "\n".join(lines)


def write(result: dict[str, Any]) -> pathlib.Path:
    """build/demo.json."""
    path = ROOT / "build" / "demo.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path
