"""`verify`: whether the artifact of a ModelVersion that a user made is what it claims to be."""

from typing import Any

from plimsoll_training.artifact import read_model
from plimsoll_training.environment import Places
from plimsoll_training.errors import ModelRejectedError, ObjectMissingError
from plimsoll_training.inference import LoadedModel, require_outputs, synthetic_feeds
from plimsoll_training.results import rejection_of, settle, verdict_message
from plimsoll_training.run import Signature, Tensor, VerificationRun, read_run
from plimsoll_training.steps import step
from plimsoll_training.store import own_store
from plimsoll_training.transfer import chunks_of


def verify(where: Places) -> bytes:
    """Returns the termination message. UserError, StoreError; an artifact that is not as claimed is a verdict."""
    run = read_run(where.run, VerificationRun)
    store = own_store()
    result: dict[str, Any] = {
        "formatVersion": 1,
        "run": run.run.model_dump(mode="json"),
        "verdict": "Passed",
        "reason": None,
        "artifact": run.artifact.model_dump(mode="json", by_alias=True),
        "signature": None,
        "metrics": {},
        "gates": [],
        "profile": None,
        "datasets": [],
        "rows": None,
    }
    try:
        with step(f"verified {run.artifact.uri}"):
            result["signature"] = _verified(run).model_dump(mode="json", by_alias=True)
    except ModelRejectedError as rejection:
        result.update(rejection_of(rejection))
    return verdict_message(settle(store, run.result_key, result))


def _verified(run: VerificationRun) -> Signature:
    claimed = run.artifact
    if claimed.size_bytes > run.limits.model_bytes:
        raise ModelRejectedError(
            f"spec.artifact.sizeBytes {claimed.size_bytes} is more than the limit of {run.limits.model_bytes} bytes"
        )
    try:
        model = read_model(chunks_of(claimed.uri), run.limits.model_bytes)
    except ObjectMissingError as error:
        raise ModelRejectedError(f"spec.artifact.uri: {error}") from None
    if len(model.content) != claimed.size_bytes:
        raise ModelRejectedError(
            f"spec.artifact.sizeBytes says {claimed.size_bytes}, the file has {len(model.content)} bytes"
        )
    if model.sha256 != claimed.sha256:
        raise ModelRejectedError(f"spec.artifact.sha256 says {claimed.sha256}, the file has {model.sha256}")
    loaded = LoadedModel(model.content)
    if run.task is not None:
        require_outputs(loaded.signature, run.task)
    if run.signature is not None:
        _require_equal("inputs", run.signature.inputs, loaded.signature.inputs)
        _require_equal("outputs", run.signature.outputs, loaded.signature.outputs)
    loaded.run(synthetic_feeds(loaded.signature))
    return loaded.signature


def _require_equal(side: str, claimed: tuple[Tensor, ...], found: tuple[Tensor, ...]) -> None:
    """The order of tensors means nothing: they are sent by name."""
    if sorted(claimed, key=lambda one: one.name) != sorted(found, key=lambda one: one.name):
        raise ModelRejectedError(f"spec.signature.{side} is {_shown(claimed)}, the model has {_shown(found)}")


def _shown(tensors: tuple[Tensor, ...]) -> str:
    shown = ", ".join(f"{one.name} {one.datatype}{list(one.shape)}" for one in tensors[:8])
    return shown if len(tensors) <= 8 else f"{shown} and {len(tensors) - 8} more"
