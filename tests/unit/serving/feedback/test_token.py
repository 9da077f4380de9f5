"""Prediction ids: what goes in comes out, and nothing that was not signed is believed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn
from plimsoll_serving.feedback.token import MAX_LENGTH, MAX_ROWS, Signer, TokenError, text_digest

law = settings(deadline=None, derandomize=True, max_examples=100)
NAMES = ("digits", "7", "digits-0a1b2c3d")
SECRET = b"a secret of the namespace"
seconds = st.integers(0, 2**32 - 1)


def signer(*secrets: bytes, service: str = "demo/digits", names: tuple[str, str, str] = NAMES) -> Signer:
    return Signer(secrets or (SECRET,), service, names, start=2**63)


whole = st.integers(-(2**63), 2**63 - 1) | st.integers(-130, 130)


@law
@given(stn.arrays(np.int64, st.integers(1, 2 * MAX_ROWS), elements=whole), seconds)
def test_whole_numbers_come_back(values: Any, moment: int) -> None:
    found = signer().read(signer().sign(values, moment).decode())
    assert (found.model, found.version, found.revision) == NAMES
    assert (found.time, found.kind) == (moment, "i")
    assert found.values == tuple(values[:MAX_ROWS].tolist())


@law
@given(whole | st.floats())
def test_a_number_by_itself_has_the_values_of_an_array_of_it(value: Any) -> None:
    found = [
        signer().read(made.decode()) for made in (signer().sign_number(value, 0), signer().sign(np.array([value]), 0))
    ]
    np.testing.assert_array_equal(np.array(found[0].values), np.array(found[1].values))
    assert found[0].kind == found[1].kind


@pytest.mark.parametrize(("values", "width"), [([-128, 127], 1), ([0, 128], 8), ([-129], 8), (np.float32([0.1]), 4)])
def test_values_take_as_many_bytes_as_they_need(values: Any, width: int) -> None:
    rest = signer().sign(np.asarray(values), 0).rsplit(b".", 1)[1]
    assert len(rest) * 3 // 4 == 15 + width * len(values) + 12


@law
@given(stn.arrays(st.sampled_from([np.float16, np.float32, np.float64]), st.integers(1, MAX_ROWS)))
def test_floats_come_back_exactly(values: Any) -> None:
    found = signer().read(signer().sign(values, 0).decode())
    assert found.kind == "f"
    np.testing.assert_array_equal(np.array(found.values), values.astype(np.float64))


@law
@given(st.lists(st.text(max_size=50) | st.binary(max_size=50), min_size=1, max_size=MAX_ROWS))
def test_texts_come_back_as_their_digests(texts: list[str | bytes]) -> None:
    values = np.empty(len(texts), dtype=object)
    values[:] = texts
    found = signer().read(signer().sign(values, 0).decode())
    assert (found.kind, found.values) == ("t", tuple(map(text_digest, texts)))


@law
@given(stn.arrays(np.int64, st.integers(1, 3)), seconds, st.data())
def test_an_id_with_any_bit_flipped_is_refused(values: Any, moment: int, data: st.DataObject) -> None:
    token = bytearray(signer().sign(values, moment))
    place = data.draw(st.integers(0, len(token) * 8 - 1))
    token[place // 8] ^= 1 << place % 8
    with pytest.raises(TokenError):
        signer().read(token.decode("latin-1"))


@law
@given(st.text(max_size=80) | st.from_regex(r"1\.[A-Za-z0-9_-]{0,60}\.[A-Za-z0-9_-]{0,80}", fullmatch=True))
def test_whatever_is_no_id_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(TokenError) as caught:
        signer().read(text)
    assert caught.value.reason in {"malformed", "signature"}


def test_another_spelling_of_an_id_is_refused() -> None:
    token = signer().sign(np.array([1, 2]), 0).decode()
    for other in (token + "=", token + "==", token.replace("_", "/"), token + "\n", " " + token, token + "A"):
        if other != token:
            with pytest.raises(TokenError):
                signer().read(other)


def test_each_answer_has_an_id_of_its_own() -> None:
    one = signer()
    assert len({one.sign(np.array([1]), 5) for _ in range(50)}) == 50


def test_ids_of_another_service_or_secret_are_refused() -> None:
    token = signer().sign(np.array([1]), 0).decode()
    for stranger in (signer(service="demo/other"), signer(b"another secret of a pod")):
        with pytest.raises(TokenError) as caught:
            stranger.read(token)
        assert caught.value.reason == "signature"
        assert "Secret plimsoll-feedback-key" in str(caught.value)


def test_a_secret_is_replaced_without_losing_what_the_old_one_signed() -> None:
    old, new = SECRET, b"the secret that comes after it"
    both = signer(new, old)
    assert both.read(signer(old).sign(np.array([4]), 0).decode()).values == (4,)
    assert signer(new).read(both.sign(np.array([5]), 0).decode()).values == (5,)


def test_a_pod_of_another_version_reads_whose_prediction_it_was() -> None:
    token = signer(names=("digits", "8", "digits-bbbb")).sign(np.array([True]), 9).decode()
    found = signer().read(token)
    assert (found.version, found.revision, found.values) == ("8", "digits-bbbb", (1,))


def test_an_id_stays_within_its_stated_length() -> None:
    longest = signer(names=("m" * 40, "9" * 10, "m" * 60))
    assert len(longest.sign(np.arange(1000), 2**32 - 1)) < MAX_LENGTH
    assert len(signer().sign(np.array([3]), 0)) < 100


def test_what_is_signed_is_the_readable_names_too() -> None:
    token = signer().sign(np.array([1]), 0).decode()
    forged = Signer([SECRET], "demo/digits", ("digits", "8", "x"), 0).sign(np.array([1]), 0).decode()
    mixed = ".".join([*forged.split(".")[:2], token.split(".")[2]])
    with pytest.raises(TokenError):
        signer().read(mixed)
