"""The rule for a usable secret; everything that reads, sets or sends a secret uses it.

It applies to both the webhook secret and the API key. They may be the same value, and both are sent
as a bearer token.
"""

import hashlib
import json
import re

# Visible ASCII without the comma. API Gateway joins repeated headers with commas; a request with
# several tokens must be refused even if one of them is right.
VISIBLE_ASCII = r"[\x21-\x2b\x2d-\x7e]+"
MIN_LENGTH = 16
MAX_LENGTH = 8_192  # API Gateway accepts 10,240 bytes of request line and headers

_USABLE = re.compile(VISIBLE_ASCII, re.ASCII)


class UnusableCredentialError(Exception):
    """A value that no request can carry, or that is too easy to guess.

    The text completes "The secret …" and says what to do. It never quotes the value.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}: {remedy}")
        self.problem = problem
        self.remedy = remedy


def usable(value: str | None) -> str:
    """The value itself, once checked. Raises: UnusableCredentialError."""
    stripped = (value or "").strip()
    if not value or not stripped:
        raise UnusableCredentialError("is empty", "paste the value that GetProfile displays")
    if _is_json_document(stripped):
        raise UnusableCredentialError(
            "is a JSON document",
            "paste only the value, as plaintext: no key/value pair, braces or quotes",
        )
    if value != stripped:
        raise UnusableCredentialError(
            "begins or ends with white space, such as a stray newline",
            "set it again without it (`echo` adds a newline, `printf %s` does not)",
        )
    if not _USABLE.fullmatch(value):
        raise UnusableCredentialError(
            "contains a space, a comma or a character outside visible ASCII",
            "copy only the value from GetProfile, without `Bearer`",
        )
    if len(value) < MIN_LENGTH:
        raise UnusableCredentialError(
            f"is shorter than {MIN_LENGTH} characters", "copy the whole value from GetProfile"
        )
    if len(value) > MAX_LENGTH:
        raise UnusableCredentialError(
            f"is longer than {MAX_LENGTH} characters", "copy only the value from GetProfile"
        )
    return value


def is_usable(value: str) -> bool:
    """Whether a value is usable as a secret."""
    try:
        usable(value)
    except UnusableCredentialError:
        return False
    return True


def digest(secret: str) -> bytes:
    """SHA-256 of a secret, which is kept and compared instead of the secret.

    All digests have the same length, so a comparison reveals nothing about the secret's length. API
    keys are random, so a salt or a slow hash would add no protection.
    """
    return hashlib.sha256(secret.encode("utf-8")).digest()


def _is_json_document(value: str) -> bool:
    """Whether a value is a JSON object, array or string.

    The console's key/value form stores an object. The AWS CLI prints a quoted string unless it is
    called with `--output text`. A number is accepted, because random digits are a valid secret. Of
    random secrets that may contain quotes, at most 1 in 94 × 94 is a JSON string by chance.
    """
    if not value.startswith(("{", "[", '"')):
        return False
    try:
        json.loads(value, parse_int=str)  # Python refuses to convert more than 4,300 digits
    except RecursionError:
        return True  # no random secret opens that many brackets
    except ValueError:
        return False
    return True
