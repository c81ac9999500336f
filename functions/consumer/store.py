"""ProfilesTable and EventsTable: an event's state and history, written together or not at all."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from botocore.exceptions import ClientError

from aws.clients import Budget, make_client
from aws.dynamodb import CONDITION_FAILED, INVALID, PASSING, call, refusal_reasons
from consumer.delivery import Delivery
from consumer.items import contradicts, history_put, state_put
from deadline import Deadline
from getprofile.errors import NotStorableError
from getprofile.outcome import Outcome

CONCURRENT_WRITES = 8
BUDGET = Budget(attempts=3, connect_seconds=1, read_seconds=2, connections=CONCURRENT_WRITES)

FIRST_PAUSE_SECONDS = 0.05  # several times what the other worker's transaction takes
MAX_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Written:
    """What the history holds about an event.

    outcome: of its first delivery. contradicts: whether this delivery has other content than that.
    """

    outcome: Outcome
    contradicts: bool = False


class Store:
    """Writes events; safe to use from several threads. client: a botocore client of DynamoDB.

    Every method raises NotStorableError when DynamoDB can never take the event, before anything is
    written; OutOfTimeError; and botocore's errors and NotConfirmedError.
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

    def apply(self, delivery: Delivery, deadline: Deadline) -> Written:
        """Make the event its profile's state unless the profile has an equal or newer one.

        One transaction writes state and history. With two separate writes, a crash in between and a
        newer event before the redelivery would record an applied event as stale.
        """
        now = datetime.now(UTC)
        state = state_put(self._profiles_table, delivery, now)
        history = self._history(delivery, Outcome.APPLIED, now)
        reasons = self._transact([state, history], deadline)
        if not reasons:
            return Written(Outcome.APPLIED)
        by_state, by_history = reasons
        if by_state["Code"] == CONDITION_FAILED:
            if by_history["Code"] == CONDITION_FAILED:
                return _known(by_history["Item"], history)
            # Compared as bytes by DynamoDB; equal means that this event set the state itself, and
            # that somebody has removed it from the history since.
            held = by_state["Item"]["version"]["S"]
            applied = held == delivery.event.version
            return self.record(delivery, Outcome.APPLIED if applied else Outcome.STALE, deadline)
        # The history has the event and the profile has no newer one: somebody removed or restored
        # its row. The state comes back; the recorded outcome stays.
        self._put(state, deadline)
        return _known(by_history["Item"], history)

    def record(self, delivery: Delivery, outcome: Outcome, deadline: Deadline) -> Written:
        """Add the event to the history, unless it has the event already."""
        history = self._history(delivery, outcome, datetime.now(UTC))
        known = self._put(history, deadline)
        return _known(known, history) if known else Written(outcome)

    def _history(self, delivery: Delivery, outcome: Outcome, now: datetime) -> dict[str, Any]:
        return history_put(self._events_table, delivery, outcome, now + self._retention)

    def _transact(
        self, puts: list[dict[str, Any]], deadline: Deadline
    ) -> list[dict[str, Any]] | None:
        """Returns: None when all was written, else one reason per put, one of them a condition."""
        # The SDK adds an idempotency token, so when it repeats a request whose response was lost,
        # DynamoDB answers with success instead of failing the request's own condition.
        request = {"TransactItems": [{"Put": put} for put in puts]}
        refusal = self._write(self._client.transact_write_items, request, deadline)
        return refusal["CancellationReasons"] if refusal else None

    def _put(self, put: dict[str, Any], deadline: Deadline) -> dict[str, Any] | None:
        """Returns: None when it was written, else the item that is there instead."""
        refusal = self._write(self._client.put_item, put, deadline)
        return refusal["Item"] if refusal else None

    def _write(
        self,
        operation: Callable[..., dict[str, Any]],
        request: dict[str, Any],
        deadline: Deadline,
    ) -> dict[str, Any] | None:
        """Returns: None when it was written, else the response that says which condition failed."""
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
            self._sleep(random.uniform(0.5, 1) * pause)  # noqa: S311  # nosec B311
        raise AssertionError  # `count` does not end


def _known(item: Mapping[str, Any], put: Mapping[str, Any]) -> Written:
    return Written(Outcome(item["outcome"]["S"]), contradicts(item, put["Item"]))


def dynamodb_client() -> Any:
    """Without the SDK's own validation, which is half of the work for `data` of many small values.

    Only `state_put` and `history_put` are sent, and DynamoDB validates them anyway.
    """
    return make_client("dynamodb", BUDGET, validate=False)
