"""A manifest is refused without a cluster as the API server would refuse it: the tables of sentences are the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from plimsoll.api.kinds import KINDS
from plimsoll.cli.cel import compiled
from plimsoll.cli.manifest import refusals, service
from plimsoll.cli.trouble import Trouble
from plimsoll.crdgen.crd import definition

from tests.integration.api.apiserver import base, cases
from tests.unit.api.strategies import Manifest, manifests

KIND = "InferenceService"
BAD = [pytest.param(case, id=case["case"]) for case in cases("bad_manifests", KIND)]
GOOD = [pytest.param(case["manifest"], id=case["case"]) for case in cases("good_manifests", KIND)]
UNKNOWN = "strict decoding error: unknown field"


@pytest.mark.parametrize("case", BAD)
def test_what_the_api_server_refuses_is_refused_for_the_same_fields(case: Manifest) -> None:
    found = refusals(case["manifest"])
    if UNKNOWN in case["says"][0]:
        assert found and all(f'"{one.partition(":")[0]}"' in case["says"][0] for one in found)
    else:
        assert {one.partition(":")[0] for one in found} == {one.partition(":")[0] for one in case["says"]}


#: What the schema refuses, and no rule.
_SCHEMA = (UNKNOWN, " in body ", "Required", "Unsupported", "Duplicate", "Too")
RULES = [case.values[0] for case in BAD if not any(word in said for said in case.values[0]["says"] for word in _SCHEMA)]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["case"]) for case in RULES])
def test_a_rule_that_is_broken_is_told_in_the_api_servers_words(case: Manifest) -> None:
    for found in refusals(case["manifest"]):
        field, _, sentence = found.partition(": ")
        assert any(one.startswith(f"{field}: ") and one.endswith(f": {sentence}") for one in case["says"]), found


def test_most_of_the_table_are_rules() -> None:
    assert len(RULES) > 80


@pytest.mark.parametrize("manifest", GOOD)
def test_what_the_api_server_takes_is_taken(manifest: Manifest) -> None:
    assert refusals(manifest) == []
    service(yaml.safe_dump(manifest), "service.yaml")


@settings(deadline=None)
@given(manifest=manifests.filter(lambda one: one["kind"] == KIND))
def test_every_good_service_is_taken(manifest: Manifest) -> None:
    assert refusals(manifest) == []


# --- CEL --------------------------------------------------------------------------------------------------------------


def rules(schema: Manifest) -> list[str]:
    """All below a schema."""
    found = [one["rule"] for one in schema.get("x-kubernetes-validations", ())]
    others = schema.get("additionalProperties")
    below = [*schema.get("properties", {}).values(), schema.get("items"), others if isinstance(others, dict) else None]
    return found + [rule for one in below if one for rule in rules(one)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_rule_of_every_kind_is_cel_that_is_known(kind: Any) -> None:
    found = rules(definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    assert found
    for rule in found:
        compiled(rule)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 - 4 == -1", True),
        ("!true || false && x", False),
        ("true ? 1 : x", 1),
        ("false ? x : false ? x : 3", 3),
        ("has(self.a.b) && !has(self.a.c)", True),
        ("self.items[0].n < self.items[1].n", True),
        ("has(self.items[0].n)", True),
        ("self.items.map(one, one.n)", [1, 2]),
        ("self.items.filter(one, one.n > 1).map(one, one.n + self.items[0].n)", [3]),
        ("self.items.all(one, one.n in [1, 2]) && self.items.exists(one, one.n == 2)", True),
        ("[1, 1, 2].exists_one(n, n == 1)", False),
        ("[1, 2, 2].isSorted() && ![2, 1].isSorted() && [].isSorted()", True),
        ("'a\\n'.matches('^a$') || 'ab'.matches('^a$')", False),
        (r"r'\d' == '\\d' && '12'.matches(r'^\d+$')", True),
        ("duration('1h30m') > duration('89m') && duration('250ms') < duration('1s')", True),
        ("quantity('0.5').compareTo(quantity('500m')) == 0 && quantity('1Ki').isGreaterThan(quantity('1k'))", True),
        ("size('abc') == 3 && string(7) == '7' && 'Ab'.lowerAscii() == 'ab'", True),
        ("self.map.all(key, key.startsWith('k'))", True),
    ],
)
def test_expressions_mean_what_cel_means(expression: str, value: Any) -> None:
    known = {"self": {"a": {"b": 1}, "items": [{"n": 1}, {"n": 2}], "map": {"k1": 1, "k2": 2}}}
    assert compiled(expression)(known) == value


@pytest.mark.parametrize("expression", ["self.foo(", "a b", "1 % 2", "unheard(1)", "self.unheard()", "[1, 2"])
def test_what_is_not_known_is_not_guessed(expression: str) -> None:
    with pytest.raises(ValueError, match=r"known here|was expected"):
        compiled(expression)


# --- what users write -------------------------------------------------------------------------------------------------

SERVICE = base("bad_manifests", KIND)


def trouble(text: str, name: str | None = None) -> str:
    with pytest.raises(Trouble) as found:
        service(text, "service.yaml", name)
    return found.value.message


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"release": "foo"}, "spec.release: must be an object"),
        ({"release": {"steps": "hello"}}, "spec.release.steps: must be a valid array"),
        ({"release": {"analysis": "hello"}}, "spec.release.analysis: must be an object"),
        ({"release": {"steps": ["hello"]}}, "spec.release.steps[0]: must be an object"),
        ({"release": {"stepz": []}}, "spec.release.stepz: unknown field; did you mean steps?"),
        ({"release": {"analysis": {"alhpa": 0.1}}}, "spec.release.analysis.alhpa: unknown field; did you mean alpha?"),
        ({"release": {"steps": [{"weigth": 5}]}}, "spec.release.steps[0].weigth: unknown field; did you mean weight?"),
        ({"release": {"steps": [{"weight": 50}, {"weight": 10}]}}, "spec.release.steps: weights must rise from step"),
        ({"release": {"steps": [{"weight": "10"}]}}, "spec.release.steps[0].weight: must be a valid integer"),
        ({"release": {"analysis": {"alpha": float("nan")}}}, "spec.release.analysis.alpha: "),
        ({"release": {"probation": 60}}, "spec.release.probation: must be a valid string and not 60"),
    ],
)  # fmt: skip
def test_the_field_and_the_remedy_are_named(spec: Manifest, said: str) -> None:
    assert f"  {said}" in trouble(yaml.safe_dump(SERVICE | {"spec": SERVICE["spec"] | spec}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no InferenceService of plimsoll.dev/v1alpha1 in it"),
        ("just words", "there is no InferenceService"),
        ("a: [", "not YAML that kubectl takes"),
        ("a: &a [*a]", "not YAML that kubectl takes"),
        ("? [1]\n: 2", "not YAML that kubectl takes"),
        ("kind: List\nitems: 7", "there is no InferenceService"),
        ("apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService", "only of serving.kserve.io/v1beta1"),
        ("apiVersion: plimsoll.dev/v1alpha1\nkind: InferenceService", "metadata.name: is required"),
        ("apiVersion: plimsoll.dev/v1alpha1\nkind: InferenceService\nmetadata: [a]", "metadata.name: is required"),
        ("apiVersion: plimsoll.dev/v1alpha1\nkind: InferenceService\nmetadata: {name: a}\nspec: b", "spec: is "),
    ],
)  # fmt: skip
def test_a_file_that_holds_something_else_is_told(text: str, said: str) -> None:
    assert said in trouble(text)


def test_of_several_one_has_to_be_named() -> None:
    several = yaml.safe_dump_all([SERVICE | {"metadata": {"name": name}} for name in ("one", "two")])
    assert trouble(several) == "service.yaml has the InferenceServices one, two: name one of them by --name"
    assert service(several, "service.yaml", "two").name == "two"
    assert "--name" in trouble(several, "three")


def test_what_kubectl_get_prints_can_be_read() -> None:
    stored = SERVICE | {"metadata": {"name": "digits", "uid": "1"}, "status": {"phase": "Idle"}}
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [stored, {"kind": "Pod"}]})
    assert service(text, "-").spec.model.name == "digits"


def test_a_null_is_a_field_that_was_left_out_and_a_date_is_a_text() -> None:
    release = "release: {steps: null, freezeWindows: [{from: 2026-12-24, to: 2027-01-04}]}"
    text = f"{yaml.safe_dump(SERVICE)}  {release}\n"
    found = service(text, "service.yaml").spec.release
    assert [step.weight for step in found.steps] == [10, 50]
    assert found.freeze_windows[0].begin == "2026-12-24"


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["weight", "pause", "max"]), inner),
    max_leaves=4,
)


def spoiled(value: Any, draw: Any) -> Any:
    """With one thing at some depth replaced."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        return value | {key: spoiled(value[key], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        return [spoiled(value[0], draw), *value[1:]]
    return draw(junk)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_whatever_is_written_there_is_an_answer_and_no_traceback(data: st.DataObject) -> None:
    manifest = data.draw(st.sampled_from([case.values[0] for case in GOOD]))
    text = yaml.safe_dump(manifest | {"spec": spoiled(manifest["spec"], data.draw)})
    try:
        service(text, "service.yaml")
    except Trouble as told:
        assert told.message.startswith("service.yaml")
