import itertools
import json
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.local import fake_profile_api as faults
from infra.local.fake_profile_api import FakeProfileApi
from tests.factories import SECRET, make_context, make_event, make_sqs_record, to_json
from tests.functional.cloud import Cloud, aws_client
from tests.functional.conftest import API_KEY, Handler, Output

DONE: dict[str, Any] = {"batchItemFailures": []}
TENANT = "abc-tenant"
SINCE = "2023-10-01T12:00:01.234567Z"
VERSION = "2023-10-01T12:00:00.000000Z#3#evt_1"
ADA: dict[str, Any] = {"name": "Ada", "last_updated": "2023-10-01T11:00:00Z"}
GRACE: dict[str, Any] = {"name": "Grace", "last_updated": "2023-10-01T11:00:01Z"}
NEW_KEY = "the-new-api-key-0123456789"

Start = Callable[[], Handler]


@pytest.fixture
def api(profile_api: FakeProfileApi) -> FakeProfileApi:
    profile_api.profiles["12345"] = dict(ADA)
    return profile_api


@pytest.fixture
def start(cloud: Cloud, load: Callable[[str], Handler], api: FakeProfileApi) -> Start:
    """A cold start of HydratorFunction with the API's key set, at 500 requests a second."""
    cloud.set_api_key(API_KEY)
    cloud.parameters |= {
        "HydrateProfiles": "true",
        "ProfileApiUrl": api.url,
        "ProfileApiRequestsPerSecond": "1000",
    }
    return lambda: load("HydratorFunction")


@pytest.fixture
def hydrator(start: Start) -> Handler:
    return start()


@pytest.fixture(autouse=True)
def nothing_secret_is_logged(hydrator: Handler, output: Output) -> Iterator[None]:
    yield
    assert API_KEY not in output.text
    assert NEW_KEY not in output.text
    assert "marker" not in output.text


def known(
    cloud: Cloud, *profile_ids: str, version: str = VERSION, received_at: str = SINCE
) -> None:
    """Let profiles have a state, as the consumer writes it."""
    for profile_id in profile_ids or ("12345",):
        key = {"tenant_id": TENANT, "profile_id": profile_id}
        cloud.put_item(key | {"version": version, "received_at": received_at})


def fetched_before(cloud: Cloud, profile_id: str = "12345", **attributes: Any) -> None:
    """Let a full profile be stored, fetched long ago unless the attributes say otherwise."""
    item = {
        "tenant_id": TENANT,
        "profile_id": profile_id,
        "state_version": "2022",
        "profile_status": "complete",
        "profile_fetched_at": "2022-01-01T00:00:00.000000Z",
    }
    cloud.put_item(item | attributes, table="FullProfilesTable")


def full(cloud: Cloud, profile_id: str = "12345") -> dict[str, Any]:
    """A profile's item in FullProfilesTable; empty when there is none."""
    return cloud.item(profile_id, table="FullProfilesTable") or {}


def published(profile_id: str = "12345", event_id: str = "evt_1") -> str:
    event = make_event(event_id, profile_id=profile_id, created_at="2023-10-01T12:00:00Z")
    detail = event | {"outcome": "applied", "received_at": SINCE}
    return json.dumps({"detail-type": "profile.updated", "detail": detail})


def wanted(profile_id: str = "12345", since: str = SINCE) -> str:
    asked = {"tenant_id": TENANT, "profile_id": profile_id, "since": since}
    return json.dumps({"hydrate": asked})


def run(hydrator: Handler, *bodies: str, receipts: list[str] | None = None) -> dict[str, Any]:
    records = [
        make_sqs_record(body, f"message-{n}", attributes={}) for n, body in enumerate(bodies, 1)
    ]
    for record, receipt in zip(records, receipts or [], strict=False):
        record["receiptHandle"] = receipt
    return hydrator({"Records": records}, make_context(60_000))


