"""Bad input is refused at `kubectl apply` with these very sentences.

What can only be known later (a missing model, store or column, an unknown parameter of an estimator) becomes a
condition and is tested with the operator, not here.
"""

from __future__ import annotations

import pytest

from tests.integration.api.apiserver import PLURALS, ApiServer, Manifest, Refused, base, cases

TABLE = [pytest.param(case, id=f"{kind}: {case['case']}") for kind in PLURALS for case in cases("bad_manifests", kind)]
#: The API server adds it whenever a type, a size or a choice is wrong; it says nothing of the field.
UNCHECKED = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)


@pytest.mark.parametrize("case", TABLE)
def test_a_bad_manifest_is_refused_with_a_sentence(server: ApiServer, case: Manifest) -> None:
    with pytest.raises(Refused) as refusal:
        server.create(case["manifest"], dry_run=True)
    assert [sentence for sentence in refusal.value.sentences if sentence != UNCHECKED] == case["says"]


@pytest.mark.parametrize("kind", PLURALS)
def test_the_manifest_that_the_cases_spoil_is_accepted(server: ApiServer, kind: str) -> None:
    server.create(base("bad_manifests", kind), dry_run=True)
