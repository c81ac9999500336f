"""`gpw doctor` about the webhook's own domain name, and the certificate of a real TLS server."""

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gpw.operations.checks import Check
from gpw.operations.doctor import domain as check
from gpw.stack import domain

NAME, LEADS_TO = "webhooks.example.com", "d-1a2b3c.execute-api.us-east-1.amazonaws.com"
NOW = dt.datetime.now(dt.UTC)


class FakeTarget:
    """A stack on AWS with a name of its own."""

    def __init__(self) -> None:
        self.local = None
        self.outputs = {"DomainTarget": LEADS_TO}
        self.parameters = {"DomainName": NAME}


def not_valid() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_message = "Hostname mismatch"
    return error


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Check]]:
    """Runs the check. resolved: addresses by name, or an error. expires_at: when, or an error."""

    def run(resolved: dict[str, set[str]] | OSError, expires_at: Any = None) -> list[Check]:
        def addresses(name: str) -> set[str]:
            if isinstance(resolved, OSError):
                raise resolved
            return resolved[name]

        def certificate_expires_at(name: str) -> dt.datetime:
            assert name == NAME
            if isinstance(expires_at, Exception):
                raise expires_at
            assert isinstance(expires_at, dt.datetime)
            return expires_at

        monkeypatch.setattr(domain, "addresses", addresses)
        monkeypatch.setattr(domain, "certificate_expires_at", certificate_expires_at)
        target: Any = FakeTarget()
        return list(check.look(target))

    return run


def test_a_name_that_leads_here_with_a_valid_certificate_passes(
    checks: Callable[..., list[Check]],
) -> None:
    found = checks(
        {NAME: {"198.51.100.1", "198.51.100.2"}, LEADS_TO: {"198.51.100.2"}},
        NOW + dt.timedelta(days=200),
    )

    assert [(check.what, check.well) for check in found] == [
        ("domain", True),
        ("certificate", True),
    ]


def test_a_name_that_does_not_resolve_is_reported_with_the_missing_record(
    checks: Callable[..., list[Check]],
) -> None:
    [check] = checks({NAME: set(), LEADS_TO: {"198.51.100.2"}})

    assert check.well is False
    assert LEADS_TO in check.fix


def test_a_name_that_leads_elsewhere_may_be_a_proxy(checks: Callable[..., list[Check]]) -> None:
    first, second = checks(
        {NAME: {"203.0.113.1"}, LEADS_TO: {"198.51.100.2"}}, NOW + dt.timedelta(days=200)
    )

    assert (first.well, second.well) == (None, True)


@pytest.mark.parametrize(
    ("expires_at", "told"),
    [
        (NOW + dt.timedelta(days=20), "ACM could not renew it"),
        (not_valid(), "CertificateArn"),
        (ConnectionRefusedError(), LEADS_TO),
    ],
)
def test_a_certificate_that_expires_soon_or_is_invalid_is_reported(
    checks: Callable[..., list[Check]], expires_at: Any, told: str
) -> None:
    check = checks({NAME: {"198.51.100.2"}, LEADS_TO: {"198.51.100.2"}}, expires_at)[-1]

    assert (check.what, check.well) == ("certificate", False)
    assert told in check.fix


def test_without_a_name_server_the_result_is_unknown(checks: Callable[..., list[Check]]) -> None:
    [check] = checks(socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"))

    assert check.well is None


def test_without_a_domain_name_nothing_is_checked() -> None:
    target: Any = FakeTarget()
    target.outputs = {}

    assert list(check.look(target)) == []


# ---------------------------------------------------------------- a real server


@pytest.fixture
def server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, socket_enabled: None
) -> Iterator[dt.datetime]:
    """A TLS server for `localhost` that this process trusts. Yields: when its certificate ends."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    ends = (NOW + dt.timedelta(days=90)).replace(microsecond=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - dt.timedelta(days=1))
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain = tmp_path / "server.pem"
    chain.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    listening = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(domain, "PORT", listening.getsockname()[1])
    monkeypatch.setenv("SSL_CERT_FILE", str(chain))

    def serve() -> None:
        accepted, _ = listening.accept()
        with accepted:
            try:
                context.wrap_socket(accepted, server_side=True).close()
            except OSError:
                return  # a client that refuses the certificate

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield ends
    thread.join(10)
    listening.close()


def test_the_expiry_of_a_servers_certificate_is_read(server: dt.datetime) -> None:
    assert domain.certificate_expires_at("localhost") == server


def test_a_certificate_for_another_name_is_invalid(server: dt.datetime) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        domain.certificate_expires_at("127.0.0.1")
