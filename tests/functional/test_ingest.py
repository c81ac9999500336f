import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.factories import (
    SECRET,
    make_api_gateway_event,
    make_body,
    make_context,
    sample,
)
from tests.functional.cloud import TEMPLATE, Cloud
from tests.functional.conftest import Handler, Output, with_clock

OK = {
    "statusCode": 200,
    "headers": {"content-type": "text/plain; charset=utf-8"},
    "body": "OK",
}
MISSING = {
    "statusCode": 401,
    "headers": {"content-type": "text/plain; charset=utf-8", "www-authenticate": "Bearer"},
    "body": "Unauthorized: Missing or invalid Authorization header",
}
WRONG = {
    "statusCode": 401,
    "headers": {
        "content-type": "text/plain; charset=utf-8",
        "www-authenticate": 'Bearer error="invalid_token"',
    },
    "body": "Unauthorized: Invalid webhook secret",
}
TRY_AGAIN = {
    "statusCode": 503,
    "headers": {"content-type": "application/json; charset=utf-8", "retry-after": "10"},
    "body": '{"error": "Temporarily unavailable, try again"}',
}
NEW_SECRET = "a-new-webhook-secret-0123456789"
QUEUES = ("EventsQueue", "DeadLetterQueue")


def refused(status: int, document: dict[str, Any]) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json; charset=utf-8"},
        "body": json.dumps(document),
    }


def forbidden() -> dict[str, Any]:
    headers = {"content-type": "text/plain; charset=utf-8"}
    return {"statusCode": 403, "headers": headers, "body": "Forbidden"}


# ---------------------------------------------------------------- accepted


def test_the_documented_event_is_answered_ok_and_queued_verbatim(
    ingest: Handler, cloud: Cloud, output: Output
) -> None:
    request = sample("api-gateway-request")

    answer = ingest(request, make_context())

    [message] = cloud.messages("EventsQueue")
    assert answer == OK
    assert message.body == request["body"]
    assert set(message.attributes) == {"received_at"}
    assert cloud.messages("DeadLetterQueue") == []
    assert output.metrics() == {"EventsAccepted": [1.0]}


def test_an_accepted_event_is_one_log_line_that_names_the_event(
    ingest: Handler, output: Output
) -> None:
    ingest(sample("api-gateway-request"), make_context())

    [line] = output.logs
    assert line["level"] == "INFO"
    assert line["message"] == "event accepted"
    assert line["service"] == "my-stack"
    assert line["correlation_id"] == "evt_1234567890"
    assert line["source_ip"] == "203.0.113.10"
    assert line["function_request_id"] == make_context().aws_request_id


def test_what_sqs_refuses_is_queued_as_json_escapes(ingest: Handler, cloud: Cloud) -> None:
    body = make_body().replace("ready", "\ufffe\uffff")

    answer = ingest(make_api_gateway_event(body), make_context())

    [message] = cloud.messages("EventsQueue")
    assert answer == OK
    assert message.body == make_body().replace("ready", r"\ufffe\uffff")


def test_the_trace_of_the_invocation_goes_on_through_the_queue(
    ingest: Handler, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = "Root=1-65195b00-0a1b2c3d4e5f60718293a4b5;Parent=53995c3f42cd8ad8;Sampled=1"
    monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)

    ingest(make_api_gateway_event(), make_context())
    ingest(make_api_gateway_event("not json"), make_context())

    assert [
        message.system_attributes["AWSTraceHeader"]
        for queue in QUEUES
        for message in cloud.messages(queue)
    ] == [trace, trace]


# ---------------------------------------------------------------- not authenticated


@pytest.mark.parametrize("authorization", [None, " "])
def test_a_request_without_the_header_is_refused(
    ingest: Handler, cloud: Cloud, output: Output, authorization: str | None
) -> None:
    answer = ingest(make_api_gateway_event(authorization=authorization), make_context())

    assert answer == MISSING
    assert [cloud.messages(queue) for queue in QUEUES] == [[], []]
    assert output.metrics() == {"RequestsRefused": [1.0]}
    assert output.metrics(reason="missing_authorization") == {"RequestsRefused": [1.0]}


