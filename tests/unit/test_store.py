from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from receiver.aws.errors import NotConfirmedError
from receiver.consumer.items import state_put
from receiver.consumer.store import BUDGET, FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, Store
from receiver.domain.errors import ContradictingEventError, NotStorableError
from receiver.domain.outcome import Outcome
from receiver.lambda_support.deadline import Deadline
from receiver.lambda_support.errors import OutOfTimeError
from tests.factories import NOON, make_delivery, make_event
from tests.tables import Tables
from tests.unit.fakes import ENDLESS, client_error

NONE = {"Code": "None"}
REFUSED = {"Code": "ConditionalCheckFailed"}


def canceled(*reasons: dict[str, Any]) -> ClientError:
    return client_error("TransactionCanceledException", CancellationReasons=list(reasons))


class Scripted:
    """A client that answers with errors first, one per call, and with success after them."""

    def __init__(self, *errors: Exception, response: dict[str, Any] | None = None) -> None:
        self._errors = list(errors)
        self._response = {"ConsumedCapacity": []} if response is None else response
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.pauses: list[float] = []

    def put_item(self, **request: Any) -> dict[str, Any]:
        return self._answer("put_item", request)

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        return self._answer("transact_write_items", request)

    def _answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((operation, request))
        if self._errors:
            raise self._errors.pop(0)
        return self._response

    @property
    def operations(self) -> list[str]:
        return [operation for operation, _request in self.calls]

    def as_store(self) -> Store:
        return Store("profiles", "events", timedelta(days=30), self, sleep=self.pauses.append)


def row(version: str, event: dict[str, Any] | None = None) -> dict[str, Any]:
    """The row that a refusal returns; event: the one that set it."""
    item = state_put("profiles", make_delivery(event), NOON)["Item"]
    return REFUSED | {"Item": item | {"version": {"S": version}}}


def known(outcome: str, event: dict[str, Any] | None = None) -> dict[str, Any]:
    """The item of the history that a refusal returns."""
    tables = Tables()
    store = Store("profiles", "events", timedelta(days=30), _Model(tables))
    store.record(make_delivery(event), Outcome(outcome), ENDLESS)
    return REFUSED | {"Item": next(iter(tables.events.values()))}


class _Model:
    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def put_item(self, *, ReturnConsumedCapacity: str, **put: Any) -> dict[str, Any]:  # noqa: N803
        assert self._tables.write([put]) is None
        return {"ConsumedCapacity": ReturnConsumedCapacity}


OWN = make_delivery().event.version
NEWER = "2030-01-01T00:00:00.000000Z#3#evt_9"


def test_state_and_history_are_written_in_one_transaction() -> None:
    client = Scripted()

    outcome = client.as_store().apply(make_delivery(), ENDLESS)

    [(operation, request)] = client.calls
    assert outcome is Outcome.APPLIED
    assert operation == "transact_write_items"
    assert [item["Put"]["TableName"] for item in request["TransactItems"]] == ["profiles", "events"]


@pytest.mark.parametrize(
    ("state", "history", "outcome", "operations"),
    [
        # A redelivery: what the history has is the outcome, whatever the row holds by now.
        (row(OWN), known("applied"), "applied", []),
        (row(NEWER), known("applied"), "applied", []),
        (row(NEWER), known("stale"), "stale", []),
        # A first delivery that came late; DynamoDB does not promise to check both conditions.
        (row(NEWER), NONE, "stale", ["put_item"]),
        # Somebody removed the event from the history.
        (row(OWN), NONE, "applied", ["put_item"]),
        # Somebody removed or restored the row: the state comes back, the outcome stays.
        (NONE, known("applied"), "applied", ["put_item"]),
        (NONE, known("stale"), "stale", ["put_item"]),
    ],
)
def test_each_refusal_of_a_transaction_leads_to_the_true_outcome(
    state: dict[str, Any], history: dict[str, Any], outcome: str, operations: list[str]
) -> None:
    client = Scripted(canceled(state, history))

    found = client.as_store().apply(make_delivery(), ENDLESS)

    assert found == outcome
    assert client.operations == ["transact_write_items", *operations]
    if operations:
        table = "profiles" if state is NONE else "events"
        assert client.calls[-1][1]["TableName"] == table


OTHER = make_event(note="other")
OTHER_TYPE = make_event(event_type="profile.created")


@pytest.mark.parametrize(
    ("state", "history", "differs_in"),
    [
        (row(OWN), known("applied", OTHER), "data.note"),
        (row(NEWER), known("stale", OTHER), "data.note"),
        (row(NEWER), known("recorded", OTHER_TYPE), "event"),
        # The row is missing or older: it must not become the state of an event without a history.
        (NONE, known("applied", OTHER), "data.note"),
        (NONE, known("recorded", OTHER_TYPE), "event"),
        # Somebody removed the event that set the state from the history.
        (row(OWN, OTHER), NONE, "data.note"),
    ],
)
def test_nothing_is_written_of_an_event_that_contradicts_the_recorded_one(
    state: dict[str, Any], history: dict[str, Any], differs_in: str
) -> None:
    client = Scripted(canceled(state, history))

    with pytest.raises(ContradictingEventError) as caught:
        client.as_store().apply(make_delivery(), ENDLESS)

    assert caught.value.differences == [differs_in]
    assert client.operations == ["transact_write_items"]


