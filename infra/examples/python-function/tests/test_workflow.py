"""Tests to begin with; they need no AWS."""

import json
from typing import Any

import pytest

from getprofile_events import ProfileUpdatedEvent
from workflow import handler, the_table


@pytest.fixture
def event() -> ProfileUpdatedEvent:
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "profile.updated",
        "source": "getprofile.webhooks",
        "account": "123456789012",
        "time": "2023-10-01T12:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": {
            "id": "evt_1234567890",
            "event": "profile.updated",
            "tenant_id": "abc-tenant",
            "data": {"profile_id": "12345", "status": "ready"},
            "created_at": "2023-10-01T12:00:00.000000Z",
            "webhook_id": "webhook_12345",
            "outcome": "applied",
            "version": "2023-10-01T12:00:00.000000Z#3#evt_1234567890",
            "received_at": "2023-10-01T12:00:01.234567Z",
        },
    }


@pytest.fixture(autouse=True)
def no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DONE_TABLE_NAME", raising=False)
    the_table.cache_clear()


def test_a_ready_profile_is_greeted(
    event: ProfileUpdatedEvent, capsys: pytest.CaptureFixture[Any]
) -> None:
    handler(event, None)

    assert json.loads(capsys.readouterr().out) == {
        "message": "Hello 12345 of abc-tenant",
        "event_id": "evt_1234567890",
    }
