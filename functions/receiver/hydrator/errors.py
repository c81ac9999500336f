"""The errors for which a profile is fetched later (its messages are redelivered), as one tree."""

from receiver.lambda_support.errors import LoggableError


class HydrationError(LoggableError):
    """A profile could not be fetched now. retry_after: the seconds that the API asks us to wait."""

    def __init__(self, detail: str, *, retry_after: float = 0) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ApiKeyError(HydrationError):
    """The API key can't be read or used, or the API refuses it. The text says what to do."""


class ApiUnavailableError(HydrationError):
    """The API is unreachable, too slow or overloaded, has failed, or has asked us to wait."""


class UnexpectedAnswerError(HydrationError):
    """The API's response contradicts its documentation, or an event (no ready profile)."""


class SweepRunningError(HydrationError):
    """A sweep was asked for that does more than the one that runs; its message is retried."""
