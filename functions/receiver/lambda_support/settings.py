"""Settings from the environment, and what Lambda puts there. No other module reads it."""

import os
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from receiver.domain.errors import field_problems
from receiver.lambda_support.errors import SettingsError


class Settings(BaseModel):
    """A function's environment variables; a subclass declares them as typed fields."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def from_environment(cls) -> Self:
        """Read each field from the environment variable with its name in capitals.

        Raises: SettingsError, at start-up, for a missing or invalid variable.
        """
        names = [name for name in cls.model_fields if name.upper() in os.environ]
        try:
            return cls.model_validate({name: os.environ[name.upper()] for name in names})
        except ValidationError as error:
            problems = [f"{p.field.upper()}: {p.problem}" for p in field_problems(error)]
            raise SettingsError("; ".join(problems)) from None


def service_name() -> str:
    """The stack's name, which each line of the log has."""
    return os.environ.get("POWERTOOLS_SERVICE_NAME", "")


def log_level() -> str:
    """The level below which our own lines are not written."""
    return os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO")


def metrics_namespace() -> str:
    """CloudWatch's namespace for the metrics."""
    return os.environ["POWERTOOLS_METRICS_NAMESPACE"]


def traced_id() -> str | None:
    """The id of the X-Ray trace that records this invocation; None if none does."""
    header = trace_header() or ""
    return header.partition("Root=")[2].partition(";")[0] if "Sampled=1" in header else None


def trace_header() -> str | None:
    """The X-Ray trace header of this invocation, if Lambda has set one."""
    return os.environ.get("_X_AMZN_TRACE_ID")
