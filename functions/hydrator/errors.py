"""Why a profile is not fetched now, so that its messages are redelivered, as one tree."""

from deadline import LoggableError


class HydrationError(LoggableError):
    """retry_after: for how many seconds GetProfile's API asks to be left alone."""

    def __init__(self, detail: str, *, retry_after: float = 0) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ApiKeyError(HydrationError):
    """The API key can't be read or used, or the API refuses it. The text says what to do."""


class ApiUnavailableError(HydrationError):
    """The API can't be reached, is too slow or overloaded, has failed, or asked for a pause."""


class UnexpectedAnswerError(HydrationError):
    """The API's answer contradicts its documentation, or an event (404 for a ready profile)."""
