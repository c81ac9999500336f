"""What a usable secret is: the one rule for everything that reads, sets or sends one.

It serves the webhook secret and the API key alike. They may be the same value, and both travel as
a bearer token.
"""

import hashlib
import json
import re

# Visible ASCII without the comma: API Gateway joins repeated headers with commas, and a request
# with two credentials must not pass with either.
VISIBLE_ASCII = r"[\x21-\x2b\x2d-\x7e]+"
MIN_LENGTH = 16
MAX_LENGTH = 8_192  # API Gateway takes 10,240 bytes of request line and headers

_USABLE = re.compile(VISIBLE_ASCII, re.ASCII)


class UnusableCredentialError(Exception):
    """A value that no request can present, or that is too easy to guess.

    Its text completes "The secret …" and says what to do; no part of it comes from the value.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}: {remedy}")
        self.problem = problem
        self.remedy = remedy


def usable(value: str | None) -> str:
    """The value itself. Raises: UnusableCredentialError."""
    stripped = (value or "").strip()
    if not value or not stripped:
        raise UnusableCredentialError("is empty", "paste the value that GetProfile shows")
    if _is_json_document(stripped):
        raise UnusableCredentialError(
            "is a JSON document",
            "paste the value alone, as plaintext: no key/value pair, braces or quotes",
        )
    if value != stripped:
        raise UnusableCredentialError(
            "begins or ends with white space, such as a stray newline",
            "set it again without (`echo` adds a newline, `printf %s` does not)",
        )
    if not _USABLE.fullmatch(value):
        raise UnusableCredentialError(
            "contains a space, a comma or a character outside visible ASCII",
            "copy the value alone from GetProfile, without `Bearer`",
        )
    if len(value) < MIN_LENGTH:
        raise UnusableCredentialError(
            f"is shorter than {MIN_LENGTH} characters", "copy the whole value from GetProfile"
        )
    if len(value) > MAX_LENGTH:
        raise UnusableCredentialError(
            f"is longer than {MAX_LENGTH} characters", "copy the value alone from GetProfile"
        )
    return value


def is_usable(value: str) -> bool:
    """Whether a value could be a secret at all."""
    try:
        usable(value)
    except UnusableCredentialError:
        return False
    return True


def digest(secret: str) -> bytes:
    """SHA-256 of a secret: what is kept and compared instead of the secret.

    Digests have one length, so a comparison tells nothing about the secret's. API keys are random,
    so there is nothing for a salt or a slow hash to protect.
    """
    return hashlib.sha256(secret.encode("utf-8")).digest()


def _is_json_document(value: str) -> bool:
    """Whether a value is an object, an array or a string in JSON.

    The console's key/value form stores an object, and the AWS CLI prints a string unless it is told
    `--output text`. Numbers are left alone, because random digits are a fine secret. Of random
    secrets that may contain quotes, at most 1 in 94 × 94 is a JSON string by chance.
    """
    if not value.startswith(("{", "[", '"')):
        return False
    try:
        json.loads(value, parse_int=str)  # Python refuses to convert more than 4,300 digits
    except RecursionError:
        return True  # nobody's random secret opens that many brackets
    except ValueError:
        return False
    return True
