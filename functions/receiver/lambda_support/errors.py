"""The errors that a function raises or reports itself, as one tree."""


class LoggableError(Exception):
    """A failure whose text is safe to log: it quotes neither a secret nor an event."""


class OutOfTimeError(LoggableError):
    """The invocation has too little time left to begin a call, or to keep waiting for one."""


class SettingsError(LoggableError):
    """Environment variables are missing or invalid. The text names them, without their values."""


class UnexpectedError(Exception):
    """An unexpected error; the text is AWS's code for it, or its class."""
