"""Writes to ProfilesTable and EventsTable: state and history together, or neither."""

import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from botocore.exceptions import ClientError

from receiver.aws.clients import Budget, make_client
from receiver.aws.dynamodb import CONDITION_FAILED, INVALID, PASSING, call, refusal_reasons
from receiver.consumer.delivery import Delivery
from receiver.consumer.items import history_content, history_put, state_content, state_put
from receiver.domain.content import Content
from receiver.domain.errors import ContradictingEventError, NotStorableError
from receiver.domain.outcome import Outcome
from receiver.lambda_support.deadline import Deadline

CONCURRENT_WRITES = 8
BUDGET = Budget(attempts=3, connect_seconds=1, read_seconds=2, connections=CONCURRENT_WRITES)

FIRST_PAUSE_SECONDS = 0.05  # several times as long as the other worker's transaction takes
MAX_PAUSE_SECONDS = 1.0


class Store:
    """Writes events; thread-safe. client: a botocore client for DynamoDB.

    Every method returns the outcome in the history: that of the event's first delivery. It raises
    NotStorableError, before it writes anything, when DynamoDB can never store the event, and
    ContradictingEventError, without having written anything, when another event has its place in
    the history. It also raises OutOfTimeError, NotConfirmedError and botocore's errors.
    """

    def __init__(
        self,
        profiles_table: str,
        events_table: str,
        retention: timedelta,
        client: Any,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._profiles_table = profiles_table
        self._events_table = events_table
        self._retention = retention
        self._client = client
        self._sleep = sleep

    def apply(self, delivery: Delivery, deadline: Deadline) -> Outcome:
        """Set the profile's state to this event's, unless it has an equal or newer one.

        One transaction writes state and history. Two separate writes could record an applied event
        as stale, if the function crashed between them and a newer event arrived before the
        redelivery.
        """
        now = datetime.now(UTC)
        state = state_put(self._profiles_table, delivery, now)
        history = self._history(delivery, Outcome.APPLIED, now)
        reasons = self._transact([state, history], deadline)
        if not reasons:
            return Outcome.APPLIED
        by_state, by_history = reasons
        if by_history["Code"] == CONDITION_FAILED:
            outcome = _known(by_history["Item"], delivery)
            if by_state["Code"] != CONDITION_FAILED:
                # The history has this event, but the profile's row is missing or older: somebody
                # removed or restored it. Write the state again; the outcome does not change.
                self._put(state, deadline)
            return outcome
        row = by_state["Item"]
        if row["version"]["S"] != delivery.event.version:
            return self.record(delivery, Outcome.STALE, deadline)
        # An event of this version set the state, and it is no longer in the history.
        _check(state_content(row, delivery.event.event), delivery)
        return self.record(delivery, Outcome.APPLIED, deadline)

    def record(self, delivery: Delivery, outcome: Outcome, deadline: Deadline) -> Outcome:
        """Add the event to the history, unless it is already there."""
        known = self._put(self._history(delivery, outcome, datetime.now(UTC)), deadline)
        return _known(known, delivery) if known else outcome

    def _history(self, delivery: Delivery, outcome: Outcome, now: datetime) -> dict[str, Any]:
        return history_put(self._events_table, delivery, outcome, now + self._retention)

    def _transact(
        self, puts: list[dict[str, Any]], deadline: Deadline
    ) -> list[dict[str, Any]] | None:
        """Returns: None when everything was written; else a reason for each put.

        At least one of the reasons is a failed condition.
        """
        # The SDK adds an idempotency token. So when it repeats a request whose response was lost,
        # DynamoDB reports success instead of a failed condition.
        request = {"TransactItems": [{"Put": put} for put in puts]}
        refusal = self._write(self._client.transact_write_items, request, deadline)
        return refusal["CancellationReasons"] if refusal else None

    def _put(self, put: dict[str, Any], deadline: Deadline) -> dict[str, Any] | None:
        """Returns: None when the item was written; else the item that is already there."""
        refusal = self._write(self._client.put_item, put, deadline)
        return refusal["Item"] if refusal else None

    def _write(
        self,
        operation: Callable[..., dict[str, Any]],
        request: dict[str, Any],
        deadline: Deadline,
    ) -> dict[str, Any] | None:
        """Returns: None when it was written; else the response with the failed condition."""
        for attempt in count():
            deadline.check(BUDGET.longest_seconds)
            try:
                call(operation, **request)
            except ClientError as error:
                refusal: Any = error.response
                reasons = refusal_reasons(refusal)
                if INVALID in reasons:
                    raise NotStorableError("DynamoDB refused the item as invalid") from None
                if not reasons & PASSING:
                    if CONDITION_FAILED in reasons:
                        return refusal  # type: ignore[no-any-return]
                    raise
            else:
                return None
            pause = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)
            self._sleep(random.uniform(0.5, 1) * pause)  # noqa: S311
        raise AssertionError  # `count` does not end


def _known(item: Mapping[str, Any], delivery: Delivery) -> Outcome:
    """The outcome in an item of the history. Raises: ContradictingEventError."""
    _check(history_content(item), delivery)
    return Outcome(item["outcome"]["S"])


def _check(recorded: Content, delivery: Delivery) -> None:
    if differences := delivery.event.content.differences(recorded):
        raise ContradictingEventError(differences)


def dynamodb_client() -> Any:
    """A client without the SDK's validation, which would be half of the work for large `data`.

    Only `state_put` and `history_put` make its requests, and DynamoDB validates them anyway.
    """
    return make_client("dynamodb", BUDGET, validate=False)
