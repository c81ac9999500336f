"""Errors of calls to AWS, in addition to botocore's."""


class AwsCallError(Exception):
    """A failed call. code: AWS's name for the failure, or a class name; safe to log."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class NotConfirmedError(AwsCallError):
    """The response was not an error, but it did not come from the service: the call may be lost.

    botocore takes every response with status 200 as success, even an empty one.
    """

    def __init__(self) -> None:
        super().__init__("NotConfirmed")


def error_name(error: Exception) -> str:
    """A name for an error that is safe to log: AWS's code, or else the class.

    Never its text, because the text of an unexpected error might quote an event.
    """
    if isinstance(error, AwsCallError):
        return error.code
    response = getattr(error, "response", None)  # botocore's ClientError
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return code or type(error).__name__
