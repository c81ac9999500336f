"""The hydrator's HTTP client, over real sockets of this machine."""

import datetime
import gzip
import ipaddress
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.local import fake_profile_api as faults
from infra.local.fake_profile_api import FakeProfileApi
from receiver.hydrator.errors import ApiUnavailableError
from receiver.hydrator.transport import Transport
from tests.functional.conftest import API_KEY

HEADERS = {"Authorization": f"Bearer {API_KEY}"}
ADA = {"name": "Ada", "last_updated": "2023-10-01T11:00:00Z"}
MAX_BYTES = 100_000
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class Answer(NamedTuple):
    status: int
    headers: HTTPMessage
    body: bytes | None


def make_transport(url: str, *, seconds: float = 10) -> Transport:
    return Transport(url, max_bytes=MAX_BYTES, seconds=seconds)


def get(transport: Transport, profile_id: str = "12345") -> Answer:
    return Answer(*transport.get(f"/v1/profile/{profile_id}", HEADERS))


def failure(transport: Transport) -> str:
    """The name of the error in the failure's text."""
    with pytest.raises(
        ApiUnavailableError, match=r"^The API could not be reached \(\w+\)$"
    ) as caught:
        get(transport)
    return str(caught.value).split("(")[1].rstrip(")")


@pytest.fixture
def api(profile_api: FakeProfileApi) -> FakeProfileApi:
    profile_api.profiles["12345"] = ADA
    return profile_api


def test_an_answer_comes_with_status_headers_and_body(api: FakeProfileApi) -> None:
    api.fail(faults.status(429, retry_after="7"), times=1)
    transport = make_transport(api.url)

    refused, answered = get(transport), get(transport)

    assert (refused.status, refused.headers.get("retry-after")) == (429, "7")
    assert answered.status == 200
    assert answered.body is not None
    assert b'"name": "Ada"' in answered.body
    assert api.requests == [faults.RecordedRequest("/v1/profile/12345", authorized=True)] * 2


@pytest.mark.parametrize("prefix", ["/", "/gateway", "/gateway/"])
def test_the_apis_url_may_have_a_path(api: FakeProfileApi, prefix: str) -> None:
    get(make_transport(api.url + prefix))

    assert api.requests[0].path == f"{prefix.rstrip('/')}/v1/profile/12345"


@pytest.mark.parametrize("profile_id", ["a%2Fb", "%252e%252e", "..%2F..%2Fother", "a/../b"])
def test_a_path_is_sent_as_it_is(api: FakeProfileApi, profile_id: str) -> None:
    get(make_transport(api.url), profile_id)

    assert [request.path for request in api.requests] == [f"/v1/profile/{profile_id}"]


def test_a_redirect_is_an_answer_and_the_key_goes_nowhere_else(api: FakeProfileApi) -> None:
    with FakeProfileApi(key=API_KEY) as other:
        api.fail(faults.redirect(f"{other.url}/v1/profile/12345"))

        assert get(make_transport(api.url)).status == 302
        assert other.requests == []


