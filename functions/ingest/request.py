"""An API Gateway event (payload format 2.0) as a plain request."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """The parts of an HTTP request that ingest looks at.

    headers: names in lower case. body: the bytes as sent; a text that can't be UTF-8 keeps its
    surrogates, so that parsing refuses it and nothing is lost.
    """

    headers: dict[str, str]
    body: bytes
    source_ip: str = ""
    domain_name: str = ""


def from_api_gateway(event: dict[str, Any]) -> Request:
    """Never raises, whatever the sender put into the request.

    Header names come in lower case from API Gateway and in title case from `sam local`. Values of a
    repeated header are joined with commas, as API Gateway does.
    """
    headers: dict[str, str] = {}
    for name, value in (event.get("headers") or {}).items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]},{value}" if lower in headers else str(value)
    context = event.get("requestContext") or {}
    source_ip = (context.get("http") or {}).get("sourceIp", "")
    return Request(headers, _body(event), source_ip, str(context.get("domainName", "")))


def _body(event: dict[str, Any]) -> bytes:
    text = event.get("body") or ""
    if event.get("isBase64Encoded"):
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            pass  # not what was said; keep the text as it is
    return text.encode("utf-8", errors="surrogatepass")
