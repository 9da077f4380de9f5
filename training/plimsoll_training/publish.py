"""`publish`: judge a staged model by data its trainer never saw, and store it under its digest.

The order is crash-safe: artifact, profile, metrics and manifest first, the result last, then the termination message;
each is written only if absent, so a repeated or a second publisher ends with the same words.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from plimsoll_training.artifact import ModelBytes, load_champion, read_model
from plimsoll_training.environment import Places
from plimsoll_training.errors import ModelRejectedError, StoreError
from plimsoll_training.evaluation import Answers, EvaluationData, answers_of, judge_gate, read_evaluation_data
from plimsoll_training.inference import LoadedModel
from plimsoll_training.metrics import Predictions, measure_all
from plimsoll_training.profile import profile_of
from plimsoll_training.results import canonical_json, rejection_of, settle, verdict_message
from plimsoll_training.run import Signature, TrainingRun, read_run
from plimsoll_training.steps import say, step
from plimsoll_training.store import Store, own_store
from plimsoll_training.upload import staging_key
from plimsoll_training.zipmap import require_same_answers, without_zipmap


@dataclass(frozen=True)
class Judged:
    signature: Signature
    metrics: dict[str, float]
    gates: list[dict[str, object]]
    profile: bytes

    @property
    def verdict(self) -> str:
        return "Passed" if all(gate["passed"] for gate in self.gates) else "GatesFailed"


def publish(where: Places) -> bytes:
    """Returns the termination message. UserError, StoreError; a bad model is a verdict, not an error."""
    run = read_run(where.run, TrainingRun)
    store = own_store()
    with step("read evaluation data"):
        data = read_evaluation_data(run)
    result = _empty_result(run, data)
    try:
        staged = read_model(store.stream(staging_key(run)), run.limits.model_bytes)
        say(f"read the staged model, {len(staged.content)} bytes, sha256:{staged.sha256}")
        model = _of_tensors(staged)
        result["artifact"] = {
            "uri": None,
            "sha256": model.sha256,
            "sizeBytes": len(model.content),
            "format": "onnx",
        }
        judged = _judge(model, staged, data, run)
    except ModelRejectedError as rejection:
        result.update(rejection_of(rejection))
    else:
        result.update(
            verdict=judged.verdict,
            signature=judged.signature.model_dump(mode="json", by_alias=True),
            metrics=judged.metrics,
            gates=judged.gates,
        )
        result.update(_write_version(store, run, model, judged, result))
    return verdict_message(settle(store, f"runs/{run.run.hash}/result.json", result))


def _of_tensors(staged: ModelBytes) -> ModelBytes:
    content = without_zipmap(staged.content)
    if content is None:
        return staged
    model = ModelBytes(content, hashlib.sha256(content).hexdigest())
    say(f"it answers dictionaries (ZipMap); their matrix is published instead, sha256:{model.sha256}")
    return model


def _judge(model: ModelBytes, staged: ModelBytes, data: EvaluationData, run: TrainingRun) -> Judged:
    loaded = LoadedModel(model.content)
    with step(f"evaluated on {len(data.frame)} rows"):
        answers = answers_of(loaded, data, run)
        if model is not staged:
            require_same_answers(LoadedModel(staged.content), loaded, answers.feeds)
        metrics = measure_all(run.task, data.truth, answers.predictions)
    champions = _champions(run, data)
    gates = [judge_gate(gate, data, answers, champions) for gate in run.gates]
    for gate in gates:
        say(f"gate {'passed' if gate['passed'] else 'failed'}: {gate['message']}")
    return Judged(loaded.signature, metrics, gates, canonical_json(profile_of(data, answers)))


def _champions(run: TrainingRun, data: EvaluationData) -> dict[str, Predictions | str]:
    """Of the champions that gates name: predictions on the evaluation rows, or why the model gives none."""
    found: dict[str, Predictions | str] = {}
    for name in sorted({gate.compared_to for gate in run.gates if gate.compared_to is not None}):
        reference = run.champions.get(name)
        if reference is None:
            continue
        try:
            with step(f"evaluated the champion of {name} on the same rows"):
                answers: Answers = answers_of(load_champion(reference, run.limits.model_bytes), data, run)
            found[name] = answers.predictions
        except ModelRejectedError as rejection:
            found[name] = str(rejection)
    return found


def _write_version(
    store: Store, run: TrainingRun, model: ModelBytes, judged: Judged, result: dict[str, Any]
) -> dict[str, Any]:
    """Write what a version consists of; the fields of the result that say where it is.

    A model that failed its gates is kept too, so that it can be looked at: only a ModelVersion makes it servable.
    """
    folder = f"models/{run.model}/sha256/{model.sha256}"
    with step(f"wrote {store.uri(folder)}"):
        if store.put_if_absent(f"{folder}/model.onnx", model.content).sha256 != model.sha256:
            raise StoreError(f"{store.uri(folder)}/model.onnx holds other bytes than its digest: the store is damaged")
        profile = store.put_if_absent(f"{folder}/profile.json", judged.profile)
        measured = {"formatVersion": 1, "metrics": judged.metrics, "rows": result["rows"]}
        store.put_if_absent(f"{folder}/metrics.json", canonical_json(measured))
        fields = {
            "artifact": {**result["artifact"], "uri": store.uri(f"{folder}/model.onnx")},
            "profile": {"uri": store.uri(f"{folder}/profile.json"), "sha256": profile.sha256},
        }
        manifest = {
            "formatVersion": 1,
            "model": run.model,
            **fields,
            "signature": result["signature"],
            "metrics": judged.metrics,
            "lineage": _lineage(run, result),
        }
        store.put_if_absent(f"{folder}/manifest.json", canonical_json(manifest))
    return fields


def _lineage(run: TrainingRun, result: dict[str, Any]) -> dict[str, Any]:
    trainer = run.trainer.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {
        "run": result["run"],
        "datasets": result["datasets"],
        "trainer": trainer,
        "seed": run.seed,
        "images": run.images,
    }


def _empty_result(run: TrainingRun, data: EvaluationData) -> dict[str, Any]:
    return {
        "formatVersion": 1,
        "run": run.run.model_dump(mode="json"),
        "verdict": None,
        "reason": None,
        "artifact": None,
        "signature": None,
        "metrics": {},
        "gates": [],
        "profile": None,
        "datasets": [
            {"name": one.uri, "version": f"sha256:{one.sha256}", "rows": len(one.frame)} for one in data.datasets
        ],
        "rows": {"training": data.training_rows, "evaluation": len(data.frame)},
    }
