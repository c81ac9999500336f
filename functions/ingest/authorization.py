"""The Authorization header: `Bearer <secret>`, nothing else."""

import hmac
import re
from collections.abc import Sequence

from getprofile.credential import VISIBLE_ASCII, digest

_BEARER = re.compile(rf"[ \t]*bearer +({VISIBLE_ASCII})[ \t]*", re.IGNORECASE | re.ASCII)


def bearer_token(header: str | None) -> str | None:
    """The one token of a bearer header, or None when the header is absent or anything else."""
    match = _BEARER.fullmatch(header or "")
    return match[1] if match else None


def matches(token: str, accepted: Sequence[bytes]) -> list[bool]:
    """Which of the accepted digests is this token's, in constant time for their number.

    Every digest is compared, and each comparison looks at every byte (`hmac.compare_digest`).
    """
    presented = digest(token)
    return [hmac.compare_digest(presented, one) for one in accepted]
