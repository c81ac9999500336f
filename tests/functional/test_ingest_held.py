"""IngestFunction (moto): deliveries whose secret is unknown are held, and answered as before."""

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from receiver.aws.sqs import QueueMessage
from receiver.messages import MAX_HELD_BYTES, original_body
from tests.factories import SECRET, make_api_gateway_event, make_body, make_context
from tests.functional.cloud import TEMPLATE, Cloud, Message
from tests.functional.conftest import Handler, Output, with_holding_clock
from tests.functional.test_ingest import MISSING, OK, WRONG

NEW_SECRET = "another-webhook-secret-9876543210"


def sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def deliver(ingest: Handler, token: str, body: str | bytes | None = None) -> dict[str, Any]:
    return ingest(make_api_gateway_event(body, authorization=f"Bearer {token}"), make_context())


def held_body(message: Message) -> bytes:
    return original_body(QueueMessage(message.body, message.attributes))


@pytest.mark.parametrize(
    "body", [make_body(), "not json", "", b"\xff\x00", b"x" * MAX_HELD_BYTES, "\uffff"]
)
def test_a_delivery_with_an_unknown_secret_is_refused_and_held_as_it_came(
    ingest: Handler, cloud: Cloud, output: Output, body: str | bytes
) -> None:
    answer = deliver(ingest, NEW_SECRET, body)

    [message] = cloud.messages("HeldQueue")
    assert answer == WRONG
    assert held_body(message) == (body if isinstance(body, bytes) else body.encode())
    assert message.attributes["token_sha256"] == sha256(NEW_SECRET)
    assert message.attributes["source_ip"] == "203.0.113.10"
    assert output.metrics() == {"RequestsRefused": [1.0], "DeliveriesHeld": [1.0]}


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Basic another-webhook-secret-9876543210",
        f"Bearer {NEW_SECRET},Bearer {NEW_SECRET}",
        "Bearer too-short",
        'Bearer {"key":"another-webhook-secret-9876543210"}',
    ],
)
def test_what_could_never_be_a_secret_is_not_held(
    ingest: Handler, cloud: Cloud, authorization: str | None
) -> None:
    answer = ingest(make_api_gateway_event(authorization=authorization), make_context())

    assert answer in (MISSING, WRONG)
    assert cloud.messages("HeldQueue") == []


def test_an_accepted_event_is_not_held_and_loads_nothing_of_it(
    ingest: Handler, cloud: Cloud
) -> None:
    answer = deliver(ingest, SECRET)

    assert answer == OK
    assert cloud.messages("HeldQueue") == []
    assert "receiver.ingest.hold" not in sys.modules


def test_a_flood_is_answered_as_ever_held_within_its_part_of_the_budget_and_keeps_no_key_out(
    ingest: Handler, cloud: Cloud, output: Output
) -> None:
    now = time.time()
    per_minute = TEMPLATE["Parameters"]["HeldDeliveriesPerMinute"]["Default"]
    ingest = with_holding_clock(ingest, lambda: now)
    answers = [deliver(ingest, NEW_SECRET)]
    now += 120
    answers += [deliver(ingest, f"{NEW_SECRET}-{n}") for n in range(per_minute + 30)]
    answers.append(deliver(ingest, NEW_SECRET))

    held = Counter(message.attributes["token_sha256"] for message in cloud.messages("HeldQueue"))
    assert answers == [WRONG] * (per_minute + 32)
    assert held.total() == per_minute // 2 + 2
    assert held[sha256(NEW_SECRET)] == 2
    assert [line["message"] for line in output.logs].count("delivery not held") == 1
    assert output.metrics()["DeliveriesHeld"] == [1.0] * (per_minute // 2 + 2)


def test_a_delivery_whose_secret_could_not_be_checked_gets_503_and_is_held(
    ingest: Handler, cloud: Cloud, output: Output
) -> None:
    cloud.delete_secret()

    answer = deliver(ingest, NEW_SECRET)

    [message] = cloud.messages("HeldQueue")
    assert answer["statusCode"] == 503
    assert held_body(message) == make_body().encode()
    assert message.attributes["token_sha256"] == sha256(NEW_SECRET)
    assert output.metrics() == {"RequestsFailed": [1.0], "DeliveriesHeld": [1.0]}


def test_the_headers_that_a_release_checks_are_held_too(ingest: Handler, cloud: Cloud) -> None:
    headers = {"content-type": "text/plain", "content-encoding": "gzip"}
    request = make_api_gateway_event(authorization=f"Bearer {NEW_SECRET}", headers=headers)
    ingest(request, make_context())

    [message] = cloud.messages("HeldQueue")
    assert message.attributes["content_type"] == "text/plain"
    assert message.attributes["content_encoding"] == "gzip"


def test_a_budget_of_nothing_switches_it_off(
    cloud: Cloud, load: Callable[[str], Handler], output: Output
) -> None:
    cloud.set_secret(SECRET)
    cloud.parameters["HeldDeliveriesPerMinute"] = "0"

    answer = deliver(load("IngestFunction"), NEW_SECRET)

    assert answer == WRONG
    assert cloud.messages("HeldQueue") == []
    assert output.metrics() == {"RequestsRefused": [1.0]}


def test_a_queue_that_is_gone_or_refuses_leaves_the_answer_as_it_is(
    ingest: Handler, cloud: Cloud, output: Output
) -> None:
    cloud.delete_queue("HeldQueue")

    assert deliver(ingest, NEW_SECRET) == WRONG
    assert [line["message"] for line in output.logs] == ["request refused", "delivery not held"]
    assert output.metrics() == {"RequestsRefused": [1.0]}


def test_an_error_that_nobody_foresaw_leaves_the_answer_as_it_is(
    ingest: Handler, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any, **_named: Any) -> None:
        raise LookupError(make_body())

    monkeypatch.setattr("receiver.messages.held", fail)

    assert deliver(ingest, NEW_SECRET) == WRONG
    assert [line["message"] for line in output.logs] == ["request refused", "delivery not held"]
    assert "evt_1" not in output.text


def test_no_token_is_in_an_answer_the_log_or_the_queue_but_only_its_digest(
    cloud: Cloud, load: Callable[[str], Handler], output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TEMPLATE["Parameters"]["LogLevel"], "Default", "DEBUG")
    cloud.set_secret(SECRET)
    ingest = load("IngestFunction")
    answers = [
        deliver(ingest, NEW_SECRET, body)
        for body in (make_body(), "", "not json", "x" * 100_000, b"\xff")
    ]
    kept = cloud.messages("HeldQueue")
    cloud.delete_queue("HeldQueue")
    answers.append(deliver(ingest, NEW_SECRET))

    everywhere = str(answers) + str(kept) + output.text
    assert len(kept) == 4
    assert NEW_SECRET[:9] not in everywhere
    assert sha256(NEW_SECRET) not in str(answers) + output.text
    assert all(message.attributes["token_sha256"] == sha256(NEW_SECRET) for message in kept)
