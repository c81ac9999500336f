"""The history as gpw reads it: which events a selection matches, and what is replayed."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gpw.history import history
from gpw.history.selection import Selection
from gpw.listening.bus_event import from_history
from receiver.aws.dynamodb import item_from_dynamodb
from receiver.domain import exact_json, strict_json
from receiver.domain.errors import NotStorableError
from receiver.domain.event import Event
from receiver.domain.version import exact_timestamp
from tests.factories import make_event, make_item
from tests.strategies import Rfc3339, ids, json_values, moments, rfc3339

PLACE = ("aws", "eu-central-1", "123456789012")
OURS = {"outcome", "version", "received_at", "replayed", "data_omitted"}
ENVELOPE = {*Event.model_fields, *OURS}


def stored(event: dict[str, Any]) -> dict[str, Any]:
    """The event's item in the history, in DynamoDB's own JSON."""
    try:
        return make_item(event)
    except (NotStorableError, ValueError):  # no table or no JSON can hold it
        assume(False)
        raise


@given(
    st.builds(
        lambda written, data, webhook_id, extra, fields: {
            name: value
            for name, value in (
                extra
                | make_event(**fields, event_type="test.unknown")
                | {"created_at": written.text, "data": data, "webhook_id": webhook_id}
            ).items()
            if value != "absent"
        },
        rfc3339(),
        st.one_of(json_values, st.just("absent")),
        st.one_of(json_values, st.just("absent")),
        st.dictionaries(st.text(min_size=1), st.none() | json_values, max_size=3).map(
            lambda extra: {name: one for name, one in extra.items() if name not in ENVELOPE}
        ),
        st.fixed_dictionaries({"event_id": ids, "tenant_id": ids}),
    )
)
def test_what_is_replayed_is_recorded_as_what_was_recorded(event: dict[str, Any]) -> None:
    """The same fields, with nulls, digits and nanoseconds; so it never contradicts itself."""
    item = stored(event)

    body = history.body(item_from_dynamodb(item))
    forwarded = from_history(item_from_dynamodb(item), "bus", PLACE).body()

    assert make_item(strict_json.loads(body)) == item
    assert make_item(strict_json.loads(forwarded)) == item


def test_a_null_that_getprofile_sent_in_a_field_of_its_own_is_replayed() -> None:
    event = make_event() | {"trace": None, "attempt": 1}

    body = history.body(item_from_dynamodb(make_item(event)))

    assert strict_json.loads(body) == event


@pytest.mark.parametrize(
    "change", [{"subject": '["other"]'}, {"version": "x"}, {"tenant_id": "other"}, {"data": {}}]
)
def test_an_item_that_would_be_recorded_as_another_one_is_not_replayed(change: Any) -> None:
    item = item_from_dynamodb(make_item(make_event(event_type="test.unknown")))

    with pytest.raises(ValueError, match="another subject or version"):
        history.body(item | change)


@given(rfc3339(), moments, st.booleans())
def test_a_selection_by_time_matches_whatever_digits_a_time_has(
    written: Rfc3339, moment: datetime, close: bool
) -> None:
    if close:
        moment = written.second.replace(microsecond=written.nanoseconds // 1000)
    _, since = history.request(Selection(since=moment))
    _, until = history.request(Selection(until=moment))
    created_at = exact_timestamp(written.text)
    later = (written.second.astimezone(UTC), written.nanoseconds) >= (
        moment.astimezone(UTC).replace(microsecond=0),
        moment.microsecond * 1000,
    )

    assert (created_at >= since["ExpressionAttributeValues"][":0"]["S"]) is later
    assert (created_at < until["ExpressionAttributeValues"][":0"]["S"]) is not later


def test_an_event_is_shown_in_the_documented_order() -> None:
    item = item_from_dynamodb(make_item(make_event() | {"added": 1}))

    assert list(history.event(item)) == [*make_event(), "added"]
    assert exact_json.dumps(history.event(item)) == history.body(item)