@pytest.mark.parametrize("token", [SECRET + "x", "x" + SECRET, SECRET[:-1]])
@pytest.mark.parametrize("body", [make_body(), "not json"])
def test_a_request_with_a_wrong_secret_is_refused_whatever_its_body(
    ingest: Handler, cloud: Cloud, output: Output, token: str, body: str
) -> None:
    answer = ingest(make_api_gateway_event(body, authorization=f"Bearer {token}"), make_context())

    assert answer == WRONG
    assert [cloud.messages(queue) for queue in QUEUES] == [[], []]
    assert output.metrics(reason="wrong_secret") == {"RequestsRefused": [1.0]}


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("body", "content_type", "answer", "reason"),
    [
        pytest.param(
            "x" * 262_145,
            "application/json",
            refused(413, {"error": "The body is larger than 262144 bytes"}),
            "body_too_large",
            id="413",
        ),
        pytest.param(
            make_body(),
            "application/xml",
            refused(415, {"error": "The content type must be application/json"}),
            "content_type",
            id="415",
        ),
        pytest.param(
            '{"id": "evt_1",}',
            "application/json",
            refused(400, {"error": "The body is not JSON (line 1, column 15)"}),
            "not_json",
            id="400-json",
        ),
        pytest.param(
            '{"id": "", "event": 7, "tenant_id": "t", "created_at": "soon"}',
            "application/json",
            refused(
                400,
                {
                    "error": "Invalid event",
                    "fields": [
                        {"field": "id", "problem": "String should have at least 1 character"},
                        {"field": "event", "problem": "Input should be a valid string"},
                        {
                            "field": "created_at",
                            "problem": "Input should be an RFC 3339 timestamp,"
                            " such as 2023-10-01T12:00:00Z",
                        },
                    ],
                },
            ),
            "invalid_event",
            id="400-envelope",
        ),
        pytest.param(
            make_body(created_at="9999-01-01T00:00:00Z"),
            "application/json",
            refused(
                400,
                {
                    "error": "Invalid event",
                    "fields": [
                        {
                            "field": "created_at",
                            "problem": "Input is more than 5 minutes in the future",
                        }
                    ],
                },
            ),
            "created_at_in_future",
            id="400-future",
        ),
    ],
)
def test_a_refused_body_is_answered_with_the_cause_and_dead_lettered(
    ingest: Handler,
    cloud: Cloud,
    output: Output,
    body: str,
    content_type: str,
    answer: dict[str, Any],
    reason: str,
) -> None:
    request = make_api_gateway_event(body, headers={"Content-Type": content_type})

    assert ingest(request, make_context()) == answer
    [message] = cloud.messages("DeadLetterQueue")
    assert message.body == body
    assert message.attributes["source"] == "ingest"
    assert message.attributes["reason"] == reason
    assert cloud.messages("EventsQueue") == []
    assert output.metrics() == {"RequestsRefused": [1.0], "DeadLettered": [1.0]}
    assert output.metrics(reason=reason) == {"RequestsRefused": [1.0], "DeadLettered": [1.0]}


# ---------------------------------------------------------------- our own failure


@pytest.mark.parametrize("body", [make_body(), "not json", "x" * 262_145])
def test_when_the_queue_is_gone_the_sender_is_told_to_retry(
    ingest: Handler, cloud: Cloud, output: Output, body: str
) -> None:
    for queue in QUEUES:
        cloud.delete_queue(queue)

    answer = ingest(make_api_gateway_event(body), make_context())

    assert answer == TRY_AGAIN
    assert output.metrics() == {"RequestsFailed": [1.0]}
    assert output.metrics(reason="queue_unavailable") == {"RequestsFailed": [1.0]}


