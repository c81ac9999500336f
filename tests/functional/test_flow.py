from tests.factories import make_api_gateway_event, make_context, make_event, make_sqs_record
from tests.factories import make_body as body
from tests.functional.cloud import Cloud
from tests.functional.conftest import Handler


def test_an_event_travels_from_the_request_to_the_profiles_state(
    ingest: Handler, consumer: Handler, cloud: Cloud
) -> None:
    text = body(make_event("evt_7", status="summarizing", note="\ufffe😀"))

    answer = ingest(make_api_gateway_event(text), make_context())
    [message] = cloud.messages("EventsQueue")
    record = make_sqs_record(message.body, attributes=message.attributes)
    result = consumer({"Records": [record]}, make_context())

    item = cloud.item("12345")
    assert (answer["statusCode"], result) == (200, {"batchItemFailures": []})
    assert item is not None
    assert (item["event_id"], item["status"]) == ("evt_7", "summarizing")
    assert item["data"]["note"] == "\ufffe😀"
    assert item["received_at"] == message.attributes["received_at"]


def test_a_refused_body_that_is_redriven_after_a_fix_becomes_state(
    ingest: Handler, consumer: Handler, cloud: Cloud
) -> None:
    request = make_api_gateway_event(body(), headers={"content-type": "text/plain"})

    answer = ingest(request, make_context())
    [message] = cloud.messages("DeadLetterQueue")
    record = make_sqs_record(message.body, attributes=message.attributes)
    result = consumer({"Records": [record]}, make_context())

    assert (answer["statusCode"], result) == (415, {"batchItemFailures": []})
    assert cloud.item("12345") is not None
