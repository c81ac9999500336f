"""A sweep by the real handlers: from GetProfile's list to the tables and the bus."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from infra.local import fake_profile_api as faults
from infra.local.fake_profile_api import FakeProfileApi
from tests.factories import make_context, make_event, make_sqs_record
from tests.functional.cloud import Cloud
from tests.functional.conftest import Handler, Output
from tests.functional.whole_receiver import Receiver, sweeping

TENANT = "abc-tenant"
UPDATED = "2023-10-01T11:00:00Z"


@pytest.fixture
def api(profile_api: FakeProfileApi) -> FakeProfileApi:
    profile_api.profiles = {f"p{n}": {"name": f"N{n}", "last_updated": UPDATED} for n in range(3)}
    return profile_api


@pytest.fixture
def receiver(
    cloud: Cloud,
    load: Callable[[str], Handler],
    api: FakeProfileApi,
    monkeypatch: pytest.MonkeyPatch,
) -> Receiver:
    return sweeping(cloud, load, api, monkeypatch, HydrateProfiles="true")


def test_the_first_sweep_brings_every_profile_into_the_tables_without_a_workflow(
    receiver: Receiver, cloud: Cloud, api: FakeProfileApi, output: Output
) -> None:
    receiver.sweep()

    rows = {one: cloud.item(one) or {} for one in api.profiles}
    assert {one: (row["status"], row["event_at"]) for one, row in rows.items()} == dict.fromkeys(
        api.profiles, ("ready", "2023-10-01T11:00:00.000000Z")
    )
    history = cloud.history()
    assert len(history) == 3
    assert {(one["outcome"], one["synced"], one["unpublished"]) for one in history} == {
        ("applied", True, True)
    }
    assert output.metrics().get("EventsPublished") is None
    assert output.metrics()["ProfilesAtGetProfile"] == [3.0]
    assert {"ProfilesBehind", "AppliedAge"}.isdisjoint(output.metrics())


def test_a_missed_update_is_published_as_made_by_sync_and_a_second_sweep_changes_nothing(
    receiver: Receiver, cloud: Cloud, api: FakeProfileApi, output: Output
) -> None:
    receiver.sweep()
    api.profiles["p1"] = {"status": "summarizing", "last_updated": "2023-10-01T12:00:00Z"}
    receiver.sweep(full=True)
    receiver.sweep(full=True)

    [detail] = receiver.bus
    assert (detail["synced"], detail["outcome"]) == (True, "applied")
    assert detail["data"] == {"profile_id": "p1", "status": "summarizing"}
    assert detail["id"].startswith("sync_")
    assert output.metrics()["ProfilesBehind"] == [1.0]


def test_a_dry_run_names_in_the_log_what_is_behind_and_sends_nothing(
    receiver: Receiver, cloud: Cloud, api: FakeProfileApi, output: Output
) -> None:
    receiver.sweep()
    api.profiles["p1"] = {"status": "summarizing", "last_updated": "2023-10-01T12:00:00Z"}
    before = cloud.history()
    receiver.sweep(full=True, dry_run=True)

    [line] = [one for one in output.logs if one["message"] == "profile behind"]
    assert (line["profile_id"], line["behind_seconds"]) == ("p1", 3600)
    assert (cloud.history(), receiver.bus) == (before, [])


def test_a_full_profile_is_written_from_the_list_once_its_state_is_there(
    receiver: Receiver, cloud: Cloud, api: FakeProfileApi
) -> None:
    """The consumer applies the events after the first sweep, whose full profiles then wait."""
    receiver.sweep()
    receiver.sweep()

    found = cloud.item("p2", table="FullProfilesTable")
    assert found
    assert found["profile"] == api_profile("p2")
    assert {request.path.partition("?")[0] for request in api.requests} == {"/v1/search"}


def api_profile(profile_id: str) -> dict[str, Any]:
    known = {"profile_id": profile_id, "tenant_id": TENANT, "status": "ready"}
    return known | {"name": f"N{profile_id[1:]}", "last_updated": UPDATED}


def test_a_webhook_cannot_mark_its_event_as_made_by_sync(
    receiver: Receiver, cloud: Cloud, api: FakeProfileApi
) -> None:
    forged = make_event("evt_1", profile_id="x") | {"synced": True, "unpublished": True}
    batch = {"Records": [make_sqs_record(json.dumps(forged))]}
    assert receiver.consumer(batch, make_context(30_000)) == {"batchItemFailures": []}
    receiver.publish()

    [item] = cloud.history()
    assert {"synced", "unpublished"}.isdisjoint(item)
    [detail] = receiver.bus
    assert "synced" not in detail


def test_a_page_that_fails_is_retried_with_the_message_that_asked_for_it(
    receiver: Receiver, cloud: Cloud, api: FakeProfileApi, output: Output
) -> None:
    api.fail(faults.status(503), times=1)
    receiver.hydrate('{"sync": {}}', "message", expected=1)
    receiver.hydrate('{"sync": {}}', "message")

    assert all(cloud.item(one) for one in api.profiles)
    [line] = [line for line in output.logs if line["message"] == "message failed"]
    assert line["detail"] == "The API answered 503"


def test_nothing_is_asked_while_the_key_is_the_random_one(
    cloud: Cloud, load: Callable[[str], Handler], api: FakeProfileApi, output: Output
) -> None:
    cloud.parameters["ProfileApiUrl"] = api.url
    Receiver(cloud, load).sweep()

    assert api.requests == []
    assert output.text == ""
