"""Stops and restarts the consumer; ingest keeps accepting events."""

import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from gpw.operations.reporter import Reporter
from gpw.stack.errors import OperatorError
from gpw.stack.target import Target

WAIT_SECONDS = 180.0  # AWS needs up to about a minute
POLL_SECONDS = 1.0
STARTED, STOPPED = "Enabled", "Disabled"  # Lambda's names for the states

# By function, the logical id that SAM gives its event source mapping.
MAPPINGS = {
    "ConsumerFunction": "ConsumerFunctionEvents",
    "PublisherFunction": "PublisherFunctionHistory",
    "HydratorFunction": "HydratorFunctionProfiles",
}


def mapping(target: Target, function: str = "ConsumerFunction") -> Mapping[str, Any]:
    """The event source mapping of a function. Raises: OperatorError.

    It is found by its logical id, not by the function's name. With gradual deployments the mapping
    belongs to an alias, and Lambda does not list it for the function.
    """
    uuid = target.resources.get(MAPPINGS[function])
    if uuid is None:
        raise OperatorError(
            f"The stack {target.stack!r} has no event source mapping {MAPPINGS[function]}",
            "name the right stack with --stack, or deploy this version: make deploy",
        )
    try:
        found: Mapping[str, Any] = target.client("lambda").get_event_source_mapping(UUID=uuid)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            raise OperatorError(
                f"Somebody deleted the event source mapping of {function}",
                "rename its event in template.yaml and deploy: CloudFormation recreates a lost "
                "resource only under another logical id",
            ) from None
        raise
    return found


def switch(
    target: Target, reporter: Reporter, uuid: str, *, start: bool, wait: bool
) -> Mapping[str, Any]:
    """Start or stop an event source mapping. Returns: the mapping. Raises: OperatorError.

    wait: until the change has taken effect.
    """
    functions, wanted = target.client("lambda"), STARTED if start else STOPPED
    found: Mapping[str, Any] = functions.update_event_source_mapping(UUID=uuid, Enabled=start)
    if not wait:
        return found
    deadline = time.monotonic() + WAIT_SECONDS
    with reporter.progress(f"waiting for the consumer to be {wanted.lower()}"):
        while True:
            found = functions.get_event_source_mapping(UUID=uuid)
            if found["State"] == wanted:
                return found
            if time.monotonic() > deadline:
                raise OperatorError(
                    f"The consumer is still {found['State'].lower()} after {WAIT_SECONDS:.0f} s",
                    "check it later with `gpw doctor`",
                )
            time.sleep(POLL_SECONDS)
