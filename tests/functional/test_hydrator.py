import itertools
import json
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.local import profile_api as faults
from infra.local.profile_api import ProfileApi
from tests.factories import SECRET, make_context, make_event, make_sqs_record, to_json
from tests.functional.cloud import Cloud
from tests.functional.conftest import API_KEY, Handler, Output

DONE: dict[str, Any] = {"batchItemFailures": []}
TENANT = "abc-tenant"
SINCE = "2023-10-01T12:00:01.234567Z"
ADA: dict[str, Any] = {"name": "Ada", "last_updated": "2023-10-01T11:00:00Z"}
NEW_KEY = "the-new-api-key-0123456789"

Start = Callable[[], Handler]


@pytest.fixture
def api(profile_api: ProfileApi) -> ProfileApi:
    profile_api.profiles["12345"] = dict(ADA)
    return profile_api


@pytest.fixture
def start(
    cloud: Cloud,
    load: Callable[[str], Handler],
    api: ProfileApi,
    monkeypatch: pytest.MonkeyPatch,
) -> Start:
    """A cold start of HydratorFunction with the API's key set; it waits for milliseconds only."""
    cloud.set_api_key(API_KEY)
    cloud.parameters |= {"ProfileApiUrl": api.url, "ProfileApiRequestsPerSecond": "1000"}

    def cold_start() -> Handler:
        handler = load("HydratorFunction")
        monkeypatch.setattr(sys.modules["hydrator.backoff"], "FIRST_BACKOFF_SECONDS", 0.01)
        http = sys.modules["hydrator.handler"]._hydrator.api.http
        monkeypatch.setattr(http, "_request_seconds", 0.5)
        return handler

    return cold_start


@pytest.fixture
def hydrator(start: Start) -> Handler:
    return start()


@pytest.fixture(autouse=True)
def nothing_secret_is_logged(hydrator: Handler, output: Output) -> Iterator[None]:
    yield
    assert API_KEY not in output.text
    assert NEW_KEY not in output.text
    assert "marker" not in output.text


def row(cloud: Cloud, *profile_ids: str, **attributes: Any) -> None:
    """Rows as the consumer writes them."""
    for profile_id in profile_ids or ("12345",):
        key = {"tenant_id": TENANT, "profile_id": profile_id}
        cloud.put_item(key | {"status": "ready", "version": "v"} | attributes)


def hydrated(cloud: Cloud, profile_id: str = "12345") -> dict[str, Any]:
    """What the hydrator wrote into a row."""
    item = cloud.item(profile_id)
    assert item is not None
    return {name: value for name, value in item.items() if name.startswith("profile")} | {
        "status": item["status"],
        "version": item["version"],
    }


def published(profile_id: str = "12345", received_at: str = SINCE) -> str:
    detail = make_event(profile_id=profile_id) | {"outcome": "applied", "received_at": received_at}
    return json.dumps({"detail-type": "profile.updated", "detail": detail})


def wanted(profile_id: str = "12345", since: str = SINCE) -> str:
    asked = {"tenant_id": TENANT, "profile_id": profile_id, "since": since}
    return json.dumps({"hydrate": asked})


def batch(*bodies: str, receipts: list[str] | None = None) -> dict[str, Any]:
    records = [
        make_sqs_record(body, f"message-{n}", attributes={}) for n, body in enumerate(bodies, 1)
    ]
    for record, receipt in zip(records, receipts or [], strict=False):
        record["receiptHandle"] = receipt
    return {"Records": records}


def run(hydrator: Handler, *bodies: str) -> dict[str, Any]:
    return hydrator(batch(*bodies), make_context(60_000))


