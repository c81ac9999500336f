import re
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from receiver.aws.errors import NotConfirmedError
from receiver.domain.errors import NotStorableError
from receiver.hydrator.hydration import Key
from receiver.hydrator.profile_api import NOT_FOUND, NOT_STORABLE, Fetched
from receiver.hydrator.tables import ProfileTables, changes
from tests.unit.fakes import client_error
from tests.unit.hydrator_fakes import make_fetched

KEY = Key(profile_id="12345", tenant_id="t")
NOT_FOUND_FETCH = make_fetched(status=NOT_FOUND, updated_at=None, profile=None)
NOT_STORABLE_FETCH = make_fetched(status=NOT_STORABLE, profile=None)

# ---------------------------------------------------------------- what is written, and when


def test_a_complete_profile_replaces_one_that_is_older_or_was_fetched_earlier() -> None:
    assert changes(KEY, "v", make_fetched()) == {
        "UpdateExpression": "SET state_version = :state_version, profile_status = :profile_status,"
        " profile_fetched_at = :profile_fetched_at, profile_updated_at = :profile_updated_at,"
        " profile = :profile",
        "ConditionExpression": "profile_updated_at < :profile_updated_at"
        " OR (attribute_not_exists(profile_updated_at)"
        " OR profile_updated_at = :profile_updated_at)"
        " AND (attribute_not_exists(profile_fetched_at)"
        " OR profile_fetched_at <= :profile_fetched_at)",
        "ExpressionAttributeValues": {
            ":state_version": {"S": "v"},
            ":profile_status": {"S": "complete"},
            ":profile_fetched_at": {"S": "2023-10-01T12:00:05.000000Z"},
            ":profile_updated_at": {"S": "2023-10-01T11:00:00.000000Z"},
            ":profile": {"M": {"name": {"S": "Ada"}}},
        },
    }


def test_a_profile_that_is_not_found_leaves_the_last_one_known() -> None:
    update = changes(KEY, "v", NOT_FOUND_FETCH)

    assert "REMOVE" not in update["UpdateExpression"]
    assert update["ExpressionAttributeValues"].keys() == {
        ":state_version",
        ":profile_status",
        ":profile_fetched_at",
    }
    assert update["ConditionExpression"] == (
        "(attribute_not_exists(profile_fetched_at) OR profile_fetched_at <= :profile_fetched_at)"
    )


def test_one_that_cannot_be_stored_leaves_no_older_one() -> None:
    assert changes(KEY, "v", NOT_STORABLE_FETCH)["UpdateExpression"].endswith(" REMOVE profile")


@pytest.mark.parametrize("fetched", [make_fetched(), NOT_FOUND_FETCH, NOT_STORABLE_FETCH])
def test_every_value_is_used_and_every_used_value_is_given(fetched: Fetched) -> None:
    update = changes(KEY, "v", fetched)
    used = re.findall(r":\w+", f"{update['UpdateExpression']} {update['ConditionExpression']}")

    assert set(used) == update["ExpressionAttributeValues"].keys()


@pytest.mark.parametrize(
    "profile", [{"n": float("nan")}, {"text": "\ud800"}, {"text": "x" * 409_500}]
)
def test_what_dynamodb_cannot_hold_is_refused_before_it_is_sent(profile: dict[str, Any]) -> None:
    with pytest.raises(NotStorableError):
        changes(KEY, "v", make_fetched(profile=profile))


# ---------------------------------------------------------------- what DynamoDB answers


class FakeClient:
    """Answers every operation with the same, or raises it."""

    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self._answer = answer

    def _operate(self, **_request: Any) -> dict[str, Any]:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    get_item = scan = transact_write_items = _operate


def tables(answer: dict[str, Any] | Exception) -> ProfileTables:
    return ProfileTables("profiles", "full", FakeClient(answer))


def canceled(*codes: str) -> Exception:
    reasons = [{"Code": code} for code in codes]
    return client_error("TransactionCanceledException", CancellationReasons=reasons)


@pytest.mark.parametrize(
    "reasons",
    [
        ("ConditionalCheckFailed", "None"),
        ("None", "ConditionalCheckFailed"),
        ("ConditionalCheckFailed", "ConditionalCheckFailed"),
    ],
    ids=["erased", "newer", "both"],
)
def test_a_profile_that_is_gone_or_newer_is_not_written(reasons: tuple[str, ...]) -> None:
    assert tables(canceled(*reasons)).write(KEY, "v", make_fetched()) is False


@pytest.mark.parametrize(
    "error", [canceled("None", "ValidationError"), client_error("ValidationException")]
)
def test_an_item_that_dynamodb_calls_invalid_can_never_be_stored(error: Exception) -> None:
    with pytest.raises(NotStorableError):
        tables(error).write(KEY, "v", make_fetched())


@pytest.mark.parametrize(
    "error",
    [
        canceled("TransactionConflict", "None"),
        canceled("ConditionalCheckFailed", "TransactionConflict"),
        canceled("None", "ThrottlingError"),
        client_error("TransactionInProgressException"),
        client_error("ProvisionedThroughputExceededException"),
        client_error("AccessDeniedException"),
        EndpointConnectionError(endpoint_url="https://x"),
    ],
)
def test_whatever_may_succeed_later_is_a_failure(error: Exception) -> None:
    with pytest.raises(type(error)):
        tables(error).write(KEY, "v", make_fetched())


def test_a_success_that_is_not_dynamodbs_own_is_none() -> None:
    silent = tables({})

    for call in (
        lambda: silent.write(KEY, "v", make_fetched()),
        lambda: silent.state(KEY),
        lambda: silent.last_fetch(KEY),
        lambda: silent.written_before("", None),
    ):
        with pytest.raises(NotConfirmedError):
            call()
