import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from receiver.aws.clients import make_client
from receiver.publisher.bus import BUDGET
from tests.factories import make_batch as batch
from tests.factories import make_body, make_context, make_event, make_item, make_stream_record
from tests.functional.cloud import STACK, Cloud
from tests.functional.conftest import Handler, Output
from tests.unit.fakes import client_error

DONE: dict[str, Any] = {"batchItemFailures": []}


def stream(*events: dict[str, Any]) -> dict[str, Any]:
    records = [make_stream_record(make_item(event), n) for n, event in enumerate(events, start=1)]
    return {"Records": records}


def test_what_the_consumer_records_is_published_once(
    consumer: Handler, load: Callable[[str], Handler], cloud: Cloud, output: Output
) -> None:
    newer = make_event("evt_2", created_at="2023-10-01T12:00:02Z", amount=1)
    older = make_event("evt_1", status="processing")
    bill = make_event("evt_3", event_type="test.unknown")
    for bodies in ([newer], [older, newer], [bill, older]):
        assert consumer(batch(*map(make_body, bodies)), make_context()) == DONE

    answer = load("PublisherFunction")({"Records": cloud.stream()}, make_context())

    events = cloud.published()
    published = {event["detail"]["id"]: event for event in events}
    assert answer == DONE
    assert len(events) == 3
    assert {one: event["detail"]["outcome"] for one, event in published.items()} == {
        "evt_1": "stale",
        "evt_2": "applied",
        "evt_3": "recorded",
    }
    assert published["evt_2"]["source"] == "getprofile.webhooks"
    assert published["evt_2"]["detail-type"] == "profile.updated"
    assert published["evt_2"]["detail"] == newer | {
        "created_at": "2023-10-01T12:00:02.000000Z",
        "received_at": "2023-10-01T12:00:01.234567Z",
        "outcome": "applied",
        "version": "2023-10-01T12:00:02.000000Z#3#evt_2",
    }
    assert output.metrics()["EventsPublished"] == [1, 1, 1]


def test_an_event_is_one_log_line_without_its_data(publisher: Handler, output: Output) -> None:
    publisher(stream(make_event(note="marker")), make_context())

    [line] = output.logs
    assert line["message"] == "event published"
    assert (line["correlation_id"], line["outcome"]) == ("evt_1", "applied")
    assert (line["tenant_id"], line["profile_id"]) == ("abc-tenant", "12345")
    assert line["service"] == STACK
    assert "marker" not in output.text


@pytest.mark.parametrize("name", ["MODIFY", "REMOVE"])
def test_only_insertions_are_published(
    publisher: Handler, cloud: Cloud, output: Output, name: str
) -> None:
    answer = publisher({"Records": [make_stream_record(name=name)]}, make_context())

    assert answer == DONE
    assert cloud.published() == []
    assert output.text == ""


def test_an_oversized_event_is_published_without_its_data(
    publisher: Handler, cloud: Cloud, output: Output
) -> None:
    large = make_event("evt_2", text="\x01" * 167_000)

    answer = publisher(stream(make_event("evt_1"), large), make_context())

    details = [event["detail"] for event in cloud.published()]
    assert answer == DONE
    assert [one["id"] for one in details] == ["evt_1", "evt_2"]
    assert details[1]["data"] == {"profile_id": "12345", "status": "ready"}
    assert output.metrics()["EventsTrimmed"] == [1.0]


def test_an_item_that_is_no_event_is_dead_lettered_with_the_reason(
    publisher: Handler, cloud: Cloud, output: Output
) -> None:
    stranger = make_stream_record({"subject": {"S": "x"}, "version": {"S": "marker"}}, 1)
    event = make_stream_record(make_item(make_event("evt_2")), 2)

    answer = publisher({"Records": [stranger, event]}, make_context())

    [message] = cloud.messages("DeadLetterQueue")
    assert answer == DONE
    assert [one["detail"]["id"] for one in cloud.published()] == ["evt_2"]
    assert message.attributes["source"] == "publisher"
    assert message.attributes["reason"] == "not_publishable"
    assert output.metrics(reason="not_publishable") == {"DeadLettered": [1.0]}
    assert "marker" not in output.text


def test_while_the_bus_is_away_the_stream_waits_at_the_first_record(
    cloud: Cloud, load: Callable[[str], Handler], output: Output
) -> None:
    cloud.fail("eventbridge.PutEvents", "ThrottlingException")

    answer = load("PublisherFunction")(stream(make_event("a"), make_event("b")), make_context())

    assert answer == {"batchItemFailures": [{"itemIdentifier": f"{1:021}"}]}
    assert cloud.messages("DeadLetterQueue") == []
    assert {line["error"] for line in output.logs} == {"ThrottlingException"}
    assert output.metrics() == {"PublishFailed": [1, 1]}


