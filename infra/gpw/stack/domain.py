"""The webhook's own domain name: its addresses, and the expiry of its certificate."""

import socket
import ssl
from datetime import UTC, datetime
from typing import Any

PORT = 443
SECONDS = 10.0  # timeout of the connection, and of the handshake


def addresses(name: str) -> set[str]:
    """The addresses of a name; empty if it does not exist. Raises: OSError for other failures."""
    try:
        found = socket.getaddrinfo(name, PORT, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}:
            return set()
        raise
    return {str(address[0]) for *_, address in found}


def certificate_expires_at(name: str) -> datetime:
    """When the certificate that a server presents for a name expires.

    Raises: ssl.SSLCertVerificationError, if it is not valid for the name; OSError.
    """
    context = ssl.create_default_context()
    with (
        socket.create_connection((name, PORT), timeout=SECONDS) as connected,
        context.wrap_socket(connected, server_hostname=name) as secured,
    ):
        certificate: Any = secured.getpeercert()
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
