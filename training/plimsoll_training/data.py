"""Datasets: CSV tables behind a URI, identified by the digest of the bytes that were read.

Cells stay text until a column's type is settled, so that training rows are handed on exactly as they were given.
"""

import csv
import gzip
import hashlib
import io
import zlib
from dataclasses import dataclass

import pandas as pd
from sklearn import datasets as bundled

from plimsoll_training.errors import ObjectMissingError, UserError
from plimsoll_training.run import DataReference
from plimsoll_training.transfer import chunks_of

BUNDLED = {
    "digits": bundled.load_digits,
    "iris": bundled.load_iris,
    "wine": bundled.load_wine,
    "breast_cancer": bundled.load_breast_cancer,
    "diabetes": bundled.load_diabetes,
}


@dataclass(frozen=True)
class Dataset:
    """`frame`: text cells, one column a header field. `sha256`: of the bytes read (compressed, if they were)."""

    uri: str
    sha256: str
    frame: pd.DataFrame


def read_dataset(reference: DataReference, field: str) -> Dataset:
    """The dataset behind `reference`. `field` is how errors call it. UserError, StoreError."""
    content = _content(reference.uri, field)
    digest = hashlib.sha256(content).hexdigest()
    if reference.sha256 and digest != reference.sha256:
        raise UserError(
            f"{field}.sha256: {reference.uri} has digest {digest}, expected {reference.sha256}; "
            "pin the new digest if the change was meant"
        )
    return Dataset(reference.uri, digest, parse_csv(_unpacked(reference.uri, content, field), field))


def parse_csv(content: bytes, field: str) -> pd.DataFrame:
    """A table of text cells. UserError for what is not a CSV file with a header and rows."""
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except UnicodeDecodeError:
        raise UserError(f"{field}: the file is not UTF-8 text") from None
    except csv.Error as error:
        raise UserError(f"{field}: the file is not CSV: {error}") from None
    if not lines:
        raise UserError(f"{field}: the file is empty; a header row is needed")
    header, rows = lines[0], [line for line in lines[1:] if line]
    if not rows:
        raise UserError(f"{field}: the file has a header but no rows")
    _check_header(header, field)
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise UserError(f"{field}: row {number} has {len(row)} cells, the header has {len(header)}")
    return pd.DataFrame(rows, columns=pd.Index(header, dtype=object), dtype=object)


def to_csv(frame: pd.DataFrame) -> bytes:
    """The table as CSV, the same bytes for the same cells."""
    text = io.StringIO(newline="")
    # The writer quotes a line feed but not a carriage return, at which readers break the line as well.
    returns = any("\r" in cell for cell in frame.to_numpy().ravel()) or any("\r" in name for name in frame.columns)
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL)
    writer.writerow(frame.columns)
    writer.writerows(frame.itertuples(index=False, name=None))
    return text.getvalue().encode("utf-8")


def bundled_csv(name: str) -> bytes:
    """One of scikit-learn's own sets as canonical CSV: shortest exact decimals, target last."""
    bunch = BUNDLED[name]()
    names = [*map(str, bunch.feature_names), "target"]
    rows = [
        [*map(repr, map(float, row)), repr(target)]
        for row, target in zip(bunch.data, bunch.target.tolist(), strict=True)
    ]
    return to_csv(pd.DataFrame(rows, columns=names, dtype=object))


def _check_header(header: list[str], field: str) -> None:
    for name in header:
        if not name.strip():
            raise UserError(f"{field}: a column of the header has no name")
        if header.count(name) > 1:
            raise UserError(f"{field}: the header names {name!r} twice")


def _content(uri: str, field: str) -> bytes:
    if uri.startswith("sklearn://"):
        name = uri.removeprefix("sklearn://")
        if name not in BUNDLED:
            raise UserError(f"{field}.uri: {uri} is unknown; choose sklearn:// with {', '.join(BUNDLED)}")
        return bundled_csv(name)
    if not uri.startswith(("s3://", "https://")):
        raise UserError(f"{field}.uri: {uri} must begin with s3://, https:// or sklearn://")
    if not _path(uri).endswith((".csv", ".csv.gz")):
        raise UserError(f"{field}.uri: {uri} must end in .csv or .csv.gz")
    try:
        return b"".join(chunks_of(uri))
    except ObjectMissingError as error:
        raise UserError(f"{field}.uri: {error}; put the file there, or correct the URI") from None


def _unpacked(uri: str, content: bytes, field: str) -> bytes:
    if not _path(uri).endswith(".gz"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{field}: the file is not gzip: {error}") from None


def _path(uri: str) -> str:
    return uri.partition("?")[0]