def failures(*message_ids: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": one} for one in message_ids]}


def counts(output: Output) -> dict[str, float]:
    return {name: sum(values) for name, values in output.metrics().items() if "Latency" not in name}


# ---------------------------------------------------------------- outcomes


def test_a_profile_is_fetched_and_stored_beside_its_state(
    hydrator: Handler, cloud: Cloud, api: ProfileApi, output: Output
) -> None:
    row(cloud)
    api.profiles["12345"] |= {"scores": [1.5], "update_log": [{"note": "marker"}] * 100}
    before = datetime.now(UTC)

    assert run(hydrator, published()) == DONE

    found = hydrated(cloud)
    assert before <= datetime.fromisoformat(found.pop("profile_fetched_at")) <= datetime.now(UTC)
    assert found == {
        "profile_id": "12345",
        "status": "ready",
        "version": "v",
        "profile": ADA | {"scores": [Decimal("1.5")]},
        "profile_updated_at": "2023-10-01T11:00:00.000000Z",
        "profile_status": "complete",
    }
    assert api.requests == [faults.Request("/v1/profile/12345", authorized=True)]
    metrics = output.metrics()
    [latency] = metrics.pop("ProfileApiLatency")
    assert latency > 0
    assert metrics == {"ProfilesHydrated": [1.0], "ProfileApiRequests": [1.0]}


def test_a_profile_is_one_log_line_that_names_it_and_its_messages(
    hydrator: Handler, cloud: Cloud, output: Output
) -> None:
    row(cloud)
    run(hydrator, published(), wanted())

    [line] = output.logs
    keys = ("level", "message", "outcome", "tenant_id", "profile_id", "message_ids")
    assert {key: line[key] for key in keys} == {
        "level": "INFO",
        "message": "profile hydrated",
        "outcome": "hydrated",
        "tenant_id": TENANT,
        "profile_id": "12345",
        "message_ids": ["message-1", "message-2"],
    }


def test_an_empty_batch_is_done(hydrator: Handler, output: Output) -> None:
    assert run(hydrator) == DONE
    assert output.text == ""


def test_a_burst_about_one_profile_is_one_request(
    hydrator: Handler, cloud: Cloud, api: ProfileApi, output: Output
) -> None:
    row(cloud)

    assert run(hydrator, *[published(), wanted()] * 50) == DONE
    assert len(api.requests) == 1
    assert counts(output) == {"ProfilesHydrated": 1, "ProfileApiRequests": 1}


def test_a_redelivered_message_asks_for_nothing(
    hydrator: Handler, cloud: Cloud, api: ProfileApi, output: Output
) -> None:
    row(cloud)
    run(hydrator, published())
    first = cloud.item("12345")

    assert run(hydrator, published()) == DONE
    assert cloud.item("12345") == first
    assert len(api.requests) == 1
    assert counts(output)["HydrationsSkipped"] == 1


def test_a_newer_event_fetches_the_profile_again(
    hydrator: Handler, cloud: Cloud, api: ProfileApi
) -> None:
    row(cloud)
    run(hydrator, published())
    api.profiles["12345"] = {"name": "Grace", "last_updated": "2023-10-01T11:00:01Z"}
    later = (datetime.now(UTC) + timedelta(seconds=5)).isoformat(timespec="microseconds")
    run(hydrator, published(received_at=later.replace("+00:00", "Z")))

    assert hydrated(cloud)["profile"]["name"] == "Grace"


def test_an_erased_profile_is_not_asked_for_and_does_not_come_back(
    hydrator: Handler, cloud: Cloud, api: ProfileApi, output: Output
) -> None:
    assert run(hydrator, published()) == DONE

    assert cloud.item("12345") is None
    assert api.requests == []
    assert counts(output) == {"HydrationsSkipped": 1}


@pytest.mark.parametrize("fault", [faults.slow(0), faults.status(404)], ids=["found", "not-found"])
def test_a_profile_that_is_erased_while_it_is_fetched_does_not_come_back(
    hydrator: Handler, cloud: Cloud, api: ProfileApi, fault: faults.Fault
) -> None:
    def erased_meanwhile(exchange: faults.Exchange, profile_id: str) -> None:
        cloud.erase("12345")
        fault(exchange, profile_id)

    row(cloud)
    api.fail(erased_meanwhile)

    assert run(hydrator, published()) == DONE
    assert len(api.requests) == 1
    assert cloud.item("12345") is None


def test_a_profile_that_is_not_found_keeps_the_last_one_known(
    hydrator: Handler, cloud: Cloud, api: ProfileApi, output: Output
) -> None:
    row(cloud, profile={"name": "Ada"}, profile_status="complete", profile_fetched_at="2023")
    api.fail(faults.status(404))

    assert run(hydrator, published()) == DONE
    found = hydrated(cloud)
    assert (found["profile"], found["profile_status"]) == ({"name": "Ada"}, "not_found")
    assert found["profile_fetched_at"] > "2023-10"
    assert counts(output)["ProfilesNotFound"] == 1


def test_a_late_404_does_not_hide_what_a_later_fetch_found(
    hydrator: Handler, cloud: Cloud, api: ProfileApi, output: Output
) -> None:
    def found_meanwhile(exchange: faults.Exchange, _profile_id: str) -> None:
        row(cloud, profile=ADA, profile_status="complete", profile_fetched_at="2999")
        exchange.answer(404, b"{}")

    row(cloud)
    api.fail(found_meanwhile)

    assert run(hydrator, published()) == DONE
    assert hydrated(cloud)["profile_status"] == "complete"
    assert counts(output)["HydrationsSkipped"] == 1


@pytest.mark.parametrize(
    ("profile", "detail"),
    [
        ({"text": "marker" * 80_000}, "DynamoDB refused the item as invalid"),
        ({"n": "<1E+126>"}, "A number is outside 1E-130 to 9.99E+125"),
        ({"n": "<0.1234567890123456789012345678901234567890>"}, "A number has more than 38 signif"),
        ({"marker": "\ud83d"}, "A text has half of a surrogate pair"),
    ],
    ids=["400-KB", "too-large-a-number", "40-digits", "surrogate"],
)
def test_a_profile_that_dynamodb_cannot_hold_is_marked_so(
    hydrator: Handler,
    cloud: Cloud,
    api: ProfileApi,
    output: Output,
    profile: dict[str, Any],
    detail: str,
) -> None:
    document = {"profile_id": "12345", "profile": ADA | profile}
    body = json.dumps(document).replace('"<', "").replace('>"', "")
    api.fail(faults.raw(body.encode()))
    row(cloud, profile={"name": "old"}, profile_updated_at="2022", profile_status="complete")

    assert run(hydrator, published()) == DONE
    found = hydrated(cloud)
    assert "profile" not in found
    assert found["profile_status"] == "not_storable"
    assert found["profile_updated_at"] == "2023-10-01T11:00:00.000000Z"
    [line] = output.logs
    assert line["detail"].startswith(detail)
    assert counts(output)["ProfilesNotStorable"] == 1


def test_an_update_log_may_be_larger_than_any_item(
    hydrator: Handler, cloud: Cloud, api: ProfileApi
) -> None:
    row(cloud)
    api.fail(faults.huge_log(2_000_000))
    run(hydrator, published())

    assert hydrated(cloud)["profile"] == ADA


def test_an_answer_that_is_too_large_to_read_is_marked_so(
    hydrator: Handler, cloud: Cloud, api: ProfileApi, output: Output
) -> None:
    row(cloud)
    api.fail(faults.huge_log(8 * 1024 * 1024))

    assert run(hydrator, published()) == DONE
    assert hydrated(cloud)["profile_status"] == "not_storable"
    assert counts(output)["ProfilesNotStorable"] == 1


@pytest.mark.parametrize("profile_id", ["a/b", "%2e%2e", "?x#y", "\ufffe\0 ", "𐀀" * 128])
def test_an_id_may_be_any_text(
    hydrator: Handler, cloud: Cloud, api: ProfileApi, profile_id: str
) -> None:
    row(cloud, profile_id)
    api.profiles[profile_id] = ADA

    assert run(hydrator, published(profile_id)) == DONE
    assert hydrated(cloud, profile_id)["profile"] == ADA


def test_every_kind_of_json_value_comes_back_as_it_was(
    hydrator: Handler, cloud: Cloud, api: ProfileApi
) -> None:
    members: list[Any] = [None, True, False, {}, [], "", "\ufffe", {"b": [Decimal("1.50")]}]
    profile = ADA | {"empty": "", "list": members}
    api.fail(faults.raw(to_json({"profile_id": "12345", "profile": profile}).encode()))
    row(cloud)
    run(hydrator, published())

    assert hydrated(cloud)["profile"] == profile


# ---------------------------------------------------------------- the API fails


@pytest.mark.parametrize(
    "fault",
    [
        faults.status(500),
        faults.status(503),
        faults.status(429),
        faults.status(429, retry_after="0"),
        faults.cut_short(),
        faults.trickle(0.02),
        faults.slow(30),
    ],
    ids=["500", "503", "429", "429-at-once", "cut-short", "trickle", "slow"],
)
def test_what_is_over_in_a_moment_is_bridged(
    hydrator: Handler, cloud: Cloud, api: ProfileApi, output: Output, fault: faults.Fault
) -> None:
    row(cloud)
    api.fail(fault, times=1)

    assert run(hydrator, published()) == DONE
    assert counts(output) == {"ProfilesHydrated": 1, "ProfileApiRequests": 2}


@pytest.mark.parametrize(
    ("fault", "error", "requests"),
    [
        (faults.status(500), "ApiUnavailableError", 4),
        (faults.trickle(0.02), "ApiUnavailableError", 4),
        (faults.raw(b"<html>marker</html>"), "UnexpectedAnswerError", 1),
        (faults.raw(b'{"profile_id": "12345", "marker": 1}'), "UnexpectedAnswerError", 1),
        (faults.other_profile("marker"), "UnexpectedAnswerError", 1),
        (faults.redirect("/v1/profile/marker"), "UnexpectedAnswerError", 1),
        (faults.status(400), "UnexpectedAnswerError", 1),
    ],
    ids=["500", "trickle", "no-json", "no-profile", "other-profile", "redirect", "400"],
)
def test_what_is_not_over_comes_again_and_nothing_else_does(
    hydrator: Handler,
    cloud: Cloud,
    api: ProfileApi,
    output: Output,
    fault: faults.Fault,
    error: str,
    requests: int,
) -> None:
    row(cloud, "12345", "good")
    api.profiles["good"] = ADA
    api.fail(fault, profile_id="12345")

    answer = run(hydrator, published(), wanted("good"), wanted())

    assert answer == failures("message-1", "message-3")
    assert hydrated(cloud, "good")["profile_status"] == "complete"
    assert "profile_status" not in hydrated(cloud)
    failed = [line for line in output.logs if line["message"] == "message failed"]
    assert {line["error"] for line in failed} == {error}
    assert counts(output) == {
        "ProfilesHydrated": 1,
        "HydrationsFailed": 2,
        "ProfileApiRequests": requests + 1,
    }

    api.heal()
    assert run(hydrator, published(), wanted()) == DONE
    assert hydrated(cloud)["profile_status"] == "complete"


def test_while_the_api_is_down_everything_comes_again(
    hydrator: Handler, cloud: Cloud, api: ProfileApi, output: Output
) -> None:
    row(cloud, "12345", "2")
    api.profiles["2"] = ADA
    api.down()

    assert len(run(hydrator, published(), wanted("2"))["batchItemFailures"]) == 2
    assert {line["detail"] for line in output.logs} == {
        "The API could not be reached (NewConnectionError)"
    }

    api.up()
    assert run(hydrator, published(), wanted("2")) == DONE


def test_what_the_api_puts_off_comes_again_when_it_said(
    start: Start, cloud: Cloud, api: ProfileApi, output: Output
) -> None:
    put_off = cloud.calls("sqs.ChangeMessageVisibilityBatch")
    sqs = boto3.client("sqs")
    queue_url = cloud.environment("HydratorFunction")["HYDRATION_QUEUE_URL"]
    bodies = [wanted(), wanted(), wanted("2")]
    for body in bodies:
        sqs.send_message(QueueUrl=queue_url, MessageBody=body)
    received = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)["Messages"]
    receipts = [message["ReceiptHandle"] for message in received]
    row(cloud, "12345", "2")
    api.profiles["2"] = ADA
    api.fail(faults.status(429, retry_after="300"), times=1)

    answer = start()(batch(*bodies, receipts=receipts), make_context(60_000))

    # Whichever profile was told so, the other was not asked for any more, or was before.
    failed = [int(one["itemIdentifier"][-1]) - 1 for one in answer["batchItemFailures"]]
    assert failed
    entries = [entry for request in put_off for entry in request["Entries"]]
    assert {entry["ReceiptHandle"] for entry in entries} == {receipts[n] for n in failed}
    assert all(290 <= entry["VisibilityTimeout"] <= 300 for entry in entries)
    assert 1 <= len(api.requests) <= 2


