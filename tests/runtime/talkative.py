"""A function whose libraries write what they were given, in every way that Python has."""

import logging
import threading
import warnings
from typing import Any

from receiver.lambda_support.log import safe_errors

_library = logging.getLogger("botocore.parsers")
_library.setLevel(logging.DEBUG)


@safe_errors()
def lambda_handler(event: dict[str, Any], _context: object) -> None:
    """Write the event, then fail with it."""
    for logger in (_library, logging.getLogger("urllib3"), logging.getLogger()):
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.CRITICAL):
            logger.log(level, "response: %s", event)
    try:
        raise KeyError(event["note"])
    except KeyError:
        _library.exception("failed for %s", event)
    warnings.warn(str(event), stacklevel=1)
    raise ValueError(event)


class _Failing(logging.Handler):
    """A handler of a library's own that can't write a line."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            raise ValueError(record.getMessage())
        except ValueError:
            self.handleError(record)


class _Unfinished:
    def __init__(self, note: str) -> None:
        self._note = note

    def __del__(self) -> None:
        raise ValueError(self._note)


@safe_errors()
def fail_where_nobody_catches(event: dict[str, Any], _context: object) -> None:
    """Fail with the event in a thread, in a destructor and in a handler, then end the process."""

    def fail() -> None:
        raise LookupError(event["note"])

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    _Unfinished(event["note"])
    failing = _Failing()
    _library.addHandler(failing)
    _library.warning("response: %s", event)
    raise KeyboardInterrupt(event["note"])