def failures(*message_ids: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": one} for one in message_ids]}


def counts(output: Output) -> dict[str, float]:
    return {name: sum(values) for name, values in output.metrics().items() if "Latency" not in name}


def failed_lines(output: Output) -> list[dict[str, Any]]:
    return [line for line in output.logs if line["message"] == "message failed"]


# ---------------------------------------------------------------- outcomes


def test_a_profile_is_fetched_and_stored_apart_from_its_state(
    hydrator: Handler, cloud: Cloud, api: FakeProfileApi, output: Output
) -> None:
    known(cloud)
    state = cloud.item("12345")
    api.profiles["12345"] |= {"scores": [1.5], "update_log": [{"note": "marker"}] * 100}
    before = datetime.now(UTC)

    assert run(hydrator, published()) == DONE

    found = full(cloud)
    assert before <= datetime.fromisoformat(found.pop("profile_fetched_at")) <= datetime.now(UTC)
    assert found == {
        "tenant_id": TENANT,
        "profile_id": "12345",
        "state_version": VERSION,
        "profile": ADA | {"scores": [Decimal("1.5")]},
        "profile_updated_at": "2023-10-01T11:00:00.000000Z",
        "profile_status": "complete",
    }
    assert cloud.item("12345") == state
    assert api.requests == [faults.RecordedRequest("/v1/profile/12345", authorized=True)]
    metrics = output.metrics()
    [latency] = metrics.pop("ProfileApiLatency")
    assert latency > 0
    assert metrics == {"ProfilesHydrated": [1.0], "ProfileApiRequests": [1.0]}


def test_a_profile_is_one_log_line_that_names_it_and_its_messages(
    hydrator: Handler, cloud: Cloud, output: Output
) -> None:
    known(cloud)
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


def test_a_redelivered_message_asks_for_nothing_and_a_newer_event_does(
    hydrator: Handler, cloud: Cloud, api: FakeProfileApi, output: Output
) -> None:
    known(cloud)
    run(hydrator, published())
    first = full(cloud)
    assert run(hydrator, published()) == DONE
    assert full(cloud) == first

    api.profiles["12345"] = GRACE
    known(cloud, version=VERSION.replace("evt_1", "evt_2"))  # of the same second
    assert run(hydrator, published(event_id="evt_2")) == DONE
    assert full(cloud)["profile"] == GRACE
    assert len(api.requests) == 2
    assert counts(output)["HydrationsSkipped"] == 1


def test_an_erased_profile_is_not_asked_for(
    hydrator: Handler, cloud: Cloud, api: FakeProfileApi, output: Output
) -> None:
    assert run(hydrator, published()) == DONE
    assert (api.requests, full(cloud)) == ([], {})
    assert counts(output) == {"HydrationsSkipped": 1}


@pytest.mark.parametrize("profile", [{"name": "Ada"}, None], ids=["known", "unknown"])
@pytest.mark.parametrize("status", [400, 404])
def test_a_profile_that_is_not_found_keeps_the_last_one_known(
    hydrator: Handler,
    cloud: Cloud,
    api: FakeProfileApi,
    output: Output,
    status: int,
    profile: dict[str, Any] | None,
) -> None:
    known(cloud)
    if profile:
        fetched_before(cloud, profile=profile)
    api.fail(faults.status(status))

    assert run(hydrator, published()) == DONE
    found = full(cloud)
    assert (found.get("profile"), found["profile_status"]) == (profile, "not_found")
    assert found["profile_fetched_at"] > "2023-10"
    assert counts(output)["ProfilesNotFound"] == 1


def test_a_404_right_after_the_event_is_retried_and_then_found(
    hydrator: Handler, cloud: Cloud, api: FakeProfileApi, output: Output
) -> None:
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    known(cloud, received_at=now)
    api.fail(faults.status(404), times=1)

    assert run(hydrator, published()) == failures("message-1")
    assert full(cloud) == {}
    assert [(line["error"], line["detail"]) for line in output.logs] == [
        ("UnexpectedAnswerError", "The API answered 404: it does not have the profile yet")
    ]

    assert run(hydrator, published()) == DONE
    assert full(cloud)["profile_status"] == "complete"


@pytest.mark.parametrize(
    ("profile", "detail"),
    [
        ({"text": "marker" * 80_000}, "The item is larger than 400 KB"),
        ({"n": "<1E+126>"}, "A number is outside 1E-130 to 9.99E+125"),
        ({"marker": "\ud83d"}, "A text contains half of a surrogate pair"),
        ({"many": [0] * 300_000}, "The body has more than 300000 values"),
        ({"update_log": "x" * 8 * 1024 * 1024}, "The body has more than 8 MiB"),
    ],
    ids=["400-KB", "too-large-a-number", "surrogate", "values", "bytes"],
)
def test_a_profile_that_cannot_be_stored_is_marked_so(
    hydrator: Handler,
    cloud: Cloud,
    api: FakeProfileApi,
    output: Output,
    profile: dict[str, Any],
    detail: str,
) -> None:
    document = {"profile_id": "12345", "profile": ADA | profile}
    body = json.dumps(document).replace('"<', "").replace('>"', "")
    api.fail(faults.raw(body.encode()))
    known(cloud)
    fetched_before(cloud, profile={"name": "old"}, profile_updated_at="2022")

    assert run(hydrator, published()) == DONE
    found = full(cloud)
    assert "profile" not in found
    assert (found["profile_status"], found["state_version"]) == ("not_storable", VERSION)
    [line] = output.logs
    assert (line["level"], line["detail"]) == ("WARNING", detail)
    assert counts(output)["ProfilesNotStorable"] == 1


def test_an_update_log_may_be_larger_than_any_item(
    hydrator: Handler, cloud: Cloud, api: FakeProfileApi
) -> None:
    known(cloud)
    api.fail(faults.huge_log(2_000_000))
    run(hydrator, published())

    assert full(cloud)["profile"] == ADA


@pytest.mark.parametrize("profile_id", ["a/b", "%41", "?x#y", "\ufffe\0 ", "𐀀" * 128])
def test_an_id_may_be_any_text_that_a_url_can_name(
    hydrator: Handler, cloud: Cloud, api: FakeProfileApi, profile_id: str
) -> None:
    known(cloud, profile_id)
    api.profiles[profile_id] = ADA

    assert run(hydrator, published(profile_id)) == DONE
    assert full(cloud, profile_id)["profile"] == ADA


def test_an_api_that_takes_an_escaped_slash_for_a_step_stores_nobody_elses_profile(
    hydrator: Handler, cloud: Cloud, api: FakeProfileApi
) -> None:
    """As a proxy does that decodes `12345%2Fb` and serves `/v1/profile/12345`."""
    known(cloud, "12345/b")
    api.fail(faults.other_profile("12345"))

    assert run(hydrator, published("12345/b")) == failures("message-1")
    assert full(cloud, "12345/b") == {}


def test_every_kind_of_json_value_comes_back_as_it_was(
    hydrator: Handler, cloud: Cloud, api: FakeProfileApi
) -> None:
    members: list[Any] = [None, True, False, {}, [], "", "\ufffe", {"b": [Decimal("1.50")]}]
    profile = ADA | {"empty": "", "list": members, "large": Decimal("1E+100")}
    api.fail(faults.raw(to_json({"profile_id": "12345", "profile": profile}).encode()))
    known(cloud)
    run(hydrator, published())

    assert full(cloud)["profile"] == profile


def test_a_flat_profile_without_last_updated_replaces_the_one_that_was_fetched_before_it(
    hydrator: Handler, cloud: Cloud, api: FakeProfileApi
) -> None:
    known(cloud)
    fetched_before(cloud, profile=ADA, profile_updated_at="2999")
    flat = {"profile_id": "12345", "status": "ready", "core_info": {"name": "Ada"}}
    api.fail(faults.raw(json.dumps(flat).encode()))

    assert run(hydrator, published()) == DONE
    found = full(cloud)
    assert (found["profile"], "profile_updated_at" in found) == (flat, False)


# ---------------------------------------------------------------- the API fails


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.status(500), "ApiUnavailableError"),
        (faults.cut_short(), "ApiUnavailableError"),
        (faults.raw(b"<html>marker</html>"), "UnexpectedAnswerError"),
        (faults.raw(b'{"error": "marker", "message": "marker"}'), "UnexpectedAnswerError"),
        (faults.other_profile("marker"), "UnexpectedAnswerError"),
        (faults.redirect("/v1/profile/marker"), "UnexpectedAnswerError"),
        (faults.status(403), "UnexpectedAnswerError"),
    ],
    ids=["500", "cut-short", "no-json", "no-profile", "other-profile", "redirect", "403"],
)
def test_what_fails_is_retried_by_the_queue_and_nothing_else_is(
    hydrator: Handler,
    cloud: Cloud,
    api: FakeProfileApi,
    output: Output,
    fault: faults.Fault,
    error: str,
) -> None:
    known(cloud, "12345", "good")
    api.profiles["good"] = ADA
    api.fail(fault, profile_id="12345")

    answer = run(hydrator, published(), wanted("good"), wanted())

    assert answer == failures("message-1", "message-3")
    assert (full(cloud), full(cloud, "good")["profile_status"]) == ({}, "complete")
    assert {line["error"] for line in failed_lines(output)} == {error}
    assert counts(output) == {
        "ProfilesHydrated": 1,
        "HydrationsFailed": 2,
        "ProfileApiRequests": 2,
    }

    api.heal()
    assert run(hydrator, published(), wanted()) == DONE
    assert full(cloud)["profile_status"] == "complete"


