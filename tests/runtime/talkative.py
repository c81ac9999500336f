"""A function whose libraries write what they were given, in every way that Python has."""

import logging
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
