"""What people migrate from, over real sockets: KServe V1, SageMaker's contract, MLflow's bodies; the description."""

import csv
import html
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.builders import onnx_models
from tests.integration.serving.harness import RIGHT, Server, eventually, running, session

NAMES = ["sepal length", "sepal width", "petal length", "petal width"]
ROWS = np.random.default_rng(5).normal(size=(6, 4)).astype(np.float32)
FRAME = pandas.DataFrame({"age": [25.0, 61.5, 40.0, 33.0], "city": ["Bern", "Zürich", "Bern", "Genf"]})
SURVIVED = ["yes", "no", "no", "yes"]


def profiled(folder: Path, model: bytes, names: list[str], sample: list[Any], revision: str) -> Server:
    features = [{"name": name, "index": index} for index, name in enumerate(names)]
    profile = json.dumps({"formatVersion": 1, "features": features, "outputs": [], "sample": sample}).encode()
    server = Server(folder, model, revision, PLIMSOLL_PROFILE_SHA256=onnx_models.digest(profile))
    (folder / "profile.json").write_bytes(profile)
    return server


def columns_model() -> bytes:
    columns = ColumnTransformer([("age", StandardScaler(), ["age"]), ("city", OneHotEncoder(), ["city"])])
    pipeline = make_pipeline(columns, LogisticRegression()).fit(FRAME, SURVIVED)
    types = [("age", FloatTensorType([None, 1])), ("city", StringTensorType([None, 1]))]
    options = {id(pipeline): {"zipmap": False}}
    return bytes(to_onnx(pipeline, initial_types=types, options=options).SerializeToString())


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A model of one tensor whose columns a profile names."""
    sample = [{"input": row.tolist()} for row in ROWS[:2]]
    folder = tmp_path_factory.mktemp("flowers")
    with running(profiled(folder, RIGHT, NAMES, sample, "digits-flowers")) as (server,):
        yield server


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A model of two columns, one of them text, with labels that are text."""
    sample = [{"age": [25.0], "city": ["Zürich"]}]
    folder = tmp_path_factory.mktemp("people")
    with running(profiled(folder, columns_model(), ["age", "city"], sample, "digits-people")) as (server,):
        yield server


def expected(model: bytes, feeds: dict[str, Any]) -> list[dict[str, Any]]:
    """ONNX Runtime's own answers, a row each."""
    runtime = session(model)
    arrays = runtime.run(None, feeds)
    names = [output.name for output in runtime.get_outputs()]
    columns = [array.tolist() for array in arrays]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def asked(server: Server, path: str, body: Any = None, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(server.url(path), content=content, headers={"content-type": "application/json", **found})


def as_float32(predictions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "probabilities": np.float32(row["probabilities"]).tolist()} for row in predictions]


def flower_bodies() -> list[tuple[str, Any, str]]:
    """The same rows, as each client writes them."""
    frame = pandas.DataFrame(ROWS, columns=NAMES)
    shuffled = frame[NAMES[::-1]]
    split = json.loads(shuffled.to_json(orient="split", double_precision=15))
    records = json.loads(shuffled.to_json(orient="records", double_precision=15))
    predict = "/v1/models/digits:predict"
    return [
        (predict, {"instances": ROWS.tolist()}, "application/json"),
        (predict, {"instances": records}, "application/json"),
        (predict, {"inputs": {name: shuffled[name].tolist() for name in shuffled}}, "application/json"),
        ("/v1/models/digits/versions/1:predict", {"instances": ROWS.tolist()}, "application/json"),
        ("/invocations", {"dataframe_split": split}, "application/json"),
        ("/invocations", {"dataframe_records": records}, "application/json; charset=utf-8"),
        ("/invocations", {"instances": ROWS.tolist()}, "application/json"),
        ("/invocations", {"inputs": ROWS.tolist()}, "application/json"),
        ("/invocations", shuffled.to_csv(index=False).encode(), "text/csv"),
        ("/invocations", frame.to_csv(index=False, header=False).encode(), "text/csv"),
    ]


BODIES = flower_bodies()


