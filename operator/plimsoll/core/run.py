"""A run: what decides its outcome, the hash of that, and the documents that its programs read (docs/contracts.md)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plimsoll.api.gates import Gate
from plimsoll.api.modelversion import ModelVersionSpec
from plimsoll.api.trainingdata import DataSource, Split
from plimsoll.api.trainingjob import TrainingJobSpec
from plimsoll.facts import Manifest

#: The largest model file that upload and publish accept.
MODEL_BYTES_LIMIT = 2 * 2**30
#: What decides the outcome of a run. Our training image is not among it: an upgrade must not repeat finished runs.
_DECIDES = {"model", "task", "data", "target", "trainer", "gates", "seed", "rerun_token"}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one object: `hash` has 16 hex digits, `uid` and `name` are of the TrainingJob or ModelVersion."""

    hash: str
    namespace: str
    name: str
    uid: str

    @property
    def result_key(self) -> str:
        return f"runs/{self.hash}/result.json"

    @property
    def accepted_key(self) -> str:
        return f"runs/{self.hash}/accepted.json"

    def seal(self, result: str) -> str:
        """What the operator signs (SHA-256) when it accepts a result, good for this run in this namespace only."""
        return digest(canonical({"accepted": result, "namespace": self.namespace, "run": self.hash}))

    @property
    def short(self) -> str:
        return self.hash[:8]

    @property
    def base(self) -> str:
        """What the names of the run's Jobs and ConfigMaps begin with."""
        return f"{self.name}-{self.short}"


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and without spaces, as UTF-8: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(body: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(body).hexdigest()


def run_hash(spec: TrainingJobSpec) -> str:
    """The first 16 hex digits of the SHA-256 of everything that decides the outcome.

    Defaults are left out, so that a default written out and a field that a later release adds change nothing.
    """
    decides = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=_DECIDES)
    return digest(canonical({"formatVersion": 1, **decides}))[:16]


def training_run(resource: Manifest, spec: TrainingJobSpec) -> Run:
    """The run that a TrainingJob asks for."""
    meta = resource["metadata"]
    return Run(run_hash(spec), meta["namespace"], meta["name"], meta["uid"])


def verification_run(resource: Manifest, spec: ModelVersionSpec) -> Run:
    """The verification that a ModelVersion asks for; another object has another one, so that results never meet."""
    meta = resource["metadata"]
    asked = {"uid": meta["uid"], "artifact": spec.artifact.to_manifest(), "signature": _signature(spec)}
    return Run(digest(canonical(asked))[:16], meta["namespace"], meta["name"], meta["uid"])


def verification_key(run: Run, sha256: str) -> str:
    """Where the result of a verification lies."""
    return f"verifications/{sha256}/{run.short}/result.json"


def document(run: Run, spec: TrainingJobSpec, image: str, champions: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`run.json`. The train Job gets no champions: the trainer must not know what it is measured against."""
    data = spec.data
    return {
        "formatVersion": 1,
        "run": _identity(run),
        "model": spec.model,
        "task": spec.task,
        "data": {
            "training": _source(data.training),
            "evaluation": _source(data.evaluation) if data.evaluation else None,
            "split": _split(data.split, spec.seed) if data.split else None,
        },
        "target": spec.target,
        "trainer": spec.trainer.to_manifest(),
        "seed": spec.seed,
        "gates": [_gate(gate) for gate in spec.gates],
        "champions": dict(champions or {}),
        "limits": {"modelBytes": MODEL_BYTES_LIMIT},
        "images": {"training": image},
    }


def verify_document(run: Run, spec: ModelVersionSpec, image: str) -> dict[str, Any]:
    """`run.json` of a verify Job."""
    artifact = spec.artifact
    return {
        "formatVersion": 1,
        "run": _identity(run),
        "model": spec.model,
        "artifact": {"uri": artifact.uri, "sha256": artifact.sha256, "sizeBytes": artifact.size_bytes},
        "signature": _signature(spec),
        "resultKey": verification_key(run, artifact.sha256),
        "limits": {"modelBytes": MODEL_BYTES_LIMIT},
        "images": {"training": image},
    }


def _identity(run: Run) -> dict[str, Any]:
    return {"hash": run.hash, "namespace": run.namespace, "trainingJob": run.name, "uid": run.uid}


def _signature(spec: ModelVersionSpec) -> dict[str, Any] | None:
    return spec.signature.to_manifest() if spec.signature else None


def _source(source: DataSource) -> dict[str, Any]:
    return {"uri": source.uri, "sha256": source.sha256}


def _split(split: Split, seed: int) -> dict[str, Any]:
    return {
        "fraction": split.fraction,
        "by": split.by,
        "column": split.column,
        "seed": seed if split.seed is None else split.seed,
    }


def _gate(gate: Gate) -> dict[str, Any]:
    return {
        "metric": gate.metric,
        "min": gate.min,
        "max": gate.max,
        "slice": gate.slice.to_manifest() if gate.slice else None,
        "comparedTo": gate.compared_to.inference_service if gate.compared_to else None,
        "tolerance": gate.tolerance,
    }