def test_a_proxy_of_the_environment_is_not_used(
    api: FakeProfileApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert get(make_transport(api.url)).status == 200


# ---------------------------------------------------------------- size and time


@pytest.mark.parametrize(
    "fault",
    [faults.huge_log(MAX_BYTES), faults.huge_log(50 * MAX_BYTES), faults.unbounded(0)],
    ids=["a-bit-too-large", "far-too-large", "without-end"],
)
def test_of_a_body_that_is_too_large_nothing_is_kept(
    api: FakeProfileApi, fault: faults.Fault
) -> None:
    api.fail(fault)
    answer = get(make_transport(api.url))

    assert (answer.status, answer.body) == (200, None)


def test_the_largest_body_is_kept_whole(api: FakeProfileApi) -> None:
    api.fail(faults.raw(b"x" * MAX_BYTES))

    assert get(make_transport(api.url)).body == b"x" * MAX_BYTES


def test_a_small_answer_cannot_unpack_into_a_large_one(api: FakeProfileApi) -> None:
    packed = gzip.compress(b"x" * 10 * MAX_BYTES)
    api.fail(faults.raw(packed, Content_Encoding="gzip"))

    assert get(make_transport(api.url)).body == packed


@pytest.mark.parametrize(
    "fault",
    [
        faults.slow(30),
        faults.trickle(0.02),
        faults.trickle_head(0.02),
        faults.unbounded(0.02),
        faults.never_final(0.02),
        faults.chunks(0.02),
    ],
    ids=["slow", "trickle", "trickle-head", "unbounded", "100-continue", "chunks"],
)
def test_the_whole_of_a_request_is_bounded_however_it_drags_on(
    api: FakeProfileApi, fault: faults.Fault
) -> None:
    """The answer would go on for as long as the test, so an end is the client's own doing."""
    api.fail(fault)
    began = time.monotonic()

    assert failure(make_transport(api.url, seconds=0.4)) == "TimeoutError"
    assert time.monotonic() - began >= 0.4


def test_a_slow_answer_within_the_time_is_taken(api: FakeProfileApi) -> None:
    api.fail(faults.slow(0.3))

    assert get(make_transport(api.url)).status == 200


def test_the_time_that_connecting_takes_counts_too(
    api: FakeProfileApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = HTTPConnection.connect

    def late(connection: HTTPConnection) -> None:
        connect(connection)
        time.sleep(0.2)

    monkeypatch.setattr(HTTPConnection, "connect", late)

    assert failure(make_transport(api.url, seconds=0.1)) == "TimeoutError"
    assert api.requests == []


@pytest.mark.parametrize("fault", [faults.trickle(0.02), faults.status(200)])
def test_no_connection_is_left_behind(api: FakeProfileApi, fault: faults.Fault) -> None:
    api.fail(fault)
    with suppress(ApiUnavailableError):
        get(make_transport(api.url, seconds=0.2))

    ends_at = time.monotonic() + 30
    while api.connections:
        assert time.monotonic() < ends_at
        time.sleep(0.01)


# ---------------------------------------------------------------- failure


def test_an_api_that_is_down_is_a_failure_until_it_is_up_again(api: FakeProfileApi) -> None:
    transport = make_transport(api.url)
    get(transport)
    api.down()

    assert failure(transport) == "ConnectionRefusedError"

    api.up()
    assert get(transport).status == 200


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.cut_short(), "IncompleteRead"),
        (faults.sent(CHUNKED + b"5\r\nab"), "IncompleteRead"),
        (faults.sent(b""), "RemoteDisconnected"),
        (faults.sent(b"220 smtp.example ESMTP\r\n"), "BadStatusLine"),
        (faults.sent(OK + b"x: y\r\n" * 1_000), "HTTPException"),
        (faults.sent(OK + b"x: " + b"y" * 100_000), "LineTooLong"),
    ],
    ids=["length", "chunk", "nothing", "no-http", "headers", "header"],
)
def test_an_answer_that_is_not_whole_is_a_failure(
    api: FakeProfileApi, fault: faults.Fault, error: str
) -> None:
    api.fail(fault, times=1)
    transport = make_transport(api.url)

    assert failure(transport) == error
    assert get(transport).status == 200


def test_a_failure_quotes_nothing_that_was_sent(api: FakeProfileApi) -> None:
    transport = make_transport(api.url)
    with pytest.raises(ApiUnavailableError) as caught:
        transport.get("/", {"Authorization": f"Bearer {API_KEY}\n"})

    assert str(caught.value) == "The API could not be reached (ValueError)"
    assert caught.value.__suppress_context__
    assert api.requests == []


# ---------------------------------------------------------------- TLS


def make_certificate(path: Path, address: str) -> Path:
    """A certificate that no one but this test has heard of, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@contextmanager
def secure_api(certificate: Path) -> Iterator[FakeProfileApi]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with FakeProfileApi(key=API_KEY, tls=tls) as api:
        api.profiles["12345"] = ADA
        yield api


def test_over_tls_too_an_answer_is_taken_and_bounded_in_time(
    api: FakeProfileApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path / "certificate.pem", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with secure_api(certificate) as secure:
        secure.fail(faults.trickle(0.02))
        assert failure(make_transport(secure.url, seconds=0.5)) == "TimeoutError"

        secure.heal()
        assert get(make_transport(secure.url)).status == 200


def test_a_certificate_that_nobody_vouches_for_gets_no_key(
    api: FakeProfileApi, tmp_path: Path
) -> None:
    with secure_api(make_certificate(tmp_path / "certificate.pem", "127.0.0.1")) as secure:
        assert failure(make_transport(secure.url)) == "SSLCertVerificationError"
        assert secure.requests == []


def test_a_certificate_of_another_host_gets_no_key(
    api: FakeProfileApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path / "certificate.pem", "127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with secure_api(certificate) as secure:
        assert failure(make_transport(secure.url)) == "SSLCertVerificationError"
        assert secure.requests == []