@pytest.mark.parametrize(("path", "body", "kind"), BODIES, ids=[f"{p} {i}" for i, (p, _, _) in enumerate(BODIES)])
def test_every_form_is_answered_as_onnx_runtime_answers(flowers: Server, path: str, body: Any, kind: str) -> None:
    response = asked(flowers, path, body, content_type=kind)
    assert response.status_code == 200, response.text
    assert as_float32(response.json()["predictions"]) == expected(RIGHT, {"input": ROWS})
    assert response.headers["plimsoll-model-version"] == "1"


def test_text_columns_and_text_labels(people: Server) -> None:
    feeds = {"age": FRAME[["age"]].to_numpy(np.float32), "city": FRAME[["city"]].to_numpy(object)}
    wanted = [row["label"] for row in expected(columns_model(), feeds)]
    split = json.loads(FRAME[["city", "age"]].to_json(orient="split"))
    for path, body, kind in (
        ("/invocations?output=label", {"dataframe_split": split}, "application/json"),
        ("/invocations?output=label", FRAME.to_csv(index=False).encode(), "text/csv"),
        ("/v1/models/digits:predict?output=label", {"instances": FRAME.to_numpy().tolist()}, "application/json"),
    ):
        assert asked(people, path, body, content_type=kind).json() == {"predictions": wanted}


def test_csv_is_answered_where_it_is_accepted(people: Server) -> None:
    body = FRAME.to_csv(index=False).encode()
    response = asked(people, "/invocations", body, content_type="text/csv", accept="text/csv")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    lines = list(csv.reader(io.StringIO(response.text)))
    feeds = {"age": FRAME[["age"]].to_numpy(np.float32), "city": FRAME[["city"]].to_numpy(object)}
    for line, row in zip(lines, expected(columns_model(), feeds), strict=True):
        assert line[0] == row["label"]
        assert np.float32(line[1:]).tolist() == row["probabilities"]


WRONG = [
    (
        "/invocations",
        {"dataframe_split": {"columns": [*NAMES[:3], "petal colour"], "data": [[1, 2, 3, 4]]}},
        400,
        "dataframe_split.data: columns missing 'petal width'; surplus 'petal colour'; the model takes 'sepal length', ",
    ),
    ("/v1/models/digits:predict", {"rows": []}, 400, "the body takes exactly one of instances, inputs; it has none"),
    ("/v1/models/cats:predict", {}, 404, "model 'cats' is not served here; this server serves 'digits'"),
    ("/v1/models/digits/versions/9:predict", {}, 404, "version '9' of 'digits' is not served here; this server serves"),
    ("/v1/models/digits:explain", {}, 404, "nothing is served at /v1/models/digits:explain; inference is POST /v1/mo"),
    ("/v1/models/a/b/c", {}, 404, "nothing is served at /v1/models/a/b/c; inference is POST /v1/models/digits:pred"),
    ("/v1/models/digits", {}, 405, "POST is not allowed on /v1/models/digits; allowed: GET, HEAD"),
]


@pytest.mark.parametrize(("path", "body", "status", "sentence"), WRONG, ids=[f"{p} {s}" for p, _, s, _ in WRONG])
def test_what_is_wrong_is_told(flowers: Server, path: str, body: Any, status: int, sentence: str) -> None:
    response = asked(flowers, path, body)
    assert (response.status_code, response.json()["error"][: len(sentence)]) == (status, sentence)


@pytest.mark.parametrize("padding", [0, 2_000_000], ids=["small", "large"])
def test_half_of_a_surrogate_pair_is_refused_and_nothing_is_left_under_way(flowers: Server, padding: int) -> None:
    before = flowers.answered()
    body = b'{"inputs":{"\\ud800":5,"x":NaN,"pad":"%b"}}' % (b"a" * padding)
    response = asked(flowers, "/v1/models/digits:predict", body)
    assert response.status_code == 400
    assert "half of a surrogate pair" in response.json()["error"]
    assert flowers.answered() == before + 1
    assert set(flowers.counts("plimsoll_inflight_requests", "version").values()) == {0.0}


def test_other_methods_and_types_are_refused(flowers: Server) -> None:
    assert flowers.get("/invocations").status_code == 405
    assert flowers.get("/v1/models/digits:predict").status_code == 405
    assert asked(flowers, "/invocations", b"x", content_type="image/png").status_code == 415
    assert asked(flowers, "/invocations", {"instances": ROWS.tolist()}, accept="image/png").status_code == 406


