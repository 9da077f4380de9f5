"""Prediction ids: what was predicted, by whom and when, signed.

``1.{static}.{rest}``, both parts base64url without padding. ``static`` is the JSON list ``[model, version, revision]``.
``rest`` is, little-endian: time (u32, Unix seconds), form (1 byte), rows (u16), number (u64, of this answer), values,
signature. The values are those of the first ``MAX_ROWS`` rows. Their form is the letter that Python's ``struct`` has
for it: whole numbers of 1 byte or 8 (``b``, ``q``), floats of 4 or 8 (``f``, ``d``); or ``t``, a digest of 8 bytes of
each text. The signature is keyed BLAKE2b of 12 bytes over everything before it, with a key derived from the shared
secret and the service's name, so that ids of another service are refused.

An id reveals nothing that its answer does not, and cannot be made without the key.
"""

import hashlib
import hmac
import json
import struct
from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MAX_ROWS = 64
MAX_LENGTH = 2048
SIGNATURE_BYTES = 12
DIGEST_BYTES = 8
REMEMBERED_TEXTS = 1024
# Bytes of a value.
WIDTHS: Final = {b"b": 1, b"q": 8, b"f": 4, b"d": 8, b"t": DIGEST_BYTES}
_HEAD = struct.Struct("<IcH")
_NUMBER_BYTES: Final = 8
_ONE: Final = {b"b": struct.Struct("<b").pack, b"q": struct.Struct("<q").pack, b"d": struct.Struct("<d").pack}
# Of base64 text, at its end: a newline, and the padding of what is no multiple of three.
_SURPLUS: Final = (1, 3, 2)
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")
_TEXTS = "OUS"
_KINDS = {b"b": "i", b"q": "i", b"f": "f", b"d": "f", b"t": "t"}


class TokenError(Exception):
    """The id is not one of this service; the message, put after its name, says why and what to do.

    Args:
        reason: ``malformed`` or ``signature``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Prediction:
    """What an id says. ``number`` tells it from every other of its process; ``values`` are of the first rows.

    Args:
        time: Unix seconds.
        kind: ``i`` whole number or boolean, ``f`` float, ``t`` text (values are digests).
        rows: rows of the answer that the id holds.
        signature: what the id is remembered by.
    """

    model: str
    version: str
    revision: str
    time: int
    kind: str
    values: tuple[Any, ...]
    signature: bytes


def text_digest(text: str | bytes) -> bytes:
    """What stands for a text in an id."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def packed(values: NDArray[Any]) -> tuple[bytes, bytes]:
    """Form and bytes of numbers as an id holds them: the shortest form that has all of them as they are."""
    if values.dtype.kind == "f":
        double = values.dtype.itemsize > WIDTHS[b"f"]
        return b"d" if double else b"f", values.astype(np.float64 if double else np.float32, copy=False).tobytes()
    if values.min() >= -128 and values.max() <= 127:
        return b"b", values.astype(np.int8).tobytes()
    return b"q", values.astype(np.int64, copy=False).tobytes()


class _Head:
    """What ids begin with: the same for those of a second and so many rows."""

    __slots__ = ("data", "form", "rows", "seconds")

    def __init__(self, seconds: int, form: bytes, rows: int) -> None:
        self.seconds = seconds
        self.form = form
        self.rows = rows
        self.data = _HEAD.pack(seconds & 0xFFFFFFFF, form, rows)


