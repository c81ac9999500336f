"""What every registered event type has, and what it takes to add one."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from receiver.consumer.consume import Consumer
from receiver.domain.errors import EventError, InvalidEventError
from receiver.domain.event import Event
from receiver.domain.events import EVENT_TYPES
from receiver.domain.outcome import Outcome
from receiver.domain.parse import parse_event
from receiver.publisher.entry import entry
from receiver.publisher.stream import from_stream
from tests.factories import SAMPLES, make_delivery, make_item, make_record, make_stream_record
from tests.unit.fakes import ENDLESS, FakeDynamoDB, InMemoryDeadLetters

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")


def shortcomings(
    event_type: str, *, samples: Path = SAMPLES, reference: str = REFERENCE
) -> list[str]:
    """What a registered event type lacks; nothing, when all is well."""
    path = samples / f"{event_type}.json"
    if not path.exists():
        return [f"no sample {path.name}"]
    text = path.read_text(encoding="utf-8")
    found: list[str] = []
    try:
        event = parse_event(text)
    except EventError as error:
        return [f"the sample is refused: {error}"]
    if type(event) is not EVENT_TYPES[event_type]:
        found.append(f"the sample is a {event.event}")
    elif published(json.loads(text)) != json.loads(text) | {"created_at": event.created_at}:
        found.append("the sample does not come back from the bus as it was sent")
    section = reference.partition("\n## Event types\n")[2].partition("\n## ")[0]
    if f"\n| `{event_type}` |" not in section:
        found.append('docs/reference.md has no row for it under "Event types"')
    return found


ADDED = {"outcome", "version", "received_at"}  # by the receiver


def published(event: dict[str, Any]) -> dict[str, Any]:
    """What a rule on the bus gets of an event, without what the receiver adds."""
    outcome = Outcome.APPLIED if make_delivery(event).state else Outcome.RECORDED
    record = make_stream_record(make_item(event, outcome))
    detail: dict[str, Any] = json.loads(entry(from_stream(record).item, "bus")["Detail"])
    return {name: value for name, value in detail.items() if name not in ADDED}


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES))
def test_every_event_type_has_a_sample_that_makes_the_round_trip_and_a_row_in_the_reference(
    event_type: str,
) -> None:
    assert shortcomings(event_type) == []


def test_the_documented_event_type_is_registered() -> None:
    assert "profile.updated" in EVENT_TYPES


# ---------------------------------------------------------------- a worked example


@with_config(ConfigDict(extra="allow"))
class InvoiceData(TypedDict):
    """`data` of the example. What is not named here is kept."""

    invoice_id: str
    amount: Any


class InvoicePaid(Event):
    """The invoice `data.invoice_id` of the tenant was paid."""

    data: InvoiceData


@pytest.fixture
def invoice_paid(monkeypatch: pytest.MonkeyPatch) -> str:
    """An event type for as long as a test runs. GetProfile has published no billing event yet."""
    monkeypatch.setitem(EVENT_TYPES, "example.invoice_paid", InvoicePaid)
    return "example.invoice_paid"


@pytest.fixture
def paid() -> dict[str, Any]:
    """As GetProfile might send it."""
    event: dict[str, Any] = {
        "id": "evt_1",
        "event": "example.invoice_paid",
        "tenant_id": "abc-tenant",
        "data": {"invoice_id": "in_1", "amount": 12.5, "currency": "EUR"},
        "created_at": "2023-10-01T12:00:00Z",
        "webhook_id": "webhook_12345",
    }
    return event


def test_a_new_type_is_one_class_and_its_events_are_recorded_and_published(
    invoice_paid: str, paid: dict[str, Any]
) -> None:
    dynamodb = FakeDynamoDB()
    consumer = Consumer(dynamodb.as_store(), InMemoryDeadLetters())
    consumed = consumer.consume([make_record(json.dumps(paid))], ENDLESS)

    assert type(parse_event(json.dumps(paid))) is EVENT_TYPES[invoice_paid]
    assert [outcome for _, outcome in consumed.finished] == [Outcome.RECORDED]
    assert dynamodb.tables.outcomes == {"evt_1": "recorded"}
    assert published(paid) == paid | {"created_at": "2023-10-01T12:00:00.000000Z"}


def test_a_new_type_refuses_what_its_class_does_not_allow(
    invoice_paid: str, paid: dict[str, Any]
) -> None:
    with pytest.raises(InvalidEventError) as refused:
        parse_event(json.dumps(paid | {"data": {"amount": 1}}))

    assert [problem.field for problem in refused.value.problems] == ["data.invoice_id"]


def test_before_it_has_a_class_the_same_event_is_recorded_too(paid: dict[str, Any]) -> None:
    event = parse_event(json.dumps(paid | {"data": {"amount": 1}}))

    assert type(event) is Event
    assert event.profile_state() is None


@pytest.mark.parametrize(
    ("sample", "row", "missing"),
    [
        (None, True, ["no sample example.invoice_paid.json"]),
        ({}, False, ['docs/reference.md has no row for it under "Event types"']),
        ({"event": "example.other"}, True, ["the sample is a example.other"]),
        ({"data": {"invoice_id": "in_1"}}, True, ["is refused: data.amount: Field required"]),
        ({"id": 7}, True, ["is refused: id: Input should be a valid string"]),
        ({"received_at": 1}, True, ["does not come back from the bus as it was sent"]),
        ({"added": 1}, True, []),
        ({}, True, []),
    ],
)
def test_what_a_new_type_lacks_is_found(
    invoice_paid: str,
    paid: dict[str, Any],
    tmp_path: Path,
    sample: dict[str, Any] | None,
    row: bool,
    missing: list[str],
) -> None:
    if sample is not None:
        (tmp_path / f"{invoice_paid}.json").write_text(json.dumps(paid | sample))
    reference = "\n## Event types\n\n" + (
        f"| `{invoice_paid}` | an invoice |\n" if row else "\n## B"
    )

    found = shortcomings(invoice_paid, samples=tmp_path, reference=reference)

    assert len(found) == len(missing)
    assert all(text in one for text, one in zip(missing, found, strict=True))
