"""From data to a published version, each verb a process as in its container."""

import hashlib
import json

from tests.integration.training.conftest import Job
from tests.integration.training.runs import (
    CSV_KEY,
    RUN_HASH,
    digits_run,
    gate,
    sign_model,
    sign_table,
    sklearn_trainer,
    table_run,
)


def test_a_run_goes_from_data_to_a_published_version(job: Job) -> None:
    job.asks(digits_run())
    for verb in ("fetch", "train", "upload"):
        outcome = job.process(verb)
        assert outcome.code == 0, outcome.log
    published = job.process("publish")
    assert published.code == 0, published.log
    assert len(published.raw) <= 512
    result_bytes = job.get(f"runs/{RUN_HASH}/result.json")
    result = json.loads(result_bytes)
    model = job.get(result["artifact"]["uri"])
    digest = hashlib.sha256(model).hexdigest()
    assert published.message == {
        "verdict": "Passed",
        "digest": digest,
        "result": hashlib.sha256(result_bytes).hexdigest(),
    }
    assert result["artifact"] == {
        "uri": f"s3://{job.bucket}/models/digits/sha256/{digest}/model.onnx",
        "sha256": digest,
        "sizeBytes": len(model),
        "format": "onnx",
    }
    assert result["signature"] == {
        "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 64]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
        ],
    }
    assert result["rows"] == {"training": 1347, "evaluation": 450}
    assert result["metrics"]["accuracy"] > 0.9
    profile_bytes = job.get(result["profile"]["uri"])
    assert hashlib.sha256(profile_bytes).hexdigest() == result["profile"]["sha256"]
    profile = json.loads(profile_bytes)
    assert [sum(feature["counts"]) for feature in profile["features"]] == [450] * 64
    assert [len(row["input"]) for row in profile["sample"]] == [64] * 8
    folder = f"models/digits/sha256/{digest}"
    assert job.stored() == {
        *(f"{folder}/{name}" for name in ("model.onnx", "profile.json", "metrics.json", "manifest.json")),
        f"runs/{RUN_HASH}/staging/model.onnx",
        f"runs/{RUN_HASH}/result.json",
    }
    manifest = json.loads(job.get(f"{folder}/manifest.json"))
    assert manifest["artifact"] == result["artifact"]
    assert manifest["lineage"]["datasets"] == result["datasets"]


def test_the_trainer_gets_the_training_rows_and_no_row_of_evaluation(job: Job) -> None:
    uri = job.put(CSV_KEY, sign_table())
    split = {"fraction": 0.25, "by": "Time", "column": "x", "seed": 0}
    data = {"training": {"uri": uri, "sha256": None}, "evaluation": None, "split": split}
    assert job.asks(table_run(uri, data=data)).call("fetch").code == 0
    whole = sign_table().decode().splitlines()
    latest = sorted(float(line.split(",")[0]) for line in whole[1:])[-50:]
    handed = (job.folder / "inputs" / "training.csv").read_text().splitlines()
    expected = [line.split(",", 1)[1] for line in whole[1:] if float(line.split(",")[0]) < min(latest)]
    assert handed == ["noise,site,target", *expected]
    assert len(expected) == 150


def test_a_run_with_text_columns_takes_one_input_a_column(job: Job) -> None:
    rows = [f"{n},{'sea' if n % 3 else 'land'},{'wet' if n % 3 else 'dry'}" for n in range(120)]
    uri = job.put(CSV_KEY, "\n".join(["depth (m),where,weather", *rows]).encode())
    run = table_run(uri, target="weather", trainer=sklearn_trainer("LogisticRegression"))
    job.asks(run)
    assert [job.call(verb).code for verb in ("fetch", "train", "upload", "publish")] == [0, 0, 0, 0]
    result = job.result()
    assert result["verdict"] == "Passed"
    assert result["signature"]["inputs"] == [
        {"name": "depth (m)", "datatype": "FP32", "shape": [-1, 1]},
        {"name": "where", "datatype": "BYTES", "shape": [-1, 1]},
    ]
    assert result["signature"]["outputs"][0] == {"name": "label", "datatype": "BYTES", "shape": [-1]}
    profile = json.loads(job.get(result["profile"]["uri"]))
    assert profile["features"][1]["values"] == ["sea", "land"]
    assert profile["outputs"][0]["values"] == ["wet", "dry"]


def test_a_regression_publishes_its_prediction(job: Job) -> None:
    run = digits_run(
        model="sugar",
        task="Regression",
        trainer=sklearn_trainer("Ridge"),
        gates=[gate("root_mean_squared_error", max=80.0)],
    )
    run["data"]["training"]["uri"] = "sklearn://diabetes"
    job.asks(run)
    assert [job.call(verb).code for verb in ("fetch", "train", "upload", "publish")] == [0, 0, 0, 0]
    result = job.result()
    assert result["verdict"] == "Passed"
    assert result["signature"]["outputs"] == [{"name": "prediction", "datatype": "FP32", "shape": [-1, 1]}]
    assert set(result["metrics"]) == {
        "r2",
        "mean_absolute_error",
        "mean_squared_error",
        "root_mean_squared_error",
    }


def test_a_wrong_parameter_exits_2_with_the_remedy(job: Job) -> None:
    job.asks(digits_run())
    assert job.call("fetch").code == 0
    wrong = digits_run(trainer=sklearn_trainer("LogisticRegression", {"max_itr": 5}))
    (job.folder / "inputs" / "run.json").write_text(json.dumps(wrong))
    outcome = job.process("train")
    assert outcome.code == 2, outcome.log
    assert outcome.raw == (
        b'{"error": {"reason": "InvalidParameters", "message": "trainer.sklearn.parameters.max_itr: '
        b'max_itr is not a parameter of LogisticRegression; did you mean max_iter?"}}'
    )
    assert not job.model.exists()


def test_a_value_that_the_estimator_refuses_exits_2(job: Job) -> None:
    job.asks(digits_run(trainer=sklearn_trainer("LogisticRegression", {"C": -1})))
    assert [job.call(verb).code for verb in ("fetch", "train")] == [0, 2]
    assert (
        "'C' parameter of LogisticRegression must be a float in the range"
        in json.loads(job.termination.read_bytes())["error"]["message"]
    )


def test_racing_publishers_end_with_the_same_words(job: Job) -> None:
    uri = job.put(CSV_KEY, sign_table())
    job.asks(table_run(uri)).stages(sign_model())
    logs = [job.folder / f"termination-{number}" for number in range(3)]
    for log in logs:
        log.touch()
    racers = [job.start("publish", PLIMSOLL_TERMINATION_LOG=str(log)) for log in logs]
    for racer in racers:
        text, _ = racer.communicate()
        assert racer.returncode == 0, text
    messages = {log.read_bytes() for log in logs}
    assert len(messages) == 1
    assert json.loads(messages.pop())["result"] == hashlib.sha256(job.get(f"runs/{RUN_HASH}/result.json")).hexdigest()


def test_help_shows_an_example(job: Job) -> None:
    outcome = job.process("--help")
    assert outcome.code == 0
    assert "python -m plimsoll_training train" in outcome.log
