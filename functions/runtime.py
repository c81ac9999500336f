"""What every function shares with the Lambda runtime: settings, logger, metrics, trace header."""

import os
from collections.abc import Sequence
from typing import Self

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from pydantic import BaseModel, ConfigDict

# Its service name is the stack's (POWERTOOLS_SERVICE_NAME in template.yaml), so that two stages in
# one account keep apart. It is never handed a request, a body, or an exception that quotes one.
logger = Logger()


class Settings(BaseModel):
    """A function's environment variables; a subclass declares them as typed fields."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def from_environment(cls) -> Self:
        """Each field out of the environment variable of its name in capitals.

        Raises: pydantic.ValidationError for a missing or ill-typed one, so at start-up.
        """
        names = [name for name in cls.model_fields if name.upper() in os.environ]
        return cls.model_validate({name: os.environ[name.upper()] for name in names})


def trace_header() -> str | None:
    """The X-Ray trace header of this invocation, where Lambda sets one."""
    return os.environ.get("_X_AMZN_TRACE_ID")


def emit(metrics: dict[str, int | Sequence[float]], *, reason: str | None = None) -> None:
    """Write metrics to the log in CloudWatch's embedded metric format.

    metrics: by name, a count or a series of milliseconds; zero counts and empty series are left
    out. reason: counted in total, and by this dimension too.
    """
    collected = EphemeralMetrics()
    if reason:
        collected.add_dimensions(service=logger.service, reason=reason)
    for name, value in metrics.items():
        if isinstance(value, int):
            if value:
                collected.add_metric(name, MetricUnit.Count, value)
        else:
            for milliseconds in value:
                collected.add_metric(name, MetricUnit.Milliseconds, milliseconds)
    if collected.metric_set:
        collected.flush_metrics()
