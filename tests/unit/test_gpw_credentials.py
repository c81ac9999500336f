"""Whatever is wrong with an operator's credentials, gpw says how to log in."""

import inspect

import botocore.exceptions
import pytest
from botocore.compat import HAS_CRT
from botocore.exceptions import BotoCoreError, ClientError

from gpw.stack.errors import explained

# The SDK's errors that do not concern the operator's identity. A class that a newer botocore brings
# is not here, and the first test then fails unless infra/gpw/stack/errors.py has advice for it.
OTHER = {
    "AliasConflictParameterError",
    "ApiVersionNotFoundError",
    "AwsChunkedWrapperError",
    "BaseEndpointResolverError",
    "BotoCoreError",
    "CapacityNotAvailableError",
    "ChecksumError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ConnectionError",
    "DataNotFoundError",
    "EndpointConnectionError",
    "EndpointProviderError",
    "EndpointResolutionError",
    "EndpointVariantError",
    "FlexibleChecksumError",
    "HTTPClientError",
    "IncompleteReadError",
    "InvalidChecksumConfigError",
    "InvalidDNSNameError",
    "InvalidDefaultsMode",
    "InvalidEndpointConfigurationError",
    "InvalidEndpointDiscoveryConfigurationError",
    "InvalidExpressionError",
    "InvalidHostLabelError",
    "InvalidIMDSEndpointError",
    "InvalidIMDSEndpointModeError",
    "InvalidMaxRetryAttemptsError",
    "InvalidProxiesConfigError",
    "InvalidRegionError",
    "InvalidRetryConfigurationError",
    "InvalidRetryModeError",
    "InvalidS3AddressingStyleError",
    "InvalidS3UsEast1RegionalEndpointConfigError",
    "InvalidSTSRegionalEndpointsConfigError",
    "MD5UnavailableError",
    "MissingParametersError",
    "NoRegionError",
    "OperationNotPageableError",
    "PaginationError",
    "ParamValidationError",
    "ProxyConnectionError",
    "RangeError",
    "ReadTimeoutError",
    "ResponseStreamingError",
    "SSLError",
    "ServiceNotInRegionError",
    "StubAssertionError",
    "StubResponseError",
    "UnStubbedResponseError",
    "UnknownClientMethodError",
    "UnknownEndpointError",
    "UnknownEndpointResolutionBuiltInName",
    "UnknownFIPSEndpointError",
    "UnknownKeyError",
    "UnknownParameterError",
    "UnknownRegionError",
    "UnknownServiceError",
    "UnknownServiceStyle",
    "UnknownSignatureVersionError",
    "UnseekableStreamError",
    "UnsupportedOutpostResourceError",
    "UnsupportedS3AccesspointConfigurationError",
    "UnsupportedS3ArnError",
    "UnsupportedS3ConfigurationError",
    "UnsupportedS3ControlArnError",
    "UnsupportedS3ControlConfigurationError",
    "UnsupportedServiceProtocolsError",
    "UnsupportedSignatureVersionError",
    "ValidationError",
    "WaiterConfigError",
    "WaiterError",
}
SDK_ERRORS: dict[str, type[BotoCoreError]] = {
    name: kind
    for name, kind in inspect.getmembers(botocore.exceptions, inspect.isclass)
    if issubclass(kind, BotoCoreError)
}
ADVICE = ("log in", "--profile", "~/.aws/config", "permission", "install gpw")


FIELDS = (
    *("error_msg", "provider", "cred_var", "profile", "name", "path", "msg"),
    *("source_profile", "visited_profiles"),
)


def made(kind: type[BotoCoreError]) -> BotoCoreError:
    """An instance, with a value for each field of its text."""
    fields = {name: f"<{name}>" for name in FIELDS if f"{{{name}}}" in kind.fmt}
    return kind(**fields)


def test_each_error_of_the_sdk_about_credentials_has_advice_and_no_other_is_unknown() -> None:
    asked = sorted(set(SDK_ERRORS) - OTHER)
    told = {name: explained(made(SDK_ERRORS[name])) for name in asked}

    assert {"NoCredentialsError", "LoginRefreshRequired", "UnauthorizedSSOTokenError"} < set(told)
    assert set(SDK_ERRORS) >= OTHER
    assert [n for n, one in told.items() if not any(word in one.fix for word in ADVICE)] == []


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("NoCredentialsError", "`aws login`"),
        ("PartialCredentialsError", "`aws configure`"),
        ("LoginRefreshRequired", "`aws login`"),
        ("LoginTokenLoadError", "`aws login`"),
        ("LoginInsufficientPermissions", "signin:CreateOAuth2Token"),
        ("UnauthorizedSSOTokenError", "`aws sso login`"),
        ("SSOTokenLoadError", "`aws sso login`"),
        ("TokenRetrievalError", "`aws sso login`"),
        ("ProfileNotFound", "--profile"),
        ("InfiniteLoopConfigError", "~/.aws/config"),
    ],
)
def test_the_advice_names_the_way_that_the_credentials_came(name: str, command: str) -> None:
    assert command in explained(made(SDK_ERRORS[name])).fix


def test_what_a_credential_process_printed_is_not_repeated() -> None:
    error = SDK_ERRORS["CredentialRetrievalError"](provider="custom-process", error_msg="hunter2")

    told = explained(error)

    assert "custom-process" in str(told)
    assert "hunter2" not in str(told) + told.fix


@pytest.mark.parametrize(
    "code",
    [
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "RequestExpired",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    ],
)
def test_credentials_that_a_service_refuses_have_the_same_advice(code: str) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "no"}}, "DescribeStacks")

    assert "`aws login`" in explained(error).fix


@pytest.mark.parametrize("operation", ["AssumeRole", "CreateOAuth2Token", "GetRoleCredentials"])
def test_a_refused_call_for_credentials_is_no_missing_permission_of_a_command(
    operation: str,
) -> None:
    error = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)

    told = explained(error)

    assert operation in str(told)
    assert "gpw doctor" not in told.fix
    assert "`aws login`" in told.fix


def test_the_sdk_that_gpw_brings_can_use_the_credentials_of_aws_login() -> None:
    assert HAS_CRT
