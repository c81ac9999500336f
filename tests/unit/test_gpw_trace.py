"""An event's log lines, wherever CloudWatch Logs returns them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any

from gpw.operations.trace import LOG_PAGES, logged

NOW = datetime(2026, 1, 31, 14, tzinfo=UTC)


def ids(pages: Iterator[dict[str, Any]]) -> list[str | None]:
    paginator = SimpleNamespace(paginate=lambda **_: pages)
    client = SimpleNamespace(get_paginator=lambda _operation: paginator)
    target: Any = SimpleNamespace(resources={"Group": "group"}, client=lambda _service: client)
    found = logged(target, "evt-1", {"Group": "ingest"}, NOW - timedelta(days=1), NOW)
    return [one.event_id for one in found]


def page(*event_ids: str) -> dict[str, Any]:
    lines = ({"message": "event accepted", "correlation_id": one} for one in event_ids)
    return {"events": [{"timestamp": 1, "message": json.dumps(line)} for line in lines]}


def test_lines_after_an_empty_page_are_found() -> None:
    assert ids(iter([page(), page("evt-1", "evt-12"), page()])) == ["evt-1"]


def test_the_search_ends_after_a_number_of_pages() -> None:
    asked = count()

    assert ids(page() for _ in asked) == []
    assert next(asked) == LOG_PAGES
