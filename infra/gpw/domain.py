"""The webhook's own domain name: where it leads, and until when its certificate is valid."""

import socket
import ssl
from datetime import UTC, datetime
from typing import Any

PORT = 443
SECONDS = 10.0  # for each of name server, connection and handshake


def addresses(name: str) -> set[str]:
    """What a name resolves to; empty when it does not exist. Raises: OSError for other failures."""
    try:
        found = socket.getaddrinfo(name, PORT, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}:
            return set()
        raise
    return {str(address[0]) for *_, address in found}


def certificate_expires_at(name: str) -> datetime:
    """When the certificate that a server shows for a name ends.

    Raises: ssl.SSLCertVerificationError for one that is not valid for the name; OSError.
    """
    context = ssl.create_default_context()
    with (
        socket.create_connection((name, PORT), timeout=SECONDS) as connected,
        context.wrap_socket(connected, server_hostname=name) as secured,
    ):
        certificate: Any = secured.getpeercert()
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
