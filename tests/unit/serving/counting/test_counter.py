"""Batches are gathered and counted together, within a bound, and a count that fails harms nobody."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from plimsoll_serving.counting import counter as module
from plimsoll_serving.counting.counter import GATHERED_ROWS, BinCounter
from plimsoll_serving.counting.plan import Plan, plan
from plimsoll_serving.counting.reference import MAX_BINS, Entry, Reference, parse
from plimsoll_serving.errors import ArtifactError
from plimsoll_serving.settings import Identity
from plimsoll_serving.v2.datatypes import DATATYPES
from plimsoll_serving.v2.signature import Signature, Tensor

IDENTITY = Identity("digits", "7", "digits-aaaa", "digits", "demo", "pod-1")


def tensor(name: str, datatype: str, *shape: int) -> Tensor:
    return Tensor(name, DATATYPES[datatype], shape, (None,) * len(shape))


def signature(inputs: list[Tensor], outputs: list[Tensor]) -> Signature:
    return Signature({one.name: one for one in inputs}, {one.name: one for one in outputs})


CLASSIFIER = signature(
    [tensor("input", "FP32", -1, 3)], [tensor("label", "INT64", -1), tensor("probabilities", "FP32", -1, 2)]
)
REFERENCE = Reference(
    features=tuple(Entry(name, index, edges=(0.0,)) for index, name in enumerate("abc")),
    outputs=(Entry("label", 0, values=(0, 1)), Entry("probabilities", 1, edges=(0.5, 0.75))),
)


class Clock:
    """What the event loop would call later."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def call_later(self, _: float, call: Callable[[], None], /) -> None:
        self.waiting.append(call)

    def call_soon_threadsafe(self, call: Callable[..., None], /, *arguments: Any) -> None:
        self.waiting.append(lambda: call(*arguments))

    def tick(self) -> None:
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()


def made(rows_per_second: int = 10**9, what: Plan | None = None) -> tuple[BinCounter, Clock]:
    clock = Clock()
    counted = what or plan(REFERENCE, CLASSIFIER, 50)
    assert counted is not None
    return BinCounter(IDENTITY, counted, rows_per_second, clock), clock


def batch(*rows: list[float]) -> tuple[dict[str, Any], dict[str, Any]]:
    table = np.array(rows, np.float32)
    outputs = {"label": np.ones(len(rows), np.int64), "probabilities": np.full((len(rows), 2), 0.5, np.float32)}
    return {"input": table}, outputs


def read(counter: BinCounter) -> dict[str, float]:
    """Counts above 0."""
    return {
        " ".join((sample.name, *list(sample.labels.values())[2:])): sample.value
        for family in counter.collect()
        for sample in family.samples
        if sample.value
    }


def test_a_scrape_counts_what_is_still_waiting() -> None:
    counter, _ = made()
    counter.observe(*batch([-1, 1, 1]))
    counter.observe(*batch([-1, -1, 1], [2, np.nan, np.inf]))
    assert read(counter) == {
        "plimsoll_prediction_bin_total label value:1": 3,
        "plimsoll_prediction_bin_total probabilities le:0.5": 3,
        "plimsoll_feature_bin_total a le:0.0": 2,
        "plimsoll_feature_bin_total a le:+Inf": 1,
        "plimsoll_feature_bin_total b le:0.0": 1,
        "plimsoll_feature_bin_total b le:+Inf": 1,
        "plimsoll_feature_bin_total b missing": 1,
        "plimsoll_feature_bin_total c le:+Inf": 2,
        "plimsoll_feature_bin_total c infinite": 1,
        "plimsoll_bin_rows_total counted": 3,
    }


def test_every_series_is_there_before_anything_is_counted() -> None:
    counter, _ = made()
    families = {family.name: len(family.samples) for family in counter.collect()}
    assert families == {
        "plimsoll_prediction_bin": 3 + 5, "plimsoll_feature_bin": 3 * 4, "plimsoll_bin_rows": 3,
        "plimsoll_feature_profile_rows": 0,
    }  # fmt: skip


