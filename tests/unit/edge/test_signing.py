from __future__ import annotations

import pytest
from plimsoll.edge.signing import Ed25519Signer

DIGEST = "ab" * 32


@pytest.fixture
def signer() -> Ed25519Signer:
    return Ed25519Signer(bytes(range(32)))


def test_a_signature_is_verified_by_the_key_that_made_it(signer: Ed25519Signer) -> None:
    assert signer.verify(DIGEST, signer.sign(DIGEST))


def test_the_same_key_names_and_signs_alike_after_a_restart(signer: Ed25519Signer) -> None:
    assert Ed25519Signer(bytes(range(32))).sign(DIGEST) == signer.sign(DIGEST)


def test_another_digest_is_not_vouched_for(signer: Ed25519Signer) -> None:
    assert not signer.verify("cd" * 32, signer.sign(DIGEST))


def test_the_signature_of_another_key_is_not_ours_even_under_our_name(signer: Ed25519Signer) -> None:
    other = Ed25519Signer(bytes(32))

    assert not signer.verify(DIGEST, other.sign(DIGEST))
    assert not signer.verify(DIGEST, {**other.sign(DIGEST), "signedBy": signer.name})


@pytest.mark.parametrize("provenance", [{}, {"signature": "%%%"}, {"signature": ""}, {"signature": "AAAA"}])
def test_a_broken_signature_is_refused_not_raised(signer: Ed25519Signer, provenance: dict[str, str]) -> None:
    assert not signer.verify(DIGEST, {"signedBy": signer.name, **provenance})
