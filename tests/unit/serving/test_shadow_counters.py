"""Counters of shadow pairs: what is exported, and that it stays bounded."""

from plimsoll_serving.families import exposition
from plimsoll_serving.shadow.compare import Difference
from plimsoll_serving.shadow.counters import MAX_CLASSES, MAX_OUTPUTS, MAX_PAIRS, Outcome, ShadowCounters
from prometheus_client.parser import text_string_to_metric_families

LABELS = ("model", "stable", "candidate", "output", "class", "direction", "outcome")
WHO = ("digits", "stable", "candidate")


def samples(counters: ShadowCounters, name: str) -> dict[tuple[str, ...], float]:
    text = exposition(counters, [name]).decode()
    return {
        tuple(sample.labels[label] for label in LABELS if label in sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_outcome_of_a_pair_exists_before_its_first_request() -> None:
    counters = ShadowCounters("digits")
    counters.add_pair("stable", "candidate")
    assert samples(counters, "plimsoll_shadow_pairs_total") == {(*WHO, outcome.value): 0 for outcome in Outcome}


def test_pairs_rows_and_differences_add_up() -> None:
    counters = ShadowCounters("digits")
    for _ in range(2):
        counters.count("stable", "candidate", Outcome.MISMATCH)
        regression = Difference(4, 2, above=1, below=1, level=2, excess=0.5, shortfall=2.0, squared=4.25)
        counters.note("stable", "candidate", {"prediction": regression})
    assert samples(counters, "plimsoll_shadow_pairs_total")[*WHO, "mismatch"] == 2
    assert samples(counters, "plimsoll_shadow_rows_total") == {
        (*WHO, "prediction", "equal"): 4,
        (*WHO, "prediction", "different"): 4,
    }
    assert samples(counters, "plimsoll_shadow_difference_rows_total") == {
        (*WHO, "prediction", "above"): 2,
        (*WHO, "prediction", "below"): 2,
        (*WHO, "prediction", "level"): 4,
        (*WHO, "prediction", "not_finite"): 0,
    }
    assert samples(counters, "plimsoll_shadow_difference_requests_total") == {
        (*WHO, "prediction", "above"): 0.5,
        (*WHO, "prediction", "below"): 0.5,
        (*WHO, "prediction", "level"): 1.0,
        (*WHO, "prediction", "not_finite"): 0.0,
    }
    assert samples(counters, "plimsoll_shadow_difference_total") == {
        (*WHO, "prediction", "above"): 1.0,
        (*WHO, "prediction", "below"): 4.0,
    }
    assert samples(counters, "plimsoll_shadow_squared_difference_total") == {(*WHO, "prediction"): 8.5}
    assert samples(counters, "plimsoll_shadow_class_rows_total") == {}


def test_classes_beyond_the_first_ten_are_counted_as_other() -> None:
    counters = ShadowCounters("digits")
    for number in range(50):
        difference = Difference(1, 1, gained={str(number): 1}, lost={str(number + 1): 1})
        counters.note("stable", "candidate", {"label": difference})
    found = samples(counters, "plimsoll_shadow_class_rows_total")
    names = {key[4] for key in found}
    assert len(names) == MAX_CLASSES + 1
    assert sum(value for key, value in found.items() if key[5] == "gained") == 50
    assert found[*WHO, "label", "other", "lost"] == 41


def test_neither_outputs_nor_releases_make_series_without_end() -> None:
    counters = ShadowCounters("digits")
    for release in range(50):
        counters.count("stable", f"candidate-{release}", Outcome.MATCH)
    for name in range(100):
        counters.note("stable", "candidate-49", {f"output-{name}": Difference(1, 0)})
    pairs = samples(counters, "plimsoll_shadow_pairs_total")
    assert len(pairs) == MAX_PAIRS * len(Outcome)
    assert pairs["digits", "stable", "candidate-49", "match"] == 1
    assert len(samples(counters, "plimsoll_shadow_rows_total")) == 2 * MAX_OUTPUTS