def test_while_the_api_is_down_everything_is_retried(
    hydrator: Handler, cloud: Cloud, api: FakeProfileApi, output: Output
) -> None:
    known(cloud, "12345", "2")
    api.profiles["2"] = ADA
    api.down()

    assert len(run(hydrator, published(), wanted("2"))["batchItemFailures"]) == 2
    assert {line["detail"] for line in output.logs} == {
        "The API could not be reached (ConnectionRefusedError)"
    }

    api.up()
    assert run(hydrator, published(), wanted("2")) == DONE


def test_a_pause_that_the_api_asks_for_is_kept_and_delays_the_rest_of_the_batch(
    start: Start, cloud: Cloud, api: FakeProfileApi, output: Output
) -> None:
    delays = cloud.calls("sqs.ChangeMessageVisibilityBatch")
    sqs = aws_client("sqs")
    queue_url = cloud.environment("HydratorFunction")["HYDRATION_QUEUE_URL"]
    bodies = [wanted("good"), wanted(), wanted("2"), wanted("3")]
    for body in bodies:
        sqs.send_message(QueueUrl=queue_url, MessageBody=body)
    received = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)["Messages"]
    receipts = [message["ReceiptHandle"] for message in received]
    known(cloud, "good", "12345", "2", "3")
    api.profiles["good"] = ADA
    api.fail(faults.status(429, retry_after="300"), profile_id="12345")

    answer = run(start(), *bodies, receipts=receipts)

    assert answer == failures("message-2", "message-3", "message-4")
    assert len(api.requests) == 2
    [request] = delays
    assert {entry["ReceiptHandle"] for entry in request["Entries"]} == set(receipts[1:])
    assert all(290 <= entry["VisibilityTimeout"] <= 300 for entry in request["Entries"])
    assert {line["error"] for line in failed_lines(output)} == {"ApiUnavailableError"}