def test_who_is_there_is_told_as_each_protocol_tells_it(flowers: Server) -> None:
    assert flowers.get("/v1/models").json() == {"models": ["digits"]}
    assert flowers.get("/v1/models/digits").json() == {"name": "digits", "ready": True}
    ping = flowers.get("/ping")
    assert (ping.status_code, ping.content) == (200, b"")


def test_adapted_requests_share_the_path_of_all_requests(flowers: Server) -> None:
    before = flowers.answered()
    asked(flowers, "/v1/models/digits:predict", {"instances": ROWS.tolist()})
    asked(flowers, "/invocations", {"instances": [[1]]})
    counts = flowers.counts("plimsoll_requests_total", "code")
    assert flowers.answered() == before + 2
    assert counts["400"] >= 1


# The description


@pytest.mark.parametrize("name", ["flowers", "people"])
def test_every_example_of_the_openapi_document_works(name: str, request: pytest.FixtureRequest) -> None:
    """That of feedback with the id and the label of an answer; loading and unloading are not allowed here."""
    server: Server = request.getfixturevalue(name)
    document = server.get("/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    statuses: dict[str, int] = {}
    for path, item in document["paths"].items():
        if "get" in item:
            assert server.get(path).status_code == 200, path
        content = item.get("post", {}).get("requestBody", {}).get("content", {})
        for title, example in content.get("application/json", {}).get("examples", {}).items():
            body = example["value"] | (labelled(server) if path.endswith("/feedback") else {})
            response = asked(server, path, body)
            statuses[f"{path} {title}"] = response.status_code
    refused = {told for told, status in statuses.items() if status != 200}
    assert refused == {f"/v2/repository/models/digits/{verb} whole" for verb in ("load", "unload")}
    assert {statuses[told] for told in refused} == {403}
    assert len(statuses) - len(refused) == 9


def labelled(server: Server) -> dict[str, Any]:
    """The id of an answer, and what it says as the label."""
    answer = server.infer(server.get("/docs/examples/digits.json").json())
    (label,) = [output["data"] for output in answer.json()["outputs"] if output["name"] == "label"]
    return {"prediction_id": answer.headers["plimsoll-prediction-id"], "label": label}


@pytest.mark.parametrize("name", ["flowers", "people"])
def test_the_programs_of_the_page_work(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server: Server = request.getfixturevalue(name)
    page = server.get("/docs").text
    shell, program = (html.unescape(text) for text in re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)[:2])
    row = server.get("/docs/examples/digits.json").json()
    wanted = server.infer(row).json()
    answered = subprocess.run(["sh", "-c", shell], capture_output=True, timeout=120, check=True)
    assert json.loads(answered.stdout) == wanted
    (tmp_path / "snippet.py").write_text(program)
    ran = subprocess.run([sys.executable, "snippet.py"], cwd=tmp_path, capture_output=True, timeout=120, check=True)
    assert ran.stdout.decode() == f"{wanted}\n"


def test_nothing_is_described_before_it_is_there(tmp_path: Path) -> None:
    """The model is a pipe that nobody writes to: it is being loaded as long as the test likes."""
    server = Server(tmp_path, RIGHT, "digits-loading")
    (tmp_path / "model.onnx").unlink()
    os.mkfifo(tmp_path / "model.onnx")
    server.start()
    try:

        def listening() -> bool:
            try:
                return server.get("/ping").status_code == 503
            except httpx.TransportError:
                return False

        eventually(listening, "an answer to /ping")
        for path in ("/docs", "/openapi.json", "/v1/models/digits"):
            assert server.get(path).status_code == 503
        assert asked(server, "/invocations", {"instances": ROWS.tolist()}).status_code == 503
        assert httpx.post(server.url("/v2/repository/index")).json()[0]["state"] == "LOADING"
    finally:
        server.kill()


def test_a_wide_row_is_fetched_from_the_server(tmp_path: Path) -> None:
    coefficients, intercepts = onnx_models.weights(features=768, classes=2)
    wide = onnx_models.linear_classifier(coefficients, intercepts)
    with running(Server(tmp_path, wide, "digits-wide")) as (server,):
        page = server.get("/docs").text
        shell = html.unescape(re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)[0])
        assert len(shell) < 400
        answered = subprocess.run(["sh", "-c", shell], capture_output=True, timeout=120, check=True)
        assert json.loads(answered.stdout)["outputs"][0]["shape"] == [1]