def test_the_profile_is_told_by_the_bins_in_which_requests_are_counted() -> None:
    values = Entry("site", 1, values=("A", "B"), counts=(7, 2, 1))
    told = Reference((Entry("a", 0, edges=(0.5,), counts=(3, 4)), values, Entry("b", 2, edges=(1.0,))))
    takes = signature(
        [tensor("a", "FP32", -1), tensor("site", "BYTES", -1), tensor("b", "FP32", -1)], [tensor("score", "FP32", -1)]
    )
    counter, _ = made(what=plan(told, takes, 50))
    assert read(counter) == {
        "plimsoll_feature_profile_rows a le:0.5": 3,
        "plimsoll_feature_profile_rows a le:+Inf": 4,
        "plimsoll_feature_profile_rows site value:A": 7,
        "plimsoll_feature_profile_rows site value:B": 2,
        "plimsoll_feature_profile_rows site other": 1,
    }
    counted = {(one.labels["feature"], one.labels["bin"]) for one in _samples(counter, "plimsoll_feature_bin")}
    profiled = {
        (one.labels["feature"], one.labels["bin"]) for one in _samples(counter, "plimsoll_feature_profile_rows")
    }
    assert profiled < counted


def _samples(counter: BinCounter, name: str) -> list[Any]:
    return [sample for family in counter.collect() if family.name == name for sample in family.samples]


def test_series_stay_within_the_stated_bound() -> None:
    edges = tuple(float(edge) for edge in range(9))
    wide = Reference(
        features=tuple(Entry(f"f{i}", i, edges=edges, low=-1.0, high=9.0) for i in range(200)),
        outputs=(Entry("label", 0, values=tuple(range(10))), Entry("probabilities", 1, edges=edges, low=0.0, high=9.0)),
    )
    takes = signature([tensor("input", "FP32", -1, 200)], list(CLASSIFIER.outputs.values()))
    chosen = plan(wide, takes, 20)
    assert chosen is not None
    assert chosen.beyond == 180
    counter, _ = made(what=chosen)
    sizes = {family.name: len(family.samples) for family in counter.collect()}
    assert sizes["plimsoll_feature_bin"] == 20 * MAX_BINS
    assert sizes["plimsoll_prediction_bin"] == 11 + MAX_BINS


def test_rows_are_counted_in_one_go_when_enough_have_come(monkeypatch: pytest.MonkeyPatch) -> None:
    counter, clock = made()
    sizes: list[int] = []
    monkeypatch.setattr(module, "_add", lambda bins, arrays: sizes.append(sum(map(len, arrays))))
    for _ in range(GATHERED_ROWS - 1):
        counter.observe(*batch([1, 1, 1]))
    assert sizes == []
    counter.observe(*batch([1, 1, 1]))
    assert sizes == [GATHERED_ROWS] * 3
    counter.observe(*batch([1, 1, 1]))
    clock.tick()
    assert sizes[3:] == [1] * 3


def test_a_quarter_second_counts_its_quota_and_says_what_it_skipped() -> None:
    counter, clock = made(rows_per_second=40)
    for _ in range(3):
        counter.observe(*batch(*[[1, 1, 1]] * 4))
    found = read(counter)
    assert (found["plimsoll_bin_rows_total counted"], found["plimsoll_bin_rows_total skipped"]) == (10, 2)
    assert found["plimsoll_feature_bin_total a le:+Inf"] == 10
    clock.tick()
    counter.observe(*batch([1, 1, 1]))
    assert read(counter)["plimsoll_bin_rows_total counted"] == 11


def test_a_tensor_that_cannot_be_counted_leaves_the_others_and_the_request_alone() -> None:
    counter, _ = made()
    inputs, outputs = batch([1, 1, 1])
    counter.observe(inputs, {**outputs, "label": object()})  # type: ignore[dict-item]
    counter.observe({}, outputs)
    found = read(counter)
    assert found["plimsoll_feature_bin_total a le:+Inf"] == 1
    assert found["plimsoll_bin_rows_total failed"] == 1
    assert "plimsoll_prediction_bin_total label value:1" not in found


def test_a_batch_of_a_worker_thread_is_counted_on_the_loop() -> None:
    counter, clock = made()
    worker = threading.Thread(target=counter.observe, args=batch([1, 1, 1]))
    worker.start()
    worker.join()
    assert read(counter) == {}
    clock.tick()
    assert read(counter)["plimsoll_bin_rows_total counted"] == 1