def make_publisher(cloud: Cloud, client: Any, **options: Any) -> Any:
    """The publisher of the function that was loaded last, with another client for the bus."""
    module: Any = sys.modules["receiver.publisher.handler"]
    environment = cloud.environment("PublisherFunction")
    dead_letters = module.dead_letter_queue(environment["DEAD_LETTER_QUEUE_URL"])
    return module.Publisher(
        module.Bus(client), environment["EVENT_BUS_NAME"], dead_letters, **options
    )


@pytest.mark.parametrize("code", ["InternalFailure", "ThrottlingException", "AccessDenied"])
def test_entries_that_are_refused_for_now_are_reported_by_the_first_of_them(
    publisher: Handler, monkeypatch: pytest.MonkeyPatch, cloud: Cloud, code: str, output: Output
) -> None:
    client = make_client("events", BUDGET)

    def put_events(Entries: list[Any]) -> Any:  # noqa: N803  botocore's name
        results = real_put(Entries=[one for one in Entries if "evt_2" not in one["Detail"]])
        results["Entries"].insert(1, {"ErrorCode": code})
        return results | {"FailedEntryCount": 1}

    real_put = client.put_events
    monkeypatch.setattr(client, "put_events", put_events)
    own = make_publisher(cloud, client)
    remaining = iter([13_000, 12_999])
    context = make_context()
    monkeypatch.setattr(context, "get_remaining_time_in_millis", lambda: next(remaining))

    events = stream(*(make_event(f"evt_{n}") for n in (1, 2, 3)))
    answer = publisher(events, context, publisher=own)

    assert answer == {"batchItemFailures": [{"itemIdentifier": f"{2:021}"}]}
    assert [one["detail"]["id"] for one in cloud.published()] == ["evt_1", "evt_3"]
    assert output.metrics() == {"EventsPublished": [1, 1], "PublishFailed": [1]}


class RefusingBus:
    """EventBridge that refuses the events of one type with one error, alone or with their call."""

    def __init__(self, code: str, *, whole_call: bool) -> None:
        self._code, self._whole_call = code, whole_call
        self.taken: list[str] = []

    def put_events(self, Entries: list[dict[str, Any]]) -> Any:  # noqa: N803  botocore's name
        refused = [one["DetailType"] == "acme.secret" for one in Entries]
        if self._whole_call and any(refused):
            raise client_error(self._code)
        pairs = list(zip(Entries, refused, strict=True))
        self.taken += [json.loads(one["Detail"])["id"] for one, no in pairs if not no]
        return {
            "Entries": [{"ErrorCode": self._code} if no else {"EventId": "1"} for no in refused]
        }


@pytest.mark.parametrize("whole_call", [False, True])
@pytest.mark.parametrize(
    "code",
    ["NotAuthorizedForDetailTypeException", "SerializationException", "AnythingNew"],
)
def test_one_event_that_the_bus_never_takes_delays_no_other_for_long(
    load: Callable[[str], Handler],
    cloud: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    whole_call: bool,
) -> None:
    """300 events as Lambda hands them over: 100 at a time, again from the first unfinished on."""
    publisher = load("PublisherFunction")
    bus, minutes = RefusingBus(code, whole_call=whole_call), 0
    added_at = make_stream_record()["dynamodb"]["ApproximateCreationDateTime"]
    own = make_publisher(
        cloud, bus, sleep=lambda _seconds: None, now=lambda: added_at + 60.0 * minutes
    )
    types = ["acme.secret", *["profile.updated"] * 299]
    records = [
        make_stream_record(make_item(make_event(f"evt_{n}", event_type=kind)), n + 1)
        for n, kind in enumerate(types)
    ]
    numbers = [one["dynamodb"]["SequenceNumber"] for one in records]
    at = 0
    while at < len(records):
        failed = publisher({"Records": records[at : at + 100]}, make_context(60_000), publisher=own)
        items = failed["batchItemFailures"]
        at = numbers.index(items[0]["itemIdentifier"]) if items else at + 100
        minutes += 1  # Lambda waits less than that

    assert minutes <= 14  # before the events count as late
    assert sorted(bus.taken) == sorted(f"evt_{n}" for n in range(1, 300))
    [message] = cloud.messages("DeadLetterQueue")
    assert message.attributes["reason"] == "not_publishable"
    assert code in message.attributes["detail"]


def test_with_too_little_time_left_nothing_is_begun(publisher: Handler, cloud: Cloud) -> None:
    answer = publisher(stream(make_event()), make_context(12_999))

    assert answer == {"batchItemFailures": [{"itemIdentifier": f"{1:021}"}]}
    assert cloud.published() == []
