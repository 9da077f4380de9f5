"""What the pages show is what the programs read: manifests, documents, requests, sentences, a trainer."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml
from plimsoll.api.kinds import KINDS
from plimsoll.core.result import Result
from plimsoll.core.statistics.allotment import of_attempt
from plimsoll.core.statistics.policy import Policy
from plimsoll.core.verdict import verdicts
from plimsoll.facts import Differences, OutputBins, Pairs
from plimsoll_serving.pool import document as pool_document
from plimsoll_serving.route import parse
from plimsoll_serving.v2.datatypes import DATATYPES
from plimsoll_serving.v2.decode import decode
from plimsoll_serving.v2.signature import Signature, Tensor
from plimsoll_training.inference import LoadedModel, require_outputs
from plimsoll_training.run import TrainingRun

from tests.unit.docs.pages import ROOT, Block, blocks, pages
from tests.unit.statistics.builders import arm, repeat

OURS = {kind.name: kind for kind in KINDS}
Manifest = dict[str, Any]


def cases(language: str) -> list[Any]:
    return [pytest.param(block, id=block.place) for block in blocks(language)]


def page_text(name: str) -> str:
    return (ROOT / name).read_text()


# --- manifests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", cases("yaml"))
def test_a_manifest_is_what_the_operator_reads(block: Block) -> None:
    for manifest in yaml.safe_load_all(block.text):
        if "apiVersion" not in manifest:
            _check_fragment(block, manifest)
        elif manifest["apiVersion"].startswith("plimsoll.dev/"):
            spec = OURS[manifest["kind"]].spec.model_validate(manifest["spec"])
            assert spec.to_manifest()


def _check_fragment(block: Block, fragment: Manifest) -> None:
    """Its first line names the kind; every field is one of that kind, of the right type."""
    kind = OURS[block.text.splitlines()[0].removeprefix("# ")]
    _check(fragment["spec"], kind.plural)


def _check(spec: Manifest, plural: str) -> None:
    """A part of a spec against the CRD, whose schemas are in the words of OpenAPI 3.0 and so of draft 4."""
    crd = yaml.safe_load((ROOT / "crds" / f"{plural}.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    jsonschema.Draft4Validator(_partial(schema)).validate(spec)


def _partial(schema: Any) -> Any:
    """Nothing is required, nothing unknown is allowed."""
    if isinstance(schema, list):
        return [_partial(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _partial(value) for key, value in schema.items() if key != "required"}
    return found | ({"additionalProperties": False} if "properties" in schema else {})


def test_the_first_manifests_of_the_readme_are_those_of_the_quickstart() -> None:
    train, serve = [yaml.safe_load(block.text) for block in blocks("yaml") if block.page == "README.md"]
    examples = ROOT / "examples" / "quickstart"
    assert train == yaml.safe_load((examples / "01-train.yaml").read_text())
    full = yaml.safe_load((examples / "02-serve.yaml").read_text())
    assert serve["spec"]["model"] == full["spec"]["model"]
    assert serve["spec"]["release"].items() <= full["spec"]["release"].items()


# --- JSON -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", cases("json"))
def test_json_can_be_read(block: Block) -> None:
    assert isinstance(json.loads(block.text), dict)


def contract(*keys: str, without: str = "") -> Manifest:
    """The one document of docs/contracts.md with these keys, and not that, digests filled in."""
    found = [json.loads(block.text) for block in blocks("json") if block.page == "docs/contracts.md"]
    (document,) = [one for one in found if set(keys) <= set(one) and without not in one]
    return json.loads(json.dumps(document).replace('"sha256": "\\u2026"', f'"sha256": "{"a" * 64}"'))  # type: ignore[no-any-return]


def test_the_run_of_the_contracts_is_one_that_the_programs_take() -> None:
    assert TrainingRun.model_validate(contract("trainer", "champions")).model == "digits"


def test_the_result_of_the_contracts_is_one_that_the_operator_takes() -> None:
    assert Result.model_validate(contract("verdict", "gates")).verdict == "Passed"


def test_the_route_of_the_contracts_is_one_that_the_server_follows() -> None:
    assert parse(json.dumps(contract("epoch", "arms", without="revisions")).encode()).epoch == 12


def test_the_document_of_a_pool_is_one_that_its_server_follows() -> None:
    member = pool_document.parse(json.dumps(contract("epoch", "revisions")).encode())
    assert [files.version for files in member.revisions.values()] == ["1", "2"]


def tensor(columns: int) -> Signature:
    return Signature({"input": Tensor("input", DATATYPES["FP32"], (-1, columns), (None, None))}, {})


def test_the_requests_of_the_pages_are_ones_that_the_server_takes() -> None:
    asked = re.search(r"infer -d '(\{.*?\})'\n", page_text("README.md"), re.DOTALL)
    assert asked is not None
    assert decode(asked[1].encode(), tensor(64)).inputs["input"].shape == (1, 64)
    (block,) = [one for one in blocks("json") if one.page == "docs/serving.md"]
    assert decode(block.text.encode(), tensor(4)).inputs["input"].shape == (1, 4)


# --- sentences and commands -------------------------------------------------------------------------------------------


def test_the_verdicts_that_are_read_aloud_are_what_the_verdict_says() -> None:
    stable = arm(1800, failures=9)
    harmful = repeat(13, stable, arm(200, failures=8), stable_pods=(arm(600, failures=3),) * 3)
    healthy = repeat(8, stable, arm(200, failures=1))
    labels = OutputBins("label", ("value:3", "value:8", "other"), (180, 180, 1440), (4, 152, 44))
    shifted = [replace(one, outputs=(labels,)) for one in healthy]
    suspected = repeat(7, arm(4500, failures=4), arm(500, failures=2))
    policy = Policy(alpha=of_attempt(Policy().alpha, 1))
    said = [verdict.reason for windows in (harmful, healthy, suspected) for verdict in verdicts(windows, policy)]
    said += [verdict.reason for verdict in verdicts(shifted, replace(policy, shift_psi=0.25))]
    prices = (Differences("price", above=83, below=14, level=3, rows=100, excess=1250.0, shortfall=130.0),)
    higher = [replace(one, pairs=Pairs(3, 97), differences=prices) for one in repeat(9, arm(100), arm(100), weight=0)]
    said += [verdict.reason for verdict in verdicts(higher, replace(policy, one_sided_max=0.6))]
    shown = [block.text.strip() for block in blocks("text") if block.page == "docs/releases.md"]
    assert len(shown) == 5 and set(shown) <= set(said)


def shell_words() -> list[str]:
    """Every word of every shell block, as a shell splits them."""
    return [word for block in blocks("sh") for word in shlex.split(block.text, comments=True)]


def test_a_command_is_one_that_the_admission_policy_takes() -> None:
    policies = (ROOT / "charts/plimsoll/templates/admission.yaml").read_text()
    pattern = re.search(r"matches\('(\^.*?\$)'\)", policies)
    assert pattern is not None
    form = pattern[1].replace("\\\\", "\\")  # as CEL reads it
    given = [word.partition("=")[2] for word in shell_words() if word.startswith("plimsoll.dev/command=")]
    assert given
    for command in given:
        assert re.fullmatch(form, command), command


def test_an_approval_is_one_that_the_models_take() -> None:
    patches = [json.loads(word) for word in shell_words() if word.startswith('{"spec"')]
    assert patches
    for patch in patches:
        _check(patch["spec"], "modelversions")


# --- programs ---------------------------------------------------------------------------------------------------------


def test_the_trainer_of_the_pages_writes_a_model_that_publish_takes(tmp_path: Path) -> None:
    (block,) = blocks("python")
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    rng = np.random.default_rng(7)
    rows = [(a, b, c, int(a + b > c)) for a, b, c in rng.random((60, 3))]
    lines = ["a,b,c,left", *(",".join(map(str, row)) for row in rows)]
    (inputs / "training.csv").write_text("\n".join(lines) + "\n")
    given = {"PLIMSOLL_INPUTS": str(inputs), "PLIMSOLL_OUTPUT": str(tmp_path), "PLIMSOLL_SEED": "7"}
    given |= {"PLIMSOLL_TARGET": "left", "PATH": "", "HOME": str(tmp_path), "ORT_DISABLE_TELEMETRY": "1"}
    done = subprocess.run([sys.executable, "-c", block.text], env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    model = LoadedModel((tmp_path / "model.onnx").read_bytes())
    require_outputs(model.signature, "Classification")
    assert [(one.name, one.datatype, one.shape) for one in model.signature.inputs] == [("input", "FP32", (-1, 3))]


def test_every_language_of_a_block_is_looked_at() -> None:
    languages = {block.language for page in pages() for block in page.blocks}
    assert languages <= {"yaml", "json", "sh", "text", "python", ""}
