"""ModelVersions of a model: names, numbers, claims of numbers, and the manifest of a new one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from plimsoll import names
from plimsoll.api.modelversion import DatasetRef, Lineage, ModelVersionSpec, Provenance
from plimsoll.api.trainingjob import TrainingJobSpec
from plimsoll.core.result import Result
from plimsoll.core.run import Run, canonical
from plimsoll.facts import Manifest

NAME_LIMIT = 40
#: How far below the highest number a claim of our own may lie: other runs rarely overtake one that crashed.
LOOK_BACK = 100
_NUMBER = re.compile(r"-v([1-9][0-9]{0,8})$")


def number(version: Manifest) -> int | None:
    """`digits-v7` of model digits → 7; None when the name is not of that form."""
    model, name = version["spec"]["model"], version["metadata"]["name"]
    found = _NUMBER.search(name)
    return int(found[1]) if found and name == f"{model}-v{found[1]}" else None


def of_model(versions: Iterable[Manifest], model: str) -> dict[int, Manifest]:
    """The versions of a model by number, the lowest first."""
    numbered = ((number(version), version) for version in versions if version["spec"]["model"] == model)
    return dict(sorted(((n, version) for n, version in numbered if n is not None), key=lambda pair: pair[0]))


def with_digest(versions: Iterable[Manifest], model: str, sha256: str) -> Manifest | None:
    """The version of the model that holds this very file."""
    numbered = of_model(versions, model).values()
    return next((version for version in numbered if version["spec"]["artifact"]["sha256"] == sha256), None)


def unclaimed_below(taken: Iterable[int]) -> list[int]:
    """Numbers below the highest without a ModelVersion, of the last LOOK_BACK: an interrupted run may hold one."""
    known = set(taken)
    top = max(known, default=0)
    return [n for n in range(max(1, top - LOOK_BACK), top) if n not in known]


def claim_key(model: str, n: int) -> str:
    """Where a number is claimed in the store."""
    return f"models/{model}/numbers/{n}"


def claim_body(sha256: str) -> bytes:
    """What claims a number for a digest."""
    return canonical({"digest": sha256})


def claims(body: bytes, sha256: str) -> bool:
    """Whether a claim is of this digest. A claim that cannot be read is somebody else's."""
    try:
        return bool(json.loads(body)["digest"] == sha256)
    except (ValueError, KeyError, TypeError):
        return False


def manifest(
    run: Run, spec: TrainingJobSpec, result: Result, n: int, provenance: Mapping[str, str] | None
) -> dict[str, Any]:
    """A new ModelVersion. It is owned by nobody: deleting the TrainingJob leaves it."""
    assert result.artifact is not None
    version = ModelVersionSpec(
        model=spec.model,
        artifact=result.artifact.artifact(),
        signature=result.signature,
        metrics=result.metrics,
        profile=result.profile.location() if result.profile else None,
        lineage=_lineage(run, spec, result),
        provenance=Provenance.model_validate(provenance) if provenance else None,
        require_approval=spec.approval == "Manual",
    )
    return {
        "apiVersion": names.API_VERSION,
        "kind": "ModelVersion",
        "metadata": {
            "name": f"{spec.model}-v{n}",
            "namespace": run.namespace,
            "labels": names.labels("publish", model=spec.model, version=str(n), trainingjob=run.name),
        },
        "spec": version.to_manifest(),
    }


def _lineage(run: Run, spec: TrainingJobSpec, result: Result) -> Lineage:
    sklearn, container = spec.trainer.sklearn, spec.trainer.container
    parameters = {"estimator": sklearn.estimator, **sklearn.parameters} if sklearn else {}
    return Lineage(
        training_job=run.name,
        run=run.hash,
        datasets=tuple(DatasetRef(name=data.name, version=data.version) for data in result.datasets),
        parameters=parameters,
        seed=spec.seed,
        image=container.image if container else None,
    )