def test_not_more_requests_a_second_than_configured(
    start: Start, cloud: Cloud, api: FakeProfileApi
) -> None:
    """Two workers share 20 a second: 6 profiles take at least 5 turns of 0.1 s."""
    cloud.parameters["ProfileApiRequestsPerSecond"] = "20"
    profile_ids = [str(n) for n in range(6)]
    known(cloud, *profile_ids)
    api.profiles |= dict.fromkeys(profile_ids, ADA)
    hydrator = start()
    began = datetime.now(UTC)

    assert run(hydrator, *map(wanted, profile_ids)) == DONE
    assert datetime.now(UTC) - began >= timedelta(seconds=0.5)
    assert len(api.requests) == 6


# ---------------------------------------------------------------- the key


def test_a_rotated_key_costs_one_refused_request(
    hydrator: Handler, cloud: Cloud, api: FakeProfileApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(cloud, "12345", "2")
    api.profiles["2"] = ADA
    run(hydrator, published())
    api.key = NEW_KEY
    cloud.set_api_key(NEW_KEY)
    monkeypatch.setattr(sys.modules["receiver.hydrator.api_key"], "REREAD_SECONDS", 0)

    assert run(hydrator, wanted("2")) == failures("message-1")
    assert run(hydrator, wanted("2")) == DONE
    assert [request.authorized for request in api.requests] == [True, False, True]


def test_a_key_that_the_api_refuses_fails_the_whole_batch_after_one_request(
    start: Start, cloud: Cloud, api: FakeProfileApi, output: Output
) -> None:
    profile_ids = [str(n) for n in range(10)]
    known(cloud, *profile_ids)
    api.key = NEW_KEY
    reads = cloud.calls("secrets-manager.GetSecretValue")
    hydrator = start()

    assert len(run(hydrator, *map(wanted, profile_ids))["batchItemFailures"]) == 10
    assert len(api.requests) == len(reads) == 1
    assert {(line["error"], line["detail"]) for line in output.logs} == {
        (
            "ApiKeyError",
            "The API refused the key (401). If it is wrong, set it with"
            " `gpw secret set --for api` (docs/full-profiles.md)",
        )
    }


# ---------------------------------------------------------------- quarantine and failure


def test_what_can_never_succeed_is_dead_lettered_with_the_reason_in_one_attempt(
    hydrator: Handler, cloud: Cloud, output: Output
) -> None:
    known(cloud)
    body = published("a/../b")

    assert run(hydrator, body, published()) == DONE
    [message] = cloud.messages("DeadLetterQueue")
    assert message.body == body
    assert message.attributes == {
        "source": "hydrator",
        "reason": "invalid_hydration",
        "error": "InvalidHydrationError",
        "detail": "profile_id: No URL can name this profile",
    }
    assert full(cloud)["profile_status"] == "complete"
    assert output.metrics(reason="invalid_hydration") == {"DeadLettered": [1.0]}


@pytest.mark.parametrize("operation", ["GetItem", "TransactWriteItems"])
def test_when_a_table_fails_the_messages_are_retried(
    start: Start, cloud: Cloud, output: Output, operation: str
) -> None:
    cloud.fail(f"dynamodb.{operation}", "AccessDeniedException")
    known(cloud)

    assert run(start(), published(), "not json") == failures("message-1")
    [failed] = failed_lines(output)
    assert failed["error"] == "AccessDeniedException"


def test_an_error_that_nobody_foresaw_is_logged_by_its_name_alone(
    hydrator: Handler, cloud: Cloud, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> str:
        raise LookupError("quotes the profile: marker")

    known(cloud)
    monkeypatch.setattr(sys.modules["receiver.hydrator.profile_api"], "parse_profile", fail)

    assert run(hydrator, published()) == failures("message-1")
    assert [(line["error"], line.get("detail")) for line in output.logs] == [("LookupError", None)]


def test_no_part_of_a_profile_and_no_secret_gets_into_the_log(
    start: Start, cloud: Cloud, api: FakeProfileApi, output: Output
) -> None:
    cloud.parameters["LogLevel"] = "DEBUG"
    api.profiles["12345"] = ADA | {"marker": "marker"}
    api.profiles["2"] = {"last_updated": "marker"}
    api.profiles["3"] = ADA | {"marker": "marker" * 80_000}
    api.fail(faults.raw(b'{"marker": '), profile_id="4")
    known(cloud, "12345", "2", "3", "4")
    hydrator = start()

    run(hydrator, published(), *map(wanted, "234"), "marker", json.dumps({"hydrate": "marker"}))

    assert len(output.logs) == 10  # a request each, and what became of a message
    for hidden in ("marker", "Bearer", API_KEY[:12], SECRET):
        assert hidden not in output.text


# ---------------------------------------------------------------- what happens meanwhile

_profiles = itertools.count()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_the_order_and_duplication_of_answers_the_newest_one_stays(
    hydrator: Handler, cloud: Cloud, api: FakeProfileApi, data: st.DataObject
) -> None:
    profile_id = f"profile-{next(_profiles)}"
    known(cloud, profile_id)
    updated = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=6))
    for n, hour in enumerate(updated):
        told = f"2023-10-01T{hour:02}:00:00" + data.draw(st.sampled_from(["Z", "", ".0+00:00"]))
        api.profiles[profile_id] = {"last_updated": told, "hour": hour, "n": n}
        since = f"2999-01-01T00:00:{n:02}.000000Z"  # so that it is fetched in any case
        again = data.draw(st.integers(1, 2))
        assert run(hydrator, *[wanted(profile_id, since)] * again) == DONE

    newest = max(updated)
    last = max(n for n, hour in enumerate(updated) if hour == newest)
    profile = full(cloud, profile_id)["profile"]
    assert (profile["hour"], profile["n"]) == (newest, last)


