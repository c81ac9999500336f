"""An API Gateway event (payload format 2.0) as a plain request."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """The parts of an HTTP request that ingest reads.

    headers: names in lower case. body: the bytes as sent. Text that UTF-8 can't encode keeps its
    surrogates: nothing is lost, and parsing then refuses it.
    """

    headers: dict[str, str]
    body: bytes
    source_ip: str = ""
    domain_name: str = ""
    path: str = ""


def from_api_gateway(event: dict[str, Any]) -> Request:
    """The request in an API Gateway event. Never raises, whatever the sender sent.

    API Gateway sends header names in lower case, `sam local` in title case. Values of a repeated
    header are joined with commas, as API Gateway does.
    """
    headers: dict[str, str] = {}
    for name, value in (event.get("headers") or {}).items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]},{value}" if lower in headers else str(value)
    context = event.get("requestContext") or {}
    source_ip = (context.get("http") or {}).get("sourceIp", "")
    domain_name, path = str(context.get("domainName", "")), str(event.get("rawPath", ""))
    return Request(headers, _body(event), source_ip, domain_name, path)


def _body(event: dict[str, Any]) -> bytes:
    text = event.get("body") or ""
    if event.get("isBase64Encoded"):
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            pass  # not base64 after all: keep the text as it is
    return text.encode("utf-8", errors="surrogatepass")