def test_when_sqs_refuses_the_message_the_sender_is_told_to_retry(
    cloud: Cloud, load: Callable[[str], Handler], output: Output
) -> None:
    cloud.set_secret(SECRET)
    cloud.fail("sqs.SendMessage", "AccessDenied")

    answer = load("IngestFunction")(make_api_gateway_event(), make_context())

    [line] = output.logs
    assert answer == TRY_AGAIN
    assert (line["level"], line["detail"]) == ("ERROR", "AccessDenied")
    assert cloud.messages("EventsQueue") == []


def test_an_unexpected_error_is_logged_by_class_and_line_alone(
    ingest: Handler, cloud: Cloud, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any, **_named: Any) -> None:
        raise LookupError(make_body())

    monkeypatch.setattr("receiver.ingest.validation.parse_event", fail)

    answer = ingest(make_api_gateway_event(), make_context())

    [line] = output.logs
    assert answer == TRY_AGAIN
    assert line["detail"].startswith("LookupError at test_ingest.py:")
    assert "evt_1" not in output.text
    assert output.metrics(reason="internal_error") == {"RequestsFailed": [1.0]}


# ---------------------------------------------------------------- secret


def test_a_stack_just_deployed_accepts_nothing(
    load: Callable[[str], Handler], cloud: Cloud
) -> None:
    answer = load("IngestFunction")(make_api_gateway_event(), make_context())

    assert answer == WRONG
    assert [cloud.messages(queue) for queue in QUEUES] == [[], []]


@pytest.mark.parametrize("value", [" ", "short", f"{SECRET}\n"])
def test_with_an_unusable_secret_nothing_is_accepted(
    load: Callable[[str], Handler], cloud: Cloud, output: Output, value: str
) -> None:
    cloud.set_secret(value)

    answer = load("IngestFunction")(make_api_gateway_event(), make_context())

    assert answer == TRY_AGAIN
    assert [cloud.messages(queue) for queue in QUEUES] == [[], []]
    assert output.metrics(reason="secret_unavailable") == {"RequestsFailed": [1.0]}


def test_without_the_secret_nothing_is_accepted(
    load: Callable[[str], Handler], cloud: Cloud, output: Output
) -> None:
    cloud.delete_secret()

    answer = load("IngestFunction")(make_api_gateway_event(), make_context())

    refused, held = output.logs
    assert answer == TRY_AGAIN
    assert held["message"] == "delivery held"
    assert refused["detail"] == (
        "Secrets Manager refused to give the webhook secret (ResourceNotFoundException)"
    )


def test_after_a_rotation_both_secrets_work_and_the_old_one_is_counted(
    ingest: Handler, cloud: Cloud, load: Callable[[str], Handler], output: Output
) -> None:
    cloud.set_secret(NEW_SECRET)
    handler = load("IngestFunction")

    answers = [
        handler(make_api_gateway_event(authorization=f"Bearer {secret}"), make_context())
        for secret in (NEW_SECRET, SECRET)
    ]

    assert answers == [OK, OK]
    assert output.metrics() == {"EventsAccepted": [1.0, 1.0], "PreviousSecretUsed": [1.0]}


def test_a_failed_refresh_is_logged_while_events_are_still_accepted(
    cloud: Cloud, load: Callable[[str], Handler], output: Output
) -> None:
    failing, now = False, time.time()
    cloud.set_secret(SECRET)
    cloud.fail("secrets-manager.GetSecretValue", "ThrottlingException", when=lambda _: failing)
    handler = with_clock(load("IngestFunction"), lambda: now)
    first = handler(make_api_gateway_event(), make_context())
    failing, now = True, now + 301  # SecretCacheSeconds and one

    second = handler(make_api_gateway_event(), make_context())

    assert (first, second) == (OK, OK)
    assert [line["message"] for line in output.logs] == [
        "event accepted",
        "event accepted",
        "secret not refreshed",
    ]