# Every call of a hydration, in order; the API's request is the third.
CALLS = ["GetItem/ProfilesTable", "GetItem/FullProfilesTable", "the API", "TransactWriteItems"]


@pytest.fixture
def meanwhile(
    start: Start, cloud: Cloud, api: FakeProfileApi
) -> Callable[[str, Callable[[], None]], Handler]:
    """A hydrator before one of whose calls something else happens, once."""

    def prepare(call: str, happens: Callable[[], None]) -> Handler:
        waiting = [happens]

        def once() -> None:
            while waiting:
                waiting.pop()()

        def before(**called: Any) -> None:
            operation = called["model"].name
            table = called["params"].get("TableName")
            if call in {operation, f"{operation}/{table}"}:
                once()

        def before_the_answer(exchange: faults.Exchange, profile_id: str) -> None:
            body = json.dumps(exchange.document(profile_id)).encode()
            once()
            exchange.answer(200, body)

        if call == "the API":
            api.fail(before_the_answer, times=1)
        cloud.session.register("before-parameter-build.dynamodb", before)
        return start()

    return prepare


@pytest.mark.parametrize("call", CALLS)
def test_a_profile_that_is_erased_at_any_time_does_not_come_back(
    meanwhile: Callable[..., Handler], cloud: Cloud, api: FakeProfileApi, call: str
) -> None:
    known(cloud)

    assert run(meanwhile(call, lambda: cloud.erase("12345")), published(), wanted()) == DONE
    assert (cloud.item("12345"), full(cloud)) == (None, {})


