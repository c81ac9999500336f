"""The Authorization header: `Bearer <secret>`, nothing else."""

import hmac
import re
from collections.abc import Sequence

from receiver.domain.credential import VISIBLE_ASCII, digest

# Of gpw's own probes, which carry no secret. Anybody may send it, so it marks only requests without
# an Authorization header, which get the same 401.
PROBE_AGENT = "gpw-probe"

_BEARER = re.compile(rf"[ \t]*bearer +({VISIBLE_ASCII})[ \t]*", re.IGNORECASE | re.ASCII)


def bearer_token(header: str | None) -> str | None:
    """The token of a bearer header; None when the header is absent or malformed."""
    match = _BEARER.fullmatch(header or "")
    return match[1] if match else None


def matches(token: str, accepted: Sequence[bytes]) -> list[bool]:
    """Whether the token has each of the accepted digests.

    The time depends only on the number of digests: every digest is compared, and each comparison
    reads every byte (`hmac.compare_digest`).
    """
    presented = digest(token)
    return [hmac.compare_digest(presented, one) for one in accepted]