def test_the_secret_is_in_no_answer_log_or_queue(
    cloud: Cloud, load: Callable[[str], Handler], output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TEMPLATE["Parameters"]["LogLevel"], "Default", "DEBUG")
    cloud.set_secret(SECRET)
    ingest = load("IngestFunction")
    answers = [
        ingest(make_api_gateway_event(body, authorization=authorization), make_context())
        for authorization in (f"Bearer {SECRET}", f"Basic {SECRET}", f"Bearer {SECRET}x")
        for body in (make_body(), "", "not json", "{}", "x" * 262_145)
    ]
    kept = [cloud.messages(queue) for queue in QUEUES]
    for queue in QUEUES:
        cloud.delete_queue(queue)
    answers.append(ingest(make_api_gateway_event(), make_context()))

    assert {answer["statusCode"] for answer in answers} == {200, 400, 401, 413, 503}
    assert [len(messages) for messages in kept] == [1, 4]
    assert SECRET not in json.dumps(answers) + str(kept) + output.text


# ---------------------------------------------------------------- who may knock


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"ALLOWED_SOURCE_CIDRS": "198.51.100.0/24"}, "source_address"),
        ({"ONLY_DOMAIN_NAME": "webhooks.example.com"}, "generated_url"),
    ],
)
def test_a_disallowed_source_gets_403_before_the_secret_is_read(
    cloud: Cloud,
    load: Callable[[str], Handler],
    monkeypatch: pytest.MonkeyPatch,
    output: Output,
    setting: dict[str, str],
    reason: str,
) -> None:
    cloud.fail("secretsmanager.GetSecretValue", "InternalServiceError")  # it would be 503
    deployed = cloud.environment("IngestFunction") | setting
    monkeypatch.setattr(cloud, "environment", lambda _function: deployed)

    answer = load("IngestFunction")(sample("api-gateway-request"), make_context())

    assert answer == forbidden()
    assert [cloud.messages(queue) for queue in (*QUEUES, "HeldQueue")] == [[], [], []]
    assert output.metrics(reason=reason) == {"RequestsRefused": [1.0]}


def test_an_invalid_source_network_stops_neither_the_function_nor_the_other_networks(
    cloud: Cloud,
    load: Callable[[str], Handler],
    monkeypatch: pytest.MonkeyPatch,
    output: Output,
) -> None:
    cloud.set_secret(SECRET)
    request = sample("api-gateway-request")
    source = request["requestContext"]["http"]["sourceIp"]
    deployed = cloud.environment("IngestFunction") | {
        "ALLOWED_SOURCE_CIDRS": f"192.0.2.0/240,{source}/32"
    }
    monkeypatch.setattr(cloud, "environment", lambda _function: deployed)

    assert load("IngestFunction")(request, make_context()) == OK
    [line] = [one for one in output.logs if one["level"] == "ERROR"]
    assert line["message"] == "AllowedSourceCidrs is invalid"
    assert "192.0.2.0/240" in line["detail"]
    assert source not in line["detail"]


def test_with_no_valid_source_network_every_sender_is_told_to_retry(
    cloud: Cloud,
    load: Callable[[str], Handler],
    monkeypatch: pytest.MonkeyPatch,
    output: Output,
) -> None:
    cloud.set_secret(SECRET)
    deployed = cloud.environment("IngestFunction") | {"ALLOWED_SOURCE_CIDRS": "192.0.2.0/240"}
    monkeypatch.setattr(cloud, "environment", lambda _function: deployed)

    answer = load("IngestFunction")(sample("api-gateway-request"), make_context())

    assert answer["statusCode"] == 503
    assert output.metrics(reason="no_valid_network") == {"RequestsFailed": [1.0]}


def test_an_allowed_source_is_served(
    cloud: Cloud, load: Callable[[str], Handler], monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.set_secret(SECRET)
    request = sample("api-gateway-request")
    context = request["requestContext"]
    deployed = cloud.environment("IngestFunction") | {
        "ALLOWED_SOURCE_CIDRS": f"{context['http']['sourceIp']}/32",
        "ONLY_DOMAIN_NAME": context["domainName"],
    }
    monkeypatch.setattr(cloud, "environment", lambda _function: deployed)

    assert load("IngestFunction")(request, make_context()) == OK