@pytest.mark.parametrize("call", CALLS)
def test_a_newer_event_that_comes_at_any_time_is_fetched_when_its_message_comes(
    meanwhile: Callable[..., Handler], cloud: Cloud, api: FakeProfileApi, call: str
) -> None:
    def newer() -> None:
        known(cloud, version=VERSION.replace("evt_1", "evt_2"))
        api.profiles["12345"] = GRACE

    known(cloud)
    hydrator = meanwhile(call, newer)

    assert run(hydrator, published()) == DONE
    assert run(hydrator, published(event_id="evt_2")) == DONE
    assert full(cloud)["profile"] == GRACE


@pytest.mark.parametrize("call", CALLS)
def test_a_second_worker_with_a_newer_answer_wins_whenever_it_writes(
    meanwhile: Callable[..., Handler], cloud: Cloud, api: FakeProfileApi, output: Output, call: str
) -> None:
    newer: dict[str, Any] = {
        "profile": GRACE,
        "profile_updated_at": "2023-10-01T11:00:01.000000Z",
        "profile_fetched_at": "2023-10-01T12:00:01.000000Z",
    }
    known(cloud)

    hydrator = meanwhile(call, lambda: fetched_before(cloud, **newer))
    assert run(hydrator, published()) == DONE
    assert full(cloud)["profile"] == GRACE
    assert counts(output)["HydrationsSkipped"] == 1


def test_a_late_404_does_not_hide_what_a_later_fetch_found(
    meanwhile: Callable[..., Handler], cloud: Cloud, api: FakeProfileApi
) -> None:
    later: dict[str, Any] = {"profile": ADA, "profile_fetched_at": "2999-01-01T00:00:00.000000Z"}
    known(cloud)
    hydrator = meanwhile("TransactWriteItems", lambda: fetched_before(cloud, **later))
    api.fail(faults.status(404))

    assert run(hydrator, published()) == DONE
    assert full(cloud)["profile_status"] == "complete"


def test_of_two_fetches_at_once_the_newer_answer_stays(
    hydrator: Handler, cloud: Cloud, api: FakeProfileApi
) -> None:
    """Two workers ask; the first is answered first, with an older profile, but writes last."""
    known(cloud)
    written = threading.Event()

    def late(exchange: faults.Exchange, profile_id: str) -> None:
        answer = exchange.document(profile_id)
        written.wait(30)
        exchange.answer(200, json.dumps(answer).encode())

    api.fail(late, times=1)
    first = threading.Thread(target=run, args=[hydrator, wanted()])
    first.start()
    while not api.requests:
        written.wait(0.01)
    api.profiles["12345"] = GRACE
    run(hydrator, wanted())
    written.set()
    first.join()

    assert len(api.requests) == 2
    assert full(cloud)["profile"] == GRACE
