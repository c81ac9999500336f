"""How calls to AWS fail, beside botocore's own errors."""


class AwsCallError(Exception):
    """A call that did not succeed. code: AWS's name for the failure, or a class name; loggable."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class NotConfirmedError(AwsCallError):
    """The response was not an error, but not the service's own either: nothing may have happened.

    botocore takes every response with status 200 for a success, even an empty one.
    """

    def __init__(self) -> None:
        super().__init__("NotConfirmed")


def error_name(error: Exception) -> str:
    """An error as a log may name it: AWS's code, else its class.

    Never its text: that of an unforeseen error might quote an event.
    """
    if isinstance(error, AwsCallError):
        return error.code
    response = getattr(error, "response", None)  # botocore's ClientError
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return code or type(error).__name__
