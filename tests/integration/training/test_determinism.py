"""Same inputs, seed and image give the same bytes: in another process, with other hashes and other threads."""

import json
import subprocess
import sys

from tests.integration.training.conftest import SOURCES, Job
from tests.integration.training.runs import CSV_KEY, digits_run, sklearn_trainer, table_run

# Every allowed estimator on bundled data, as {name: digest}.
ALL_ESTIMATORS = """
import hashlib, json, pathlib, sys, warnings
warnings.simplefilter("ignore")
from plimsoll_training.columns import infer_features, target_values
from plimsoll_training.convert import to_onnx_bytes
from plimsoll_training.data import bundled_csv, parse_csv
from plimsoll_training.estimators import CLASSIFIERS, REGRESSORS, make_estimator
from plimsoll_training.preprocessing import make_pipeline
from plimsoll_training.run import SklearnTrainer
from plimsoll_training.train import fit, training_table

digests = {}
for task, names, source in (("Classification", CLASSIFIERS, "wine"), ("Regression", REGRESSORS, "diabetes")):
    frame = parse_csv(bundled_csv(source), source)
    features = infer_features(frame, "target")
    for name in names:
        trainer = SklearnTrainer(estimator=name, preprocessing={"scaler": "Standard"})
        estimator = make_estimator(name, {}, task, 7)
        few = {"n_estimators": 9, "max_iter": 40}
        estimator.set_params(**{key: few[key] for key in few if key in estimator.get_params()})
        pipeline = make_pipeline(trainer.preprocessing, features, estimator)
        fit(pipeline, training_table(frame, features, trainer), target_values(frame, "target", task))
        digests[name] = hashlib.sha256(to_onnx_bytes(pipeline, features, task)).hexdigest()
print(json.dumps(digests))
"""


def digests_with(hash_seed: str, threads: str) -> dict[str, str]:
    environment = {
        "PYTHONPATH": str(SOURCES),
        "PYTHONHASHSEED": hash_seed,
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
    }
    command = [sys.executable, "-c", ALL_ESTIMATORS]
    ended = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(ended.stdout)
    return found


def test_every_estimator_gives_the_same_bytes_in_another_process() -> None:
    first = digests_with("1", "1")
    assert len(first) == 21
    assert digests_with("2", "2") == first


def test_the_number_of_jobs_does_not_matter(job: Job) -> None:
    job.asks(digits_run(trainer=sklearn_trainer("RandomForestClassifier", {"n_estimators": 8})))
    assert [job.call(verb).code for verb in ("fetch", "train")] == [0, 0]
    alone = job.model.read_bytes()
    job.asks(digits_run(trainer=sklearn_trainer("RandomForestClassifier", {"n_estimators": 8, "n_jobs": 2})))
    assert job.call("fetch").code == 0
    assert job.process("train", PYTHONHASHSEED="3").code == 0
    assert job.model.read_bytes() == alone


def test_text_columns_are_encoded_the_same_in_another_process(job: Job) -> None:
    rows = [f"{n % 7},{'abcdef'[n % 6]},{'uvwx'[n % 4]},{'yes' if n % 6 > 2 else 'no'}" for n in range(90)]
    uri = job.put(CSV_KEY, "\n".join(["size,kind,place,target", *rows]).encode())
    job.asks(table_run(uri, trainer=sklearn_trainer("HistGradientBoostingClassifier", categorical="Ordinal")))
    assert [job.call(verb).code for verb in ("fetch", "train")] == [0, 0]
    here = job.model.read_bytes()
    assert job.process("train", PYTHONHASHSEED="5").code == 0
    assert job.model.read_bytes() == here


def test_another_seed_gives_another_model(job: Job) -> None:
    models = set()
    for seed in (1, 2):
        run = digits_run(trainer=sklearn_trainer("RandomForestClassifier", {"n_estimators": 2}), seed=seed)
        assert [job.asks(run).call(verb).code for verb in ("fetch", "train")] == [0, 0]
        models.add(job.model.read_bytes())
    assert len(models) == 2
