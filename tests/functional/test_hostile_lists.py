"""A sweep, by the real handlers, of a list that no well-behaved API would send."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.local import fake_profile_api as faults
from infra.local.fake_profile_api import FakeProfileApi
from receiver.domain.version import timestamp
from tests.aws_limits import message_refusal
from tests.factories import make_context, make_event, make_sqs_record
from tests.functional.cloud import Cloud
from tests.functional.conftest import API_KEY, Handler, Output
from tests.functional.whole_receiver import Receiver

TENANT = "abc-tenant"
UPDATED = "2023-10-01T11:00:00Z"
MARK = "m4rk3d"  # in every profile; nothing may log it
GOOD: dict[str, Any] = {
    "profile_id": "good",
    "tenant_id": TENANT,
    "status": "ready",
    "last_updated": UPDATED,
    "name": MARK,
}


@pytest.fixture
def receiver(
    cloud: Cloud,
    load: Callable[[str], Handler],
    profile_api: FakeProfileApi,
    monkeypatch: pytest.MonkeyPatch,
) -> Receiver:
    cloud.set_api_key(API_KEY)
    cloud.parameters |= {
        "HydrateProfiles": "true",
        "PublishBackfill": "true",
        "ProfileApiUrl": profile_api.url,
        "ProfileApiRequestsPerSecond": "1000",
    }
    # moto takes characters that SQS refuses.
    cloud.fail(
        "sqs.SendMessageBatch",
        "InvalidMessageContents",
        when=lambda request: any(
            message_refusal({"MessageAttributes": {}} | one) for one in request["Entries"]
        ),
    )
    receiver = Receiver(cloud, load)
    # Nothing consumes while the hydrator runs, so it would wait in vain.
    monkeypatch.setattr(sys.modules["receiver.hydrator.sync"], "WAIT_SECONDS", 0)
    return receiver


def listing(*profiles: dict[str, Any], **changes: Any) -> bytes:
    document = {"profiles": profiles, "total": len(profiles), "page": 1, "pageSize": 100}
    return json.dumps(document | changes).encode()


def profile(**changes: Any) -> dict[str, Any]:
    return GOOD | changes


GENUINE = listing(GOOD)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(faults.raw(b'{"profiles":' * 100_000), id="nested too deeply"),
        pytest.param(faults.raw(GENUINE[:-1] + b',"profiles":[]}'), id="a key twice"),
        pytest.param(
            faults.raw(GENUINE.replace(b'"name"', b'"status":"m4rk3d","name"')),
            id="a key of a profile twice",
        ),
        pytest.param(faults.raw(GENUINE.replace(b'"ready"', b"NaN")), id="NaN"),
        pytest.param(faults.raw(GENUINE.replace(b'"ready"', b"1e" + b"9" * 30)), id="endless"),
        pytest.param(faults.raw(GENUINE[:-20]), id="cut in the middle"),
        pytest.param(faults.cut_short(), id="shorter than announced"),
        pytest.param(faults.raw(GENUINE.replace(b"m4rk3d", b"m4rk3d\xff")), id="not UTF-8"),
        pytest.param(faults.raw(GENUINE.decode().encode("utf-16")), id="UTF-16"),
        pytest.param(faults.raw(b'{"error":1,"message":"m4rk3d"}'), id="an error with status 200"),
        pytest.param(faults.raw(b""), id="empty"),
        pytest.param(faults.raw(b'{"profiles":["m4rk3d"]}'), id="not of objects"),
        pytest.param(faults.status(302), id="a redirect"),
    ],
)
def test_an_answer_that_is_no_list_is_retried_and_nothing_is_written_or_logged_of_it(
    receiver: Receiver,
    cloud: Cloud,
    profile_api: FakeProfileApi,
    output: Output,
    answer: faults.Fault,
) -> None:
    profile_api.fail(answer)
    receiver.hydrate('{"sync": {}}', "message", expected=1)
    assert (cloud.item("good"), cloud.history()) == (None, [])

    profile_api.heal()
    profile_api.fail(faults.raw(GENUINE))
    receiver.hydrate('{"sync": {}}', "message")
    assert (cloud.item("good") or {})["status"] == "ready"
    assert len(receiver.bus) == 1
    assert MARK not in output.text


IDS = [
    "\"'`${x}{{x}}",
    "\0",
    "\n\r\t\x1b\x7f",
    "..",
    "../../v1/search?page=1#",
    "\ufffe",
    "\uffff",
    "\u202e\u2028",
    "\U0001f600" * 128,
    "good",  # of another tenant
]


def test_ids_of_any_characters_are_taken_as_they_are(
    receiver: Receiver, cloud: Cloud, profile_api: FakeProfileApi, output: Output
) -> None:
    listed = [profile(profile_id=one, tenant_id=one) for one in IDS]
    profile_api.fail(faults.raw(listing(*listed, GOOD)))
    receiver.sweep()
    receiver.sweep(full=True)  # stores the full profiles, whose states are there by now

    keys = [*((one, one) for one in IDS), ("good", TENANT)]
    for key in keys:
        assert (cloud.item(*key) or {}).get("status") == "ready", key
        full = cloud.item(*key, table="FullProfilesTable") or {}
        assert full["profile"]["tenant_id"] == key[1]
    published = [(one["data"]["profile_id"], one["tenant_id"]) for one in receiver.bus]
    assert sorted(published) == sorted(keys)
    assert MARK not in output.text


def test_profiles_whose_ids_do_not_fit_are_left_out_and_the_others_are_not(
    receiver: Receiver, cloud: Cloud, profile_api: FakeProfileApi, output: Output
) -> None:
    unfit: list[dict[str, Any]] = [
        {"profile_id": ""},
        {"profile_id": "x" * 129},
        {"profile_id": "\ud800"},
        {"profile_id": None},
        {"profile_id": ["good"]},
        {"tenant_id": 7},
        {"tenant_id": {"$ne": 1}},
    ]
    profile_api.fail(faults.raw(listing(*(profile(**ids) for ids in unfit), GOOD)))
    receiver.sweep()

    assert [one["data"]["profile_id"] for one in cloud.history()] == ["good"]
    [line] = [one for one in output.logs if one["message"] == "sweep complete"]
    assert line["unusable"] == len(unfit)
    assert MARK not in output.text


def test_an_impossible_time_of_an_update_outranks_no_webhook(
    receiver: Receiver, cloud: Cloud, profile_api: FakeProfileApi, output: Output
) -> None:
    times: list[Any] = [
        "9999-12-31T23:59:59-23:59",
        "2999-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "tomorrow",
        "\ud800",
        "",
        1_700_000_000,
        True,
        [UPDATED],
        {"$date": UPDATED},
    ]
    ids = [f"p{n}" for n in range(len(times))]
    listed = [
        profile(profile_id=one, last_updated=told, status="processing")
        for one, told in zip(ids, times, strict=True)
    ]
    profile_api.fail(faults.raw(listing(*listed)))
    receiver.sweep()
    receiver.sweep(full=True)

    now = timestamp(datetime.now(UTC))
    made = cloud.history()
    assert [one["data"]["profile_id"] for one in made] == ids  # and a second sweep made none
    assert all(one["created_at"] <= now for one in made)
    for one in ids:
        webhook = json.dumps(make_event(f"evt_{one}", profile_id=one, created_at=now))
        receiver.consumer({"Records": [make_sqs_record(webhook)]}, make_context(30_000))
        assert (cloud.item(one) or {})["event_id"] == f"evt_{one}"
    assert MARK not in output.text


def test_a_status_that_does_not_fit_is_left_out_and_the_profile_is_not(
    receiver: Receiver, cloud: Cloud, profile_api: FakeProfileApi, output: Output
) -> None:
    stored: list[tuple[Any, str | None]] = [
        ("\ud800", None),
        ("x" * 129, None),
        (7, None),
        (["ready"], None),
        ("\uffff\0", "\uffff\0"),
        ("ready", "ready"),
    ]
    listed = [profile(profile_id=f"p{n}", status=told) for n, (told, _) in enumerate(stored)]
    profile_api.fail(faults.raw(listing(*listed)))
    receiver.sweep()
    receiver.sweep(full=True)

    found = [cloud.item(f"p{n}") or {"status": "missing"} for n in range(len(stored))]
    assert [one.get("status") for one in found] == [status for _, status in stored]
    assert len(cloud.history()) == len(receiver.bus) == len(stored)
    assert cloud.messages("DeadLetterQueue") == []
    assert MARK not in output.text


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"1e400", id="a large number"),
        pytest.param(b"9" * 100_000, id="a long number"),
        pytest.param(b'"\\ud800"', id="half a surrogate pair"),
        pytest.param(b"[" * 40 + b"]" * 40, id="nested"),
        pytest.param(b'"' + b"m4rk3d" * 100_000 + b'"', id="a long text"),
    ],
)
def test_a_full_profile_that_no_item_can_hold_has_its_state_and_is_marked(
    receiver: Receiver, cloud: Cloud, profile_api: FakeProfileApi, output: Output, value: bytes
) -> None:
    body = listing(profile(value="here"), profile(profile_id="other"))
    profile_api.fail(faults.raw(body.replace(b'"here"', value)))
    receiver.sweep()
    receiver.sweep(full=True)

    assert (cloud.item("good") or {})["status"] == "ready"
    marked, whole = (cloud.item(one, table="FullProfilesTable") for one in ("good", "other"))
    assert marked
    assert whole
    assert (marked["profile_status"], "profile" in marked) == ("not_storable", False)
    assert whole["profile"]["name"] == MARK
    assert MARK not in output.text