class Signer:
    """Makes ids of one model version, and reads those of every pod with the same secret.

    Args:
        secrets: the first signs, each of them verifies (so that a secret can be replaced).
        service: namespace and name of the InferenceService.
        start: number of the first id, at most 2**63, random, so that two processes do not give the same.
    """

    def __init__(self, secrets: Sequence[bytes], service: str, names: tuple[str, str, str], start: int) -> None:
        self._keyed = [hashlib.blake2b(key=_key(one, service), digest_size=SIGNATURE_BYTES) for one in secrets]
        static = json.dumps(names, ensure_ascii=False, separators=(",", ":")).encode()
        self._prefix = b"1." + _encode(static) + b"."
        self._signing = self._keyed[0].copy()
        self._signing.update(self._prefix)
        # Answers may be signed in several threads; `next` of a count is one step.
        self._numbers = count(start)
        self._head = _Head(0, b"b", 0)
        self._texts: dict[str | bytes, bytes] = {}

    def sign(self, values: NDArray[Any], seconds: int) -> bytes:
        """The id of an answer.

        Args:
            values: the prediction, one value a row, at least one row.
            seconds: Unix time.
        """
        held = values[:MAX_ROWS]
        if held.dtype.kind in _TEXTS:
            return self.sign_packed(b"t", b"".join(map(self._digest, held.tolist())), seconds)
        return self.sign_packed(*packed(held), seconds)

    def sign_packed(self, form: bytes, data: bytes, seconds: int) -> bytes:
        """The id of an answer of several rows.

        Args:
            form, data: the values as an id holds them, of at most ``MAX_ROWS`` rows.
        """
        return self._signed_id(seconds, form, len(data) // WIDTHS[form], data)

    def sign_number(self, value: Any, seconds: int) -> bytes:
        """The id of an answer of one row with a number; whole ones are of 64 bits with a sign.

        Args:
            value: int or float. Not declared so: compiled, what is declared a float is made one.
        """
        form = b"d" if type(value) is float else b"b" if -128 <= value <= 127 else b"q"
        return self._signed_id(seconds, form, 1, _ONE[form](value))

    def _signed_id(self, seconds: int, form: bytes, rows: int, data: bytes) -> bytes:
        head = self._head
        if head.rows != rows or head.seconds != seconds or head.form != form:
            self._head = head = _Head(seconds, form, rows)
        body = head.data + next(self._numbers).to_bytes(_NUMBER_BYTES, "little") + data
        signing = self._signing.copy()
        signing.update(body)
        return self._prefix + _encode(body + signing.digest())

    def _digest(self, text: str | bytes) -> bytes:
        """Remembered, for classes are few."""
        known = self._texts.get(text)
        if known is None:
            known = text_digest(text)
            if len(self._texts) < REMEMBERED_TEXTS:
                self._texts[text] = known
        return known

    def read(self, token: str) -> Prediction:
        """The prediction of an id. Raises TokenError."""
        try:
            data = token.encode("ascii")
        except UnicodeEncodeError:
            data = b""
        version, _, parts = data.partition(b".")
        static, _, rest = parts.partition(b".")
        if version != b"1" or not static or not rest or len(data) > MAX_LENGTH:
            raise TokenError(
                "malformed", "is not a prediction id; send the value of the answer's header plimsoll-prediction-id"
            )
        body = _decode(rest)
        if len(body) < _HEAD.size + _NUMBER_BYTES + SIGNATURE_BYTES:
            raise TokenError(
                "malformed", "is cut short; send the whole value of the answer's header plimsoll-prediction-id"
            )
        body, signature = body[:-SIGNATURE_BYTES], body[-SIGNATURE_BYTES:]
        if not self._signed(data[: len(data) - len(rest)] + body, signature):
            raise TokenError(
                "signature",
                "is not signed by this service: it was changed, comes from another service, or from a pod that has "
                "ended and had no shared key (Secret plimsoll-feedback-key)",
            )
        return _prediction(_decode(static), body, signature)

    def _signed(self, message: bytes, signature: bytes) -> bool:
        fits = False
        for keyed in self._keyed:
            signing = keyed.copy()
            signing.update(message)
            fits |= hmac.compare_digest(signing.digest(), signature)
        return fits


def _key(secret: bytes, service: str) -> bytes:
    return hashlib.blake2b(service.encode(), key=hashlib.blake2b(secret).digest(), digest_size=32).digest()


def _prediction(static: bytes, body: bytes, signature: bytes) -> Prediction:
    model, version, revision = json.loads(static)
    seconds, form, rows = _HEAD.unpack_from(body)
    data = body[_HEAD.size + _NUMBER_BYTES :]
    if form == b"t":
        values: tuple[Any, ...] = tuple(data[at : at + DIGEST_BYTES] for at in range(0, len(data), DIGEST_BYTES))
    else:
        values = struct.unpack(f"<{rows}{form.decode()}", data)
    return Prediction(model, version, revision, seconds, _KINDS[form], values, signature)


def _encode(data: bytes) -> bytes:
    text = b2a_base64(data).translate(_TO_URL)
    return text[: len(text) - _SURPLUS[len(data) % 3]]


def _decode(text: bytes) -> bytes:
    """Empty for what is not base64url in its one canonical form: another spelling of an id would be another id."""
    try:
        data = a2b_base64(text.translate(_FROM_URL) + b"=" * (-len(text) % 4))
    except Error:
        return b""
    return data if _encode(data) == text else b""
