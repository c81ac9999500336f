"""What every function shares: settings, logger, metrics, trace header, confirmed answers of AWS."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from botocore.exceptions import BotoCoreError
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from botocore.client import BaseClient

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


class NotConfirmedError(BotoCoreError):
    """An answer with status 200 that is not the service's."""

    fmt = "The answer to {operation} is not what the service answers"


def confirmed[Client: "BaseClient"](client: Client, operation: str, proof: bytes) -> Client:
    """Let an answer count as a success only when its body holds `proof`.

    botocore takes every answer with status 200 for one, be it empty or the page of some proxy.
    Returns: the client; its calls of the operation now raise NotConfirmedError for such an answer.
    """

    def check(response_dict: dict[str, Any], **_more: Any) -> None:
        if response_dict["status_code"] == 200 and proof not in response_dict["body"]:
            raise NotConfirmedError(operation=operation)

    client.meta.events.register(f"before-parse.*.{operation}", check)
    return client


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
