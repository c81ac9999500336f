import base64
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.factories import (
    make_batch,
    make_body,
    make_context,
    make_event,
    make_number_body,
    make_sqs_record,
    sample,
)
from tests.functional.cloud import Cloud
from tests.functional.conftest import Handler, Output

DONE: dict[str, Any] = {"batchItemFailures": []}


def failures(*message_ids: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": one} for one in message_ids]}


def outcomes(output: Output) -> dict[str, str]:
    return {line["message_id"]: line["message"] for line in output.logs}


def second(n: int) -> str:
    return f"2023-10-01T12:00:{n:02}Z"


# ---------------------------------------------------------------- outcomes


def test_a_genuine_batch_becomes_state_and_metrics(
    consumer: Handler, cloud: Cloud, output: Output
) -> None:
    answer = consumer(sample("sqs-batch"), make_context())

    item = cloud.item("12345")
    assert answer == DONE
    assert item is not None
    assert datetime.fromisoformat(item.pop("updated_at")).year > 2023
    assert item == {
        "tenant_id": "abc-tenant",
        "profile_id": "12345",
        "status": "ready",
        "version": "2023-10-01T12:00:00.000000Z#3#evt_1234567890",
        "event_id": "evt_1234567890",
        "event_at": "2023-10-01T12:00:00.000000Z",
        "received_at": "2023-10-01T12:00:01.234567Z",
        "webhook_id": "webhook_12345",
        "data": {"profile_id": "12345", "status": "ready"},
    }
    metrics = output.metrics()
    [age] = metrics.pop("AppliedAge")
    assert age > 0
    assert metrics == {"EventsApplied": [1.0], "EventsRecorded": [1.0]}


def test_an_event_is_one_log_line_that_names_it_and_what_became_of_it(
    consumer: Handler, output: Output
) -> None:
    consumer(sample("sqs-batch"), make_context())

    keys = ("message", "correlation_id", "event", "tenant_id", "profile_id", "message_id")
    lines = sorted(output.logs, key=lambda line: str(line["message"]), reverse=True)
    recorded, applied = [{key: line.get(key) for key in keys} for line in lines]
    assert recorded == {
        "message": "event recorded",
        "correlation_id": "evt_1234567891",
        "event": "test.unknown",
        "tenant_id": "abc-tenant",
        "profile_id": None,
        "message_id": "2e1424d4-f796-459a-8184-9c92662be6da",
    }
    assert applied == {
        "message": "event applied",
        "correlation_id": "evt_1234567890",
        "event": "profile.updated",
        "tenant_id": "abc-tenant",
        "profile_id": "12345",
        "message_id": "059f36b4-87a3-44ab-83d2-661975830a7d",
    }


def test_an_empty_batch_is_done(consumer: Handler, output: Output) -> None:
    assert consumer({"Records": []}, make_context()) == DONE
    assert output.text == ""


def test_an_older_event_is_stale(consumer: Handler, cloud: Cloud, output: Output) -> None:
    newer = make_body(make_event("evt_2", status="ready", created_at=second(2)))
    older = make_body(make_event("evt_1", status="processing", created_at=second(1)))
    consumer(make_batch(newer), make_context())

    answer = consumer(make_batch(older), make_context())

    item = cloud.item("12345")
    assert answer == DONE
    assert item is not None
    assert (item["event_id"], item["status"]) == ("evt_2", "ready")
    assert output.metrics()["EventsStale"] == [1.0]


def test_a_redelivered_event_that_was_the_one_applied_is_applied_again(
    consumer: Handler, cloud: Cloud, output: Output
) -> None:
    consumer(make_batch(make_body()), make_context())
    first = cloud.item("12345")

    answer = consumer(make_batch(make_body()), make_context())

    assert answer == DONE
    assert cloud.item("12345") == first
    assert output.metrics()["EventsApplied"] == [1.0, 1.0]
    assert "EventsStale" not in output.metrics()


@pytest.mark.parametrize(
    ("other", "differs_in"),
    [
        (make_event(note="<second>"), "data.note"),
        (make_event(event_type="profile.created", note="<first>"), "event"),
    ],
)
def test_an_event_that_contradicts_a_recorded_one_is_dead_lettered_and_tells_no_value(
    consumer: Handler, cloud: Cloud, output: Output, other: dict[str, Any], differs_in: str
) -> None:
    consumer(make_batch(make_body(make_event(note="<first>"))), make_context())
    before = cloud.item("12345"), cloud.history()

    answer = consumer(make_batch(make_body(other)), make_context())

    [letter] = cloud.messages("DeadLetterQueue")
    [line] = [line for line in output.logs if line["level"] == "ERROR"]
    assert answer == DONE
    assert (letter.body, letter.attributes["reason"]) == (make_body(other), "contradicting")
    assert letter.attributes["detail"] == f"Differs from the recorded event in {differs_in}"
    assert (line["reason"], line["detail"]) == ("contradicting", letter.attributes["detail"])
    assert not re.search("<first>|<second>", json.dumps(output.logs))
    assert (cloud.item("12345"), cloud.history()) == before


def test_each_message_of_a_full_batch_is_counted_once(consumer: Handler, output: Output) -> None:
    answer = consumer(make_batch(*[make_body()] * 100), make_context())

    metrics = output.metrics()
    assert answer == DONE
    assert metrics["EventsApplied"] == [1] * 100
    assert len(metrics["AppliedAge"]) == 100


# ---------------------------------------------------------------- history


def test_every_event_is_recorded_once_whatever_the_deliveries(
    consumer: Handler, cloud: Cloud
) -> None:
    newest = make_event("evt_2", created_at=second(2))
    older = make_event("evt_1", status="processing", created_at=second(1))
    bill = make_event("evt_3", event_type="test.unknown") | {"data": {"amount": 7}}
    for deliveries in ([newest], [older, newest, bill], [bill, older]):
        assert consumer(make_batch(*map(make_body, deliveries)), make_context()) == DONE

    items = cloud.history()

    assert [(item["event_id"], item["outcome"]) for item in items] == [
        ("evt_1", "stale"),
        ("evt_2", "applied"),
        ("evt_3", "recorded"),
    ]
    assert items[0]["subject"] == items[1]["subject"] == '["abc-tenant","12345"]'
    assert items[2]["subject"] == '["abc-tenant"]'
    kept_until = datetime.fromtimestamp(int(items[1].pop("expires_at")), UTC)
    assert timedelta(days=29) < kept_until - datetime.now(UTC) <= timedelta(days=30)
    assert items[1] == {
        "subject": '["abc-tenant","12345"]',
        "version": "2023-10-01T12:00:02.000000Z#3#evt_2",
        "event_id": "evt_2",
        "event": "profile.updated",
        "tenant_id": "abc-tenant",
        "profile_id": "12345",
        "created_at": "2023-10-01T12:00:02.000000Z",
        "received_at": "2023-10-01T12:00:01.234567Z",
        "webhook_id": "webhook_12345",
        "data": {"profile_id": "12345", "status": "ready"},
        "outcome": "applied",
    }


# ---------------------------------------------------------------- exact values


# ---------------------------------------------------------------- quarantine


def state_of(params: dict[str, Any]) -> dict[str, Any]:
    """The profile's state in the parameters of TransactWriteItems."""
    item: dict[str, Any] = params["TransactItems"][0]["Put"]["Item"]
    return item


NEVER = [
    pytest.param("not json", "not_json", "NotJsonError", id="no-json"),
    pytest.param('{"id": "evt_1"}', "invalid_event", "InvalidEventError", id="no-envelope"),
    pytest.param(make_number_body("1" * 39), "not_storable", "NotStorableError", id="39-digits"),
]


@pytest.mark.parametrize(("body", "reason", "error"), NEVER)
def test_what_can_never_succeed_is_dead_lettered_with_the_reason_in_one_attempt(
    consumer: Handler, cloud: Cloud, output: Output, body: str, reason: str, error: str
) -> None:
    good = make_body(make_event("evt_2", profile_id="good"))

    answer = consumer(make_batch(body, good), make_context())

    [message] = cloud.messages("DeadLetterQueue")
    assert answer == DONE
    assert message.body == body
    assert message.attributes == {
        "source": "consumer",
        "reason": reason,
        "error": error,
        "detail": message.attributes["detail"],
        "received_at": "2023-10-01T12:00:01.234567Z",
    }
    assert cloud.item("12345") is None
    assert cloud.item("good") is not None
    assert output.metrics(reason=reason) == {"DeadLettered": [1.0]}
    assert outcomes(output) == {"message-1": "message dead-lettered", "message-2": "event applied"}


def test_a_redriven_base64_body_is_decoded_and_applied(consumer: Handler, cloud: Cloud) -> None:
    record = make_sqs_record(
        base64.b64encode(make_body().encode()).decode(),
        attributes={"encoding": "base64", "received_at": "2023-10-01T12:00:02.000000Z"},
    )

    answer = consumer({"Records": [record]}, make_context())

    item = cloud.item("12345")
    assert answer == DONE
    assert item is not None
    assert item["received_at"] == "2023-10-01T12:00:02.000000Z"


@pytest.mark.parametrize(
    ("body", "encoding"), [("(empty)", "empty"), ("/w==", "base64"), ("no base64", "base64")]
)
def test_a_redriven_body_that_is_still_no_event_goes_back_as_it_was(
    consumer: Handler, cloud: Cloud, body: str, encoding: str
) -> None:
    record = make_sqs_record(body, attributes={"encoding": encoding, "body_bytes": "7"})

    answer = consumer({"Records": [record]}, make_context())

    [message] = cloud.messages("DeadLetterQueue")
    assert answer == DONE
    assert message.body == body
    assert message.attributes["encoding"] == encoding
    assert message.attributes["body_bytes"] == "7"
    assert message.attributes["reason"] == "not_json"


# ---------------------------------------------------------------- failure


def test_when_a_profiles_write_fails_only_that_profiles_messages_are_retried(
    cloud: Cloud, load: Callable[[str], Handler], output: Output
) -> None:
    def of_bad_profile(params: dict[str, Any]) -> bool:
        return bool(state_of(params)["profile_id"]["S"] == "bad")

    cloud.fail("dynamodb.TransactWriteItems", "AccessDeniedException", when=of_bad_profile)
    bodies = [
        make_body(make_event("evt_1", profile_id="bad", created_at=second(1))),
        make_body(make_event("evt_2", profile_id="good")),
        make_body(make_event("evt_3", profile_id="bad", created_at=second(3))),
        make_body(make_event("evt_4", event_type="test.unknown")),
        "not json",
    ]

    answer = load("ConsumerFunction")(make_batch(*bodies), make_context())

    identifiers = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
    assert answer == failures(*identifiers)
    assert sorted(identifiers) == ["message-1", "message-3"]
    assert cloud.item("good") is not None
    assert cloud.item("bad") is None
    metrics = output.metrics()
    assert len(metrics.pop("AppliedAge")) == 1
    assert metrics == {
        "EventsApplied": [1.0],
        "EventsRecorded": [1.0],
        "MessagesFailed": [1, 1],
        "DeadLettered": [1.0],
    }
    assert {line["error"] for line in output.logs if line["message"] == "message failed"} == {
        "AccessDeniedException"
    }


def test_when_too_little_time_is_left_for_a_write_the_messages_are_retried(
    consumer: Handler, cloud: Cloud, output: Output
) -> None:
    answer = consumer(make_batch(make_body(), "not json"), make_context(12_999))

    identifiers = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
    assert sorted(identifiers) == ["message-1", "message-2"]
    assert cloud.item("12345") is None
    assert cloud.messages("DeadLetterQueue") == []
    assert {line["error"] for line in output.logs} == {"OutOfTimeError"}
    assert output.metrics() == {"MessagesFailed": [1, 1]}


def test_when_just_enough_time_is_left_the_write_begins(consumer: Handler, cloud: Cloud) -> None:
    assert consumer(make_batch(make_body()), make_context(13_000)) == DONE
    assert cloud.item("12345") is not None


def test_an_error_that_nobody_foresaw_is_logged_by_its_name_alone(
    consumer: Handler, output: Output
) -> None:
    class Store:
        def apply(self, *_arguments: Any) -> str:
            raise LookupError("quotes the event: marker")

    module: Any = sys.modules["receiver.consumer.handler"]
    real = module.make_consumer(module.ConsumerSettings.from_environment())

    answer = consumer(
        make_batch(make_body()), make_context(), consumer=replace(real, store=Store())
    )

    assert answer == failures("message-1")
    assert [line["error"] for line in output.logs] == ["LookupError"]
    assert "marker" not in output.text


def test_no_value_of_data_gets_into_the_log(consumer: Handler, output: Output) -> None:
    consumer(
        make_batch(
            make_body(make_event("evt_1", note="marker")),
            make_body(make_event("evt_2", profile_id="2", note="marker\ud800")),
            make_body(make_event("evt_3", profile_id="3", note="marker"), created_at="marker"),
            "marker",
        ),
        make_context(),
    )

    assert len(output.logs) == 4
    assert "marker" not in output.text


# ---------------------------------------------------------------- convergence
