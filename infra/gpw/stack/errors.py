"""Errors that operators see, each with what to do about it."""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigNotFound,
    ConfigParseError,
    ConnectionError,  # noqa: A004  the SDK's, which is not a subclass of Python's own
    CredentialRetrievalError,
    HTTPClientError,
    InvalidConfigError,
    LoginError,
    LoginInsufficientPermissions,
    MetadataRetrievalError,
    MissingDependencyException,
    NoAuthTokenError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    RefreshWithMFAUnsupportedError,
    SSOError,
    TokenRetrievalError,
    UnknownCredentialError,
    UnknownTokenProviderError,
)

FAILED, USAGE, INTERRUPTED = 1, 2, 130  # exit codes

_LOG_IN = (
    "log in (`aws login`, `aws sso login` or `aws configure`), name a profile with --profile or "
    "AWS_PROFILE, or use --local"
)
_SSO = "log in again: `aws sso login`, with the profile's --profile"
_CONFIG = "correct ~/.aws/config and ~/.aws/credentials, or name another profile with --profile"
# Every way in which the SDK finds no usable credentials, with what to do. The first class that an
# error belongs to decides, so a subclass comes before its base. Their texts are AWS's and may quote
# what a credential process printed, so only those are shown that name no more than a setting.
_CREDENTIALS: dict[type[BotoCoreError], tuple[str, str]] = {
    NoCredentialsError: ("No AWS credentials", _LOG_IN),
    PartialCredentialsError: ("The AWS credentials are incomplete: {error}", _LOG_IN),
    LoginInsufficientPermissions: (
        "`aws login` may not renew its session",
        "ask for the permission signin:CreateOAuth2Token, which is in AWS's managed policy "
        "SignInLocalDevelopmentAccess",
    ),
    LoginError: ("The session of `aws login` has ended or can't be read", "log in: `aws login`"),
    SSOError: ("The session of AWS IAM Identity Center has ended or can't be read", _SSO),
    TokenRetrievalError: ("The session of AWS IAM Identity Center has ended", _SSO),
    NoAuthTokenError: ("There is no session of AWS IAM Identity Center", _SSO),
    RefreshWithMFAUnsupportedError: (
        "The role's session has ended, and a new one needs a code of your MFA device",
        "log in again with the code, or name another profile with --profile",
    ),
    CredentialRetrievalError: ("The profile's source of credentials failed: {provider}", _LOG_IN),
    MetadataRetrievalError: ("This machine's role gives no credentials", _LOG_IN),
    ProfileNotFound: (
        "{error}",
        "name another AWS profile with --profile or AWS_PROFILE; --profile-id names one of "
        "GetProfile",
    ),
    UnknownCredentialError: ("{error}", _CONFIG),
    UnknownTokenProviderError: ("{error}", _CONFIG),
    ConfigNotFound: ("{error}", _CONFIG),
    ConfigParseError: ("{error}", _CONFIG),
    InvalidConfigError: ("{error}", _CONFIG),
    MissingDependencyException: (
        "A package is missing that the SDK needs for these credentials",
        "install gpw again: it brings boto3[crt]",
    ),
}
# What a service answers to credentials that it does not accept, whatever the operation.
_REFUSED_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
    "InvalidToken",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "UnrecognizedClientException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "InvalidSignatureException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "AuthFailure",
    "RequestExpired",
    "RequestTimeTooSkewed",
}
# The SDK calls these to get credentials, so their failure is no missing permission of a command.
GETS_CREDENTIALS = {
    "AssumeRole",
    "AssumeRoleWithSAML",
    "AssumeRoleWithWebIdentity",
    "CreateOAuth2Token",
    "CreateToken",
    "GetRoleCredentials",
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
    if isinstance(error, NoRegionError):
        return OperatorError("No AWS region", "name one with --region, or set AWS_REGION")
    if isinstance(error, UNREACHABLE):
        return OperatorError(
            f"AWS could not be reached ({type(error).__name__})",
            "check the network and --region; for the local cloud use --local",
        )
    return _without_credentials(error) or OperatorError(
        f"The AWS SDK failed: {type(error).__name__}"
    )


def _without_credentials(error: BotoCoreError) -> OperatorError | None:
    for kind, (problem, fix) in _CREDENTIALS.items():
        if isinstance(error, kind):
            provider = error.kwargs.get("provider", "")
            return OperatorError(problem.format(error=error, provider=provider), fix)
    return None


def _refused(error: ClientError) -> OperatorError:
    code = error.response["Error"]["Code"]
    message = error.response["Error"].get("Message", "")
    operation = error.operation_name
    if operation in GETS_CREDENTIALS:
        return OperatorError(f"AWS gives no credentials: {operation} failed ({code})", _LOG_IN)
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