def test_not_more_requests_a_second_than_configured(
    start: Start, cloud: Cloud, api: ProfileApi
) -> None:
    """Two workers share 20 a second: 6 profiles take at least 5 turns of 0.1 s."""
    cloud.parameters["ProfileApiRequestsPerSecond"] = "20"
    profile_ids = [str(n) for n in range(6)]
    row(cloud, *profile_ids)
    api.profiles |= dict.fromkeys(profile_ids, ADA)
    hydrator = start()
    began = datetime.now(UTC)

    assert run(hydrator, *map(wanted, profile_ids)) == DONE
    assert datetime.now(UTC) - began >= timedelta(seconds=0.5)
    assert len(api.requests) == 6


# ---------------------------------------------------------------- the key


def test_a_rotated_key_is_used_on_its_first_request(
    hydrator: Handler, cloud: Cloud, api: ProfileApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    row(cloud, "12345", "2")
    api.profiles["2"] = ADA
    run(hydrator, published())
    api.key = NEW_KEY
    cloud.set_api_key(NEW_KEY)
    monkeypatch.setattr(sys.modules["hydrator.api_key"], "REREAD_SECONDS", 0)

    assert run(hydrator, wanted("2")) == DONE
    assert [request.authorized for request in api.requests] == [True, False, True]


def test_a_key_that_the_api_refuses_fails_the_messages_and_says_what_to_do(
    start: Start, cloud: Cloud, api: ProfileApi, output: Output
) -> None:
    profile_ids = [str(n) for n in range(20)]
    row(cloud, *profile_ids)
    api.key = NEW_KEY
    reads = cloud.calls("secrets-manager.GetSecretValue")
    hydrator = start()

    assert len(run(hydrator, *map(wanted, profile_ids))["batchItemFailures"]) == 20
    assert 1 <= len(api.requests) <= 4  # those under way at once
    assert len(reads) == 1
    assert {(line["level"], line["error"], line["detail"]) for line in output.logs} == {
        (
            "ERROR",
            "ApiKeyError",
            "The API refused the key (401): if it is wrong, set it again in Secrets Manager"
            " (README, 'Full profiles')",
        )
    }


def test_the_random_key_of_a_new_stack_is_logged_as_refused(
    start: Start, cloud: Cloud, api: ProfileApi, output: Output
) -> None:
    row(cloud)
    api.key = NEW_KEY
    cloud.set_api_key("random" * 10)

    assert run(start(), published()) == failures("message-1")
    assert "random" not in output.text


@pytest.mark.parametrize("value", ["short", f"{NEW_KEY}\n", f"{NEW_KEY} {NEW_KEY}"])
def test_a_key_that_cannot_work_is_not_sent(
    start: Start, cloud: Cloud, api: ProfileApi, output: Output, value: str
) -> None:
    row(cloud)
    cloud.set_api_key(value)

    assert run(start(), published()) == failures("message-1")
    assert api.requests == []
    assert output.logs[0]["detail"].endswith("(README, 'Full profiles')")


# ---------------------------------------------------------------- quarantine and failure


@pytest.mark.parametrize(
    ("body", "reason", "error"),
    [
        ("not json", "not_json", "NotJsonError"),
        ('{"detail-type": "profile.updated"}', "invalid_hydration", "InvalidHydrationError"),
        (published(".."), "invalid_hydration", "InvalidHydrationError"),
    ],
)
def test_what_can_never_succeed_is_dead_lettered_with_the_reason_in_one_attempt(
    hydrator: Handler, cloud: Cloud, output: Output, body: str, reason: str, error: str
) -> None:
    row(cloud)

    assert run(hydrator, body, published()) == DONE
    [message] = cloud.messages("DeadLetterQueue")
    assert message.body == body
    assert message.attributes == {
        "source": "hydrator",
        "reason": reason,
        "error": error,
        "detail": message.attributes["detail"],
    }
    assert hydrated(cloud)["profile_status"] == "complete"
    assert output.metrics(reason=reason) == {"DeadLettered": [1.0]}


def test_a_message_that_the_dead_letter_queue_does_not_take_comes_again(
    hydrator: Handler, cloud: Cloud, output: Output
) -> None:
    cloud.delete_queue("DeadLetterQueue")

    assert run(hydrator, "not json") == failures("message-1")
    assert counts(output) == {"HydrationsFailed": 1}


@pytest.mark.parametrize("operation", ["GetItem", "UpdateItem"])
def test_when_the_table_fails_the_messages_come_again(
    start: Start, cloud: Cloud, output: Output, operation: str
) -> None:
    cloud.fail(f"dynamodb.{operation}", "AccessDeniedException")
    row(cloud)

    assert run(start(), published(), "not json") == failures("message-1")
    [failed] = [line for line in output.logs if line["message"] == "message failed"]
    assert failed["error"] == "AccessDeniedException"


def test_an_error_that_nobody_foresaw_is_logged_by_its_name_alone(
    hydrator: Handler, cloud: Cloud, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> str:
        raise LookupError("quotes the profile: marker")

    row(cloud)
    monkeypatch.setattr(sys.modules["hydrator.profile_api"], "parse_profile", fail)

    assert run(hydrator, published()) == failures("message-1")
    assert [(line["error"], line.get("detail")) for line in output.logs] == [("LookupError", None)]


def test_when_too_little_time_is_left_nothing_begins(
    hydrator: Handler, cloud: Cloud, api: ProfileApi, output: Output
) -> None:
    row(cloud)

    assert hydrator(batch(published()), make_context(24_999)) == failures("message-1")
    assert api.requests == []
    assert {line["error"] for line in output.logs} == {"OutOfTimeError"}


def test_no_part_of_a_profile_and_no_secret_gets_into_the_log(
    start: Start, cloud: Cloud, api: ProfileApi, output: Output
) -> None:
    cloud.parameters["LogLevel"] = "DEBUG"
    api.profiles["12345"] = ADA | {"marker": "marker"}
    api.profiles["2"] = {"last_updated": "marker"}
    api.profiles["3"] = ADA | {"marker": "marker" * 80_000}
    api.fail(faults.raw(b'{"marker": '), profile_id="4")
    row(cloud, "12345", "2", "3", "4")
    hydrator = start()

    run(hydrator, published(), *map(wanted, "234"), "marker", json.dumps({"hydrate": "marker"}))

    assert len(output.logs) == 6
    for hidden in ("marker", "Bearer", API_KEY[:12], SECRET):
        assert hidden not in output.text


# ---------------------------------------------------------------- reconciliation


def reconcile(cloud: Cloud, hydrator: Handler, body: str) -> dict[str, Any]:
    """Run a reconciliation to its end: each page, and then what the pages queued."""
    answers = [run(hydrator, body)]
    while waiting := [message.body for message in cloud.messages("HydrationQueue")]:
        answers.append(run(hydrator, *waiting))
    [answer] = [a for n, a in enumerate(answers) if a not in answers[:n]]
    return answer


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_all_known_profiles_are_fetched_anew_page_by_page(
    hydrator: Handler,
    cloud: Cloud,
    api: ProfileApi,
    output: Output,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
) -> None:
    monkeypatch.setattr(sys.modules["hydrator.profiles"], "PAGE_ROWS", 2)
    profile_ids = [f"p{n}\ufffe" for n in range(rows)]
    for profile_id in profile_ids:
        row(cloud, profile_id)
    row(cloud, "fresh", profile_fetched_at="2999-01-01T00:00:00.000000Z")
    api.profiles |= dict.fromkeys([*profile_ids, "fresh"], ADA)

    assert reconcile(cloud, hydrator, '{"reconcile": {}}') == DONE

    assert len(api.requests) == rows
    assert {hydrated(cloud, one)["profile_status"] for one in profile_ids} <= {"complete"}
    pages = [line for line in output.logs if line["message"] == "page reconciled"]
    assert sum(page["queued"] for page in pages) == rows
    assert len(pages) >= (rows + 1) / 2


def test_a_page_that_comes_again_fetches_nothing_twice(
    hydrator: Handler, cloud: Cloud, api: ProfileApi
) -> None:
    row(cloud, "12345", "2")
    api.profiles["2"] = ADA

    assert reconcile(cloud, hydrator, '{"reconcile": {}}') == DONE
    assert reconcile(cloud, hydrator, '{"reconcile": {}}') == DONE
    assert len(api.requests) == 2


def test_a_page_that_is_not_queued_whole_comes_again(
    start: Start, cloud: Cloud, output: Output
) -> None:
    cloud.fail("sqs.SendMessageBatch", "AccessDenied")
    row(cloud)

    assert run(start(), '{"reconcile": {}}') == failures("message-1")
    assert counts(output) == {"HydrationsFailed": 1}


# ---------------------------------------------------------------- convergence

_profiles = itertools.count()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_the_order_and_duplication_of_answers_the_newest_one_stays(
    hydrator: Handler, cloud: Cloud, api: ProfileApi, data: st.DataObject
) -> None:
    profile_id = f"profile-{next(_profiles)}"
    row(cloud, profile_id)
    updated = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=6))
    for n, hour in enumerate(updated):
        told = f"2023-10-01T{hour:02}:00:00" + data.draw(st.sampled_from(["Z", "", ".0+00:00"]))
        api.profiles[profile_id] = {"last_updated": told, "hour": hour, "n": n}
        since = f"2999-01-01T00:00:{n:02}.000000Z"  # so that it is fetched in any case
        again = data.draw(st.integers(1, 2))
        assert run(hydrator, *[wanted(profile_id, since)] * again) == DONE

    newest = max(updated)
    last = max(n for n, hour in enumerate(updated) if hour == newest)
    profile = hydrated(cloud, profile_id)["profile"]
    assert (profile["hour"], profile["n"]) == (newest, last)


def test_of_two_fetches_at_once_the_newer_answer_stays(
    hydrator: Handler, cloud: Cloud, api: ProfileApi
) -> None:
    """Two workers ask; the first is answered first, with an older profile, but writes last."""
    row(cloud)
    written = threading.Event()

    def late(exchange: faults.Exchange, profile_id: str) -> None:
        answer = exchange.document(profile_id)
        written.wait(5)
        exchange.answer(200, json.dumps(answer).encode())

    http = sys.modules["hydrator.handler"]._hydrator.api.http
    http._request_seconds = 5
    api.fail(late, times=1)
    first = threading.Thread(target=run, args=[hydrator, wanted()])
    first.start()
    while not api.requests:
        written.wait(0.01)
    api.profiles["12345"] = {"name": "Grace", "last_updated": "2023-10-01T11:00:01Z"}
    run(hydrator, wanted())
    written.set()
    first.join()

    assert len(api.requests) == 2
    assert hydrated(cloud)["profile"]["name"] == "Grace"
