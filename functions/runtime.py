"""Shared by all functions: settings from the environment, logging with metrics, trace header."""

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal, Self

from aws_lambda_powertools import Logger
from pydantic import BaseModel, ConfigDict

# Its service name is the stack's name (POWERTOOLS_SERVICE_NAME in template.yaml), to separate two
# stages in one account. Never pass it a request, a body, or an exception that quotes one.
# Lambda reads a line's level and time only if the time is RFC 3339.
logger = Logger(use_rfc3339=True, location=None)
# With Lambda's JSON log format, Powertools uses Lambda's log level, so set our own again. Lambda's
# level must pass every line, because it would drop the metrics along with their lines.
logging.getLogger(logger.service).setLevel(os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO"))

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class Settings(BaseModel):
    """A function's environment variables; a subclass declares them as typed fields."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def from_environment(cls) -> Self:
        """Read each field from the environment variable with its name in capitals.

        Raises: pydantic.ValidationError, at start-up, for a missing or invalid variable.
        """
        names = [name for name in cls.model_fields if name.upper() in os.environ]
        return cls.model_validate({name: os.environ[name.upper()] for name in names})


def trace_header() -> str | None:
    """The X-Ray trace header of this invocation, if Lambda has set one."""
    return os.environ.get("_X_AMZN_TRACE_ID")


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
    fields = {name: value for name, value in fields.items() if value is not None}
    measured = {
        name: value
        for name, value in metrics.items()
        if value is not None and (isinstance(value, float) or value)
    }
    embedded = _embedded(measured, by_reason=by_reason) if measured else {}
    if logging.getLogger(logger.service).isEnabledFor(_LEVELS[level]):
        getattr(logger, level)(message, extra=fields | embedded)
    elif embedded:
        dimensions = {"service": logger.service}
        if by_reason:
            dimensions["reason"] = fields["reason"]
        # One call, so that the lines of two threads do not mix.
        sys.stdout.write(json.dumps(dimensions | embedded, separators=(",", ":")) + "\n")


def _embedded(measured: dict[str, int | float], *, by_reason: bool) -> dict[str, Any]:
    """The JSON members that turn a log line into metrics."""
    directive = {
        "Namespace": os.environ["POWERTOOLS_METRICS_NAMESPACE"],
        "Dimensions": [["service"], ["service", "reason"]] if by_reason else [["service"]],
        "Metrics": [
            {"Name": name, "Unit": "Milliseconds" if isinstance(value, float) else "Count"}
            for name, value in measured.items()
        ],
    }
    at = int(time.time() * 1000)
    return {"_aws": {"Timestamp": at, "CloudWatchMetrics": [directive]}, **measured}
