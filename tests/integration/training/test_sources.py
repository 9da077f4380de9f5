"""Where data come from: digests, compression, TLS, and the mistakes a user can make."""

import datetime
import gzip
import hashlib
import http.server
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from plimsoll_training.errors import ObjectMissingError, StoreError
from plimsoll_training.store import Store

from tests.integration.training.conftest import Job
from tests.integration.training.runs import digits_run, sign_table, table_run

PAGES = {"/table.csv": sign_table()}


class Pages(http.server.BaseHTTPRequestHandler):
    """Serves `PAGES`; `/elsewhere.csv` redirects to plain HTTP; `/flaky.csv` fails the first time."""

    def do_GET(self) -> None:
        asked: list[str] = self.server.asked  # type: ignore[attr-defined]
        asked.append(self.path)
        if self.path == "/elsewhere.csv":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1/table.csv")
            self.end_headers()
        elif self.path == "/flaky.csv" and asked.count(self.path) == 1:
            self.send_error(503)
        elif (page := PAGES.get(self.path.replace("flaky", "table"))) is None:
            self.send_error(403 if "private" in self.path else 404)
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(page)

    def log_message(self, *arguments: Any) -> None:
        """Not to stderr."""


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "server.pem").write_bytes(signed.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, pkcs8, plain))
    return folder / "server.pem", folder / "key.pem"


@contextmanager
def serving(server: http.server.HTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def https(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    trusted, key = certificate(tmp_path_factory.mktemp("tls"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.asked = []  # type: ignore[attr-defined]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(server) as port:
        yield f"https://127.0.0.1:{port}"


def message_of(job: Job, run: dict[str, Any], code: int = 2) -> str:
    outcome = job.asks(run).call("fetch")
    assert outcome.code == code, outcome.message
    return str(outcome.message["error"]["message"])


def test_a_compressed_file_is_identified_by_its_own_bytes(job: Job) -> None:
    packed = gzip.compress(sign_table(), mtime=0)
    run = table_run(job.put("data/table.csv.gz", packed))
    run["data"]["training"]["sha256"] = hashlib.sha256(packed).hexdigest()
    assert job.asks(run).call("fetch").code == 0


def test_data_with_another_digest_than_pinned_are_refused(job: Job) -> None:
    uri = job.put("data/table.csv", sign_table())
    run = table_run(uri)
    run["data"]["training"]["sha256"] = "0" * 64
    found = hashlib.sha256(sign_table()).hexdigest()
    assert message_of(job, run) == (
        f"data.training.sha256: {uri} has digest {found}, expected {'0' * 64}; "
        "pin the new digest if the change was meant"
    )
    assert list((job.folder / "inputs").iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sklearn://mnist", "data.training.uri: sklearn://mnist is unknown; choose sklearn:// with digits, iris, wine"),
        ("http://127.0.0.1/t.csv", "must begin with s3://, https:// or sklearn://"),
        ("file:///etc/passwd", "must begin with s3://, https:// or sklearn://"),
        ("s3://bucket/model.pkl", "must end in .csv or .csv.gz"),
        ("s3://{bucket}/nowhere.csv", "nowhere.csv does not exist"),
        ("s3:///x.csv", "is not of the form s3://bucket/key"),
    ],
)
def test_a_uri_that_leads_nowhere_is_named(job: Job, uri: str, message: str) -> None:
    assert message in message_of(job, table_run(uri.format(bucket=job.bucket)))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"", "data.training: the file is empty; a header row is needed"),
        (b"x,target\n", "data.training: the file has a header but no rows"),
        (b"x,x,target\n1,2,3\n", "data.training: the header names 'x' twice"),
        (b"x,target\n1,2\n1\n", "data.training: row 2 has 1 cells, the header has 2"),
        (b"x,y\n1,2\n", "target: the data have no column 'target'; they have x, y"),
        (b"target\n1\n0\n", "target: 'target' is the only column; a feature is needed"),
        (b"\xff\xfe\n", "data.training: the file is not UTF-8 text"),
        (b"x,target\n1,0\n", "data.split: no training rows are left of 1; change fraction, column or seed"),
    ],
)
def test_a_table_that_cannot_be_trained_on_is_refused_with_the_remedy(job: Job, table: bytes, message: str) -> None:
    assert message_of(job, table_run(job.put("data/table.csv", table))) == message


def test_data_come_over_tls(job: Job, https: str) -> None:
    assert job.asks(table_run(f"{https}/table.csv")).call("fetch").code == 0


def test_a_failing_web_server_is_asked_again(job: Job, https: str) -> None:
    assert job.asks(table_run(f"{https}/flaky.csv")).call("fetch").code == 0


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("elsewhere.csv", "redirects to http://127.0.0.1/table.csv, which is not https"),
        ("absent.csv", "absent.csv does not exist (HTTP 404)"),
        ("private.csv", "answered HTTP 403: it must be readable without credentials"),
    ],
)
def test_a_page_that_cannot_be_had_is_the_users_to_mend(job: Job, https: str, page: str, message: str) -> None:
    assert message in message_of(job, table_run(f"{https}/{page}"))


def test_a_certificate_nobody_vouches_for_is_an_error_to_repeat(
    job: Job, https: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(job.folder / "none.pem"))
    monkeypatch.setattr("plimsoll_training.transfer.ATTEMPTS", 1)
    assert "CERTIFICATE_VERIFY_FAILED" in message_of(job, table_run(f"{https}/table.csv"), code=1)


class Refusing(http.server.BaseHTTPRequestHandler):
    """An S3 server out of its mind: repeats the credentials in its refusal."""

    def do_GET(self) -> None:
        self.send_response(403)
        self.end_headers()
        self.wfile.write(b"<Error><Message>hunter2-secret AKIDHUNTER2 were wrong</Message></Error>")

    def log_message(self, *arguments: Any) -> None:
        """Not to stderr."""


def test_an_error_of_the_store_never_repeats_credentials() -> None:
    with serving(http.server.HTTPServer(("127.0.0.1", 0), Refusing)) as port:
        environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "AKIDHUNTER2",
            "AWS_SECRET_ACCESS_KEY": "hunter2-secret",
        }
        with pytest.raises(StoreError) as caught:
            Store("bucket", environment).get("key")
    assert "hunter2-secret" not in str(caught.value)
    assert "AKIDHUNTER2" not in str(caught.value)
    assert "s3://bucket/key" in str(caught.value)


class Recovering(http.server.BaseHTTPRequestHandler):
    """Fails twice, then answers."""

    failures = 2

    def do_GET(self) -> None:
        if Recovering.failures:
            Recovering.failures -= 1
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.send_header("Last-Modified", "Sun, 01 Nov 2026 00:00:00 GMT")
        self.send_header("ETag", '"1"')
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *arguments: Any) -> None:
        """Not to stderr."""


def test_a_store_that_is_briefly_away_is_asked_again() -> None:
    with serving(http.server.HTTPServer(("127.0.0.1", 0), Recovering)) as port:
        environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
        }
        assert Store("bucket", environment).get("key") == b"hello"
    assert Recovering.failures == 0


def test_without_a_bucket_the_secret_is_asked_for(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Job, "environment", {**job.environment, "PLIMSOLL_BUCKET": ""})
    job.asks(digits_run())
    job.model.write_bytes(b"model")
    outcome = job.call("upload")
    assert outcome.code == 2
    assert outcome.message["error"]["message"].startswith("PLIMSOLL_BUCKET is not set")


def test_an_object_that_is_absent_is_told_apart_from_a_fault(job: Job) -> None:
    with pytest.raises(ObjectMissingError):
        Store(job.bucket, job.environment).get("nothing")
