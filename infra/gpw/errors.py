"""Errors that operators see, each with what to do about it."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004  the SDK's, which is not a subclass of Python's own
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

FAILED, USAGE, INTERRUPTED = 1, 2, 130  # exit codes

_LOG_IN = "log in (`aws sso login`, `aws configure`), name a profile with --profile, or use --local"
_NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    TokenRetrievalError,
    SSOError,
)
_REFUSED_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "AuthFailure",
}
_FORBIDDEN = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_GONE = {
    "ResourceNotFoundException",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
}
# The network is down, or still coming up after a laptop slept.
UNREACHABLE = (ConnectionError, HTTPClientError)
# AWS quotes invalid values in its error messages.
_SECRET_OPERATIONS = {"PutSecretValue", "GetSecretValue"}


class OperatorError(Exception):
    """An expected error. fix: what to do about it; code: the exit code."""

    def __init__(self, problem: str, fix: str = "", *, code: int = FAILED) -> None:
        super().__init__(problem)
        self.fix = fix
        self.code = code


def is_forbidden(error: ClientError) -> bool:
    """Whether AWS says that the operator may not do this."""
    return error.response["Error"]["Code"] in _FORBIDDEN


def is_gone(error: ClientError) -> bool:
    """Whether AWS says that the resource does not exist."""
    return error.response["Error"]["Code"] in _GONE


def explained(error: ClientError | BotoCoreError) -> OperatorError:
    """The SDK's error in the operator's terms. It never quotes values of a request."""
    if isinstance(error, ClientError):
        return _refused(error)
    match error:
        case _ if isinstance(error, _NO_CREDENTIALS):
            return OperatorError("No AWS credentials", _LOG_IN)
        case NoRegionError():
            return OperatorError("No AWS region", "name one with --region, or set AWS_REGION")
        case ProfileNotFound():
            return OperatorError(str(error), "name another one with --profile")
        case _ if isinstance(error, UNREACHABLE):
            return OperatorError(
                f"AWS could not be reached ({type(error).__name__})",
                "check the network and --region; for the local cloud use --local",
            )
        case _:
            return OperatorError(f"The AWS SDK failed: {type(error).__name__}")


def _refused(error: ClientError) -> OperatorError:
    code = error.response["Error"]["Code"]
    message = error.response["Error"].get("Message", "")
    operation = error.operation_name
    if code in _REFUSED_CREDENTIALS:
        return OperatorError(f"AWS does not accept the credentials ({code})", _LOG_IN)
    if code in _FORBIDDEN:
        return OperatorError(
            f"AWS does not allow {operation}: {message}",
            "`gpw doctor` lists what is missing; name other credentials with --profile",
        )
    if is_gone(error):
        return OperatorError(
            f"{operation}: the resource does not exist ({code})",
            "`gpw doctor` checks the whole stack",
        )
    if operation in _SECRET_OPERATIONS:
        return OperatorError(f"{operation} failed: {code}")
    return OperatorError(f"{operation} failed: {code}: {message}")