@pytest.mark.parametrize("outcome", [Outcome.STALE, Outcome.RECORDED])
def test_an_event_is_not_recorded_over_one_that_it_contradicts(outcome: Outcome) -> None:
    item = known("applied", OTHER)["Item"]
    client = Scripted(client_error("ConditionalCheckFailedException", Item=item))

    with pytest.raises(ContradictingEventError):
        client.as_store().record(make_delivery(), outcome, ENDLESS)


@pytest.mark.parametrize(
    "reasons",
    [
        ({"Code": "TransactionConflict"}, NONE),
        (NONE, {"Code": "TransactionConflict"}),
        (row(NEWER), {"Code": "TransactionConflict"}),
        ({"Code": "ThrottlingError"}, known("applied")),
        (NONE, {"Code": "ProvisionedThroughputExceeded"}),
    ],
)
def test_a_transaction_that_met_another_one_is_sent_again(reasons: tuple[Any, Any]) -> None:
    client = Scripted(*[canceled(*reasons)] * 8)

    outcome = client.as_store().apply(make_delivery(), ENDLESS)

    assert outcome is Outcome.APPLIED
    assert client.operations == ["transact_write_items"] * 9
    # Each pause is twice as long as the one before, less up to a half of it by chance.
    longest = [FIRST_PAUSE_SECONDS * 2**retry for retry in range(4)] + [
        0.8,
        *[MAX_PAUSE_SECONDS] * 3,
    ]
    assert all(
        most / 2 <= pause <= most for pause, most in zip(client.pauses, longest, strict=True)
    )


def test_a_single_put_that_met_a_transaction_is_sent_again() -> None:
    client = Scripted(client_error("TransactionConflictException"))

    outcome = client.as_store().record(make_delivery(), Outcome.RECORDED, ENDLESS)

    assert outcome is Outcome.RECORDED
    assert client.operations == ["put_item"] * 2


def test_conflicts_are_retried_only_while_a_call_can_end_in_time() -> None:
    client = Scripted(*[canceled({"Code": "TransactionConflict"}, NONE)] * 100)
    left = iter([BUDGET.longest_seconds] * 3)

    with pytest.raises(OutOfTimeError):
        client.as_store().apply(make_delivery(), Deadline(lambda: next(left, 0.0)))

    assert len(client.calls) == 3


@pytest.mark.parametrize(
    "error",
    [
        client_error("ValidationException"),
        canceled({"Code": "ValidationError"}, NONE),
        canceled(NONE, {"Code": "ValidationError"}),
    ],
)
def test_an_item_that_dynamodb_calls_invalid_can_never_be_stored(error: ClientError) -> None:
    client = Scripted(error)

    with pytest.raises(NotStorableError):
        client.as_store().apply(make_delivery(), ENDLESS)
    assert len(client.calls) == 1


@pytest.mark.parametrize("response", [{}, {"UnprocessedItems": {}}])
def test_a_response_that_is_not_dynamodbs_is_no_success(response: dict[str, Any]) -> None:
    store = Scripted(response=response).as_store()

    with pytest.raises(NotConfirmedError):
        store.apply(make_delivery(), ENDLESS)
    with pytest.raises(NotConfirmedError):
        store.record(make_delivery(), Outcome.STALE, ENDLESS)


@pytest.mark.parametrize(
    "error",
    [
        client_error("ProvisionedThroughputExceededException"),
        client_error("ThrottlingException"),
        client_error("ResourceNotFoundException"),
        client_error("InternalServerError", 500),
        canceled({"Code": "ItemCollectionSizeLimitExceeded"}, NONE),
        ReadTimeoutError(endpoint_url="https://dynamodb.example"),
    ],
)
def test_any_other_failure_is_passed_on_because_the_sdk_has_retried_it(error: Exception) -> None:
    client = Scripted(error)

    with pytest.raises(type(error)) as caught:
        client.as_store().apply(make_delivery(), ENDLESS)

    assert caught.value is error
    assert len(client.calls) == 1


def test_nothing_is_sent_of_an_event_whose_history_could_not_be_stored() -> None:
    client = Scripted()
    event = make_event() | {"added": {"": 1}}  # beside the state, so the row alone could hold it

    with pytest.raises(NotStorableError):
        client.as_store().apply(make_delivery(event), ENDLESS)
    assert client.calls == []


def test_an_item_of_the_history_is_kept_for_the_retention_from_when_it_is_written() -> None:
    client = Scripted()

    before = datetime.now(UTC)
    client.as_store().record(make_delivery(), Outcome.RECORDED, ENDLESS)
    [(_operation, request)] = client.calls

    kept_until = datetime.fromtimestamp(int(request["Item"]["expires_at"]["N"]), UTC)
    assert timedelta(days=29, hours=23) < kept_until - before < timedelta(days=30, minutes=1)
