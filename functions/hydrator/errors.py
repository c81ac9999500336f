"""Why a profile is not fetched now, so that its messages come again, as one tree."""


class HydrationError(Exception):
    """Its text is safe to log: it holds neither the API key nor a part of a profile.

    retry_after: in how many seconds GetProfile's API wants to be asked again, where it said so.
    """

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class OutOfTimeError(HydrationError):
    """Too little of the invocation is left to begin a call, or to wait on for one."""


class ApiKeyError(HydrationError):
    """The API key can't be read or used, or the API refuses it. The text says what to do."""


class ApiUnavailableError(HydrationError):
    """The API can't be reached, is too slow, is overloaded or has failed."""


class ApiPausedError(HydrationError):
    """The API asked to be left alone for longer than this invocation lasts."""


class UnexpectedAnswerError(HydrationError):
    """The API's answer is not what its documentation says."""


class NotConfirmedError(HydrationError):
    """AWS's answer was no error, but not the service's own either: it may not be done."""
