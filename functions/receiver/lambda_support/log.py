"""The log, with metrics in its lines. Importing it sets up what libraries may log.

What other people's code would log (a library's line, a warning, the text of an unexpected error)
can quote a secret or an event. So it is logged by its class and place, without its text. Every
handler imports `safe_errors` from here, so no function starts without the set-up below.
"""

import json
import logging
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from aws_lambda_powertools import Logger

from receiver.aws.errors import error_name
from receiver.lambda_support.errors import LoggableError, UnexpectedError
from receiver.lambda_support.settings import (
    log_level,
    metrics_namespace,
    service_name,
    traced_id,
)

# A fixed name, because a stack may be called `root` or `botocore`, whose loggers are not ours.
_LOGGER = logging.getLogger("getprofile.webhooks")
_SERVICE = service_name()

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


@contextmanager
def safe_errors() -> Iterator[None]:
    """Replace unexpected errors, because Lambda's runtime client logs the text of what is raised.

    For every handler, and for what its module does on import. The traceback is kept: it consists of
    files, lines and source code. Raises: UnexpectedError.
    """
    try:
        yield
    except LoggableError:
        raise
    except Exception as error:
        raise UnexpectedError(error_name(error)).with_traceback(error.__traceback__) from None


def record(
    level: Literal["debug", "info", "warning", "error"],
    message: str,
    metrics: Mapping[str, int | float | None],
    *,
    by_reason: bool = False,
    **fields: Any,
) -> None:
    """Write one line that is both log and metrics (CloudWatch's embedded metric format).

    metrics: by name, a count (int) or milliseconds (float). Zero counts and None are omitted.
    by_reason: whether to count them by the field `reason` as well. fields: the other fields of the
    line; None is omitted. If LogLevel suppresses the line, the metrics are still written.
    """
    fields["trace_id"] = traced_id()
    fields = {name: value for name, value in fields.items() if value is not None}
    measured = {
        name: value
        for name, value in metrics.items()
        if value is not None and (isinstance(value, float) or value)
    }
    embedded = _embedded(measured, by_reason=by_reason) if measured else {}
    if _LOGGER.isEnabledFor(_LEVELS[level]):
        getattr(logger, level)(message, extra=fields | embedded)
    elif embedded:
        dimensions = {"service": _SERVICE}
        if by_reason:
            dimensions["reason"] = fields["reason"]
        # One call, so that the lines of two threads do not mix.
        sys.stdout.write(json.dumps(dimensions | embedded, separators=(",", ":")) + "\n")


def _embedded(measured: dict[str, int | float], *, by_reason: bool) -> dict[str, Any]:
    """The JSON members that turn a log line into metrics."""
    directive = {
        "Namespace": metrics_namespace(),
        "Dimensions": [["service"], ["service", "reason"]] if by_reason else [["service"]],
        "Metrics": [
            {"Name": name, "Unit": "Milliseconds" if isinstance(value, float) else "Count"}
            for name, value in measured.items()
        ],
    }
    at = int(time.time() * 1000)
    return {"_aws": {"Timestamp": at, "CloudWatchMetrics": [directive]}, **measured}


class _LibraryLines(logging.Handler):
    """Logs what libraries log, without the text."""

    def emit(self, line: logging.LogRecord) -> None:
        if line.name == _LOGGER.name:
            return
        kind = line.exc_info[0] if line.exc_info else None
        record(
            "error" if line.levelno >= logging.ERROR else "warning",
            "library line",
            {},
            detail=f"{line.name} at {line.filename}:{line.lineno}",
            error=kind.__name__ if kind else None,
        )


def _log_warning(
    _message: object, category: type[Warning], filename: str, lineno: int, *_rest: object
) -> None:
    """Log a Python warning without its text. In place of Python's own, which writes to stderr."""
    place = f"{Path(filename).name}:{lineno}"
    record("warning", "Python warning", {}, detail=place, error=category.__name__)


def _log_uncaught(kind: type[BaseException] | None, trace: TracebackType | None) -> None:
    """Log an error that nobody caught without its text. In place of Python's own hooks.

    Those write the text to stderr: of an error in a thread or a destructor, and of one that ends
    the process.
    """
    if kind is None or issubclass(kind, SystemExit):
        return
    while trace and trace.tb_next:
        trace = trace.tb_next
    code = trace.tb_frame.f_code if trace else None
    place = f"{Path(code.co_filename).name}:{trace.tb_lineno}" if code and trace else None
    record("error", "uncaught error", {}, detail=place, error=kind.__name__)


# This must precede the first client. Lambda's runtime client gives the root logger Lambda's log
# level, and botocore's debug lines contain the secret, the role's session token and every payload.
# The handler has the level too, for a library that sets its own logger's.
logging.basicConfig(handlers=[_LibraryLines(logging.WARNING)], level=logging.WARNING, force=True)
with warnings.catch_warnings():  # Powertools warns if Lambda's log level is above ours
    warnings.simplefilter("ignore")
    # Never pass it a request, a body, or an exception that quotes one. Lambda reads a line's level
    # and time only if the time is RFC 3339.
    # Without Powertools' xray_trace_id, which Lambda sets for untraced invocations too.
    logger = Logger(_LOGGER.name, use_rfc3339=True, location=None, xray_trace_id=None)
logger.append_keys(service=_SERVICE)
# Powertools applies Lambda's log level. Lambda's only has to let every line pass.
_LOGGER.setLevel(log_level())
warnings.showwarning = _log_warning  # type: ignore[assignment]  # of any arguments
# Hooks that somebody has set are left alone.
if threading.excepthook is threading.__excepthook__:
    threading.excepthook = lambda hook: _log_uncaught(hook.exc_type, hook.exc_traceback)
if sys.unraisablehook is sys.__unraisablehook__:
    sys.unraisablehook = lambda hook: _log_uncaught(hook.exc_type, hook.exc_traceback)
if sys.excepthook is sys.__excepthook__:
    sys.excepthook = lambda kind, _error, trace: _log_uncaught(kind, trace)
# A handler that fails writes the line that it could not write, with its arguments, to stderr.
logging.raiseExceptions = False