def test_outputs_that_were_not_asked_for_are_not_counted() -> None:
    counter, _ = made()
    inputs, outputs = batch([1, 1, 1])
    counter.observe(inputs, {"label": outputs["label"]})
    found = read(counter)
    assert found["plimsoll_prediction_bin_total label value:1"] == 1
    assert not [name for name in found if "probabilities" in name]


def test_one_input_a_column_is_found_by_its_name_and_text_by_its_values() -> None:
    takes = signature([tensor("age", "FP32", -1, 1), tensor("site", "BYTES", -1, 1)], [tensor("score", "FP32", -1, 1)])
    known = Reference((Entry("age", 0, edges=(30.0,)), Entry("site", 1, values=("A",)), Entry("gone", 2, edges=(1.0,))))
    chosen = plan(known, takes, 50)
    assert chosen is not None
    assert chosen.unknown == ["gone"]
    counter, _ = made(what=chosen)
    sites = np.array([["A"], ["B"], [""]], dtype=object)
    scores = np.array([[1], [np.inf], [np.nan]], np.float32)
    counter.observe({"age": np.array([[20], [40], [40]], np.float32), "site": sites}, {"score": scores})
    assert read(counter) == {
        "plimsoll_feature_bin_total age le:30.0": 1,
        "plimsoll_feature_bin_total age le:+Inf": 2,
        "plimsoll_feature_bin_total site value:A": 1,
        "plimsoll_feature_bin_total site other": 1,
        "plimsoll_feature_bin_total site missing": 1,
        "plimsoll_prediction_bin_total score finite": 1,
        "plimsoll_prediction_bin_total score infinite": 1,
        "plimsoll_prediction_bin_total score nan": 1,
        "plimsoll_bin_rows_total counted": 3,
    }


def test_batches_of_several_widths_are_counted_together() -> None:
    takes = signature([tensor("input", "FP32", -1, -1)], [tensor("score", "FP32", -1)])
    chosen = plan(Reference((Entry("a", 0, edges=(0.0,)),)), takes, 50)
    counter, _ = made(what=chosen)
    for width in (2, 3, 2):
        counter.observe({"input": np.ones((1, width), np.float32)}, {"score": np.ones(1, np.float32)})
    assert read(counter)["plimsoll_feature_bin_total a le:+Inf"] == 3


def test_a_model_without_rows_is_not_counted() -> None:
    assert plan(REFERENCE, signature([tensor("x", "FP32")], [tensor("y", "FP32")]), 50) is None


def test_a_profile_is_read_as_the_contract_has_it() -> None:
    document = {
        "formatVersion": 1,
        "features": [
            {"name": "a", "index": 0, "edges": [1, 2.5], "counts": [1, 2, 3], "range": [0, 9]},
            {"name": "site", "index": 1, "values": ["A"], "counts": [1, 0]},
            {"name": "b", "index": 2, "edges": [], "counts": [0]},
        ],
        "outputs": [{"name": "label", "values": [0, 1], "counts": [5, 5, 0]}],
        "sample": [],
    }
    found = parse(json.dumps(document).encode())
    assert found.features == (
        Entry("a", 0, edges=(1.0, 2.5), low=0.0, high=9.0, counts=(1, 2, 3)),
        Entry("site", 1, values=("A",), counts=(1, 0)),
        Entry("b", 2, edges=(), counts=(0,)),
    )
    assert found.outputs == (Entry("label", 0, values=(0, 1), counts=(5, 5, 0)),)


@pytest.mark.parametrize(
    ("feature", "sentence"),
    [
        ({"name": "a"}, "features[0] has neither values nor edges that are numbers"),
        ({"index": 0}, "features[0] is not an object with a name"),
        ({"name": "a", "edges": [2, 1]}, "features[0].edges do not rise, or are more than 9"),
        ({"name": "a", "edges": [1], "range": [2, 3]}, "features[0].range does not hold its edges"),
        ({"name": "a", "edges": [1], "range": [3, 2]}, "features[0].range is not two numbers, the smaller first"),
        ({"name": "a", "edges": [1], "index": -1}, "features[0].index is not a whole number from 0"),
        ({"name": "a", "values": [[1]]}, "features[0].values is not a list of plain values"),
    ],
)
def test_a_profile_that_breaks_the_contract_is_refused_by_field(feature: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        parse(json.dumps({"features": [feature]}).encode())
    assert str(caught.value) == f"profile.json: {sentence}"
